// The log as its writers see it: a level, a module, a short event and fields. How a line looks (text or JSON), where it
// goes and how peer-made bytes are escaped is the business of whoever implements Log. Any thread may write.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include <mqloop/export.h>

namespace mqloop {

enum class LogLevel : std::uint8_t { kError, kWarn, kInfo, kDebug, kTrace };

// Both are borrowed for the call. Values may hold any bytes, a client's included.
struct LogField {
  std::string_view key;
  std::string_view value;
};

class MQLOOP_API Log {
 public:
  virtual ~Log();
  // Ask before doing work for a line: cheap, and the answer may change at any time.
  [[nodiscard]] virtual bool enabled(LogLevel level, std::string_view module) const noexcept = 0;
  // `module` is one word ("auth"), `event` a short phrase in lower case ("refused"); never a secret in a field.
  virtual void write(LogLevel level, std::string_view module, std::string_view event,
                     std::span<const LogField> fields) noexcept = 0;

  // Hands over what this thread has collected; a reactor calls it at the end of each turn. Nothing where lines go at
  // once.
  virtual void flush() noexcept {}

  void write(LogLevel level, std::string_view module, std::string_view event,
             std::initializer_list<LogField> fields = {}) noexcept {
    if (enabled(level, module)) write(level, module, event, std::span(fields.begin(), fields.size()));
  }
};

}  // namespace mqloop
