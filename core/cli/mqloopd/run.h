// Serving: loads the plugins, opens the listeners, turns the reactors, and ends in good order.
#pragma once

#include <mqloop/ref.h>

#include "core/broker/configuration.h"
#include "core/config/loader.h"
#include "core/plugin/host.h"

namespace mqloop::cli {

// Serves until a signal ends it. `host` has loaded `configuration`, and loads those to follow from `input`. Returns an
// ExitCode; what went wrong has been said on stderr.
int run(Ref<broker::BrokerConfiguration> configuration, plugin::PluginHost& host, const config::Input& input);

}  // namespace mqloop::cli
