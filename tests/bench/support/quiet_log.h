// A log that nobody reads.
#pragma once

#include <span>
#include <string_view>

#include <mqloop/log.h>

namespace mqloop::bench {

class QuietLog final : public Log {
 public:
  [[nodiscard]] bool enabled(LogLevel /*level*/, std::string_view /*module*/) const noexcept override { return false; }
  void write(LogLevel /*level*/, std::string_view /*module*/, std::string_view /*event*/,
             std::span<const LogField> /*fields*/) noexcept override {}
  using Log::write;
};

}  // namespace mqloop::bench
