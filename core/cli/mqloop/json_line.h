// One object of JSON on one line, built field by field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mqloop::cli {

class JsonLine {
 public:
  // Begins with the field `type`.
  explicit JsonLine(std::string_view type);

  void number(std::string_view name, std::int64_t value);
  void flag(std::string_view name, bool value);
  // A text where it is one of UTF-8; else base64, and `_base64` at the end of the name.
  void text(std::string_view name, std::string_view value);
  void bytes(std::string_view name, std::span<const std::uint8_t> value);
  void base64(std::string_view name, std::span<const std::uint8_t> value);
  void begin_object(std::string_view name);
  void end_object();
  // The line, with its end.
  const std::string& end();

 private:
  void name(std::string_view name);
  void quote(std::string_view text);

  std::string line_ = "{";
};

}  // namespace mqloop::cli
