// The log that `logging` asks for.
#pragma once

#include <memory>

#include <mqloop/clock.h>
#include <mqloop/status.h>

#include "core/base/log.h"
#include "core/broker/settings.h"

namespace mqloop::cli {

[[nodiscard]] Result<std::unique_ptr<StreamLog>> open_log(const broker::LoggingSettings& logging, const Clock& clock);

}  // namespace mqloop::cli
