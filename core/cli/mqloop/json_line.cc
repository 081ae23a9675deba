#include "core/cli/mqloop/json_line.h"

#include "core/base/utf8.h"
#include "core/password/base64.h"

namespace mqloop::cli {

JsonLine::JsonLine(std::string_view type) {
  name("type");
  quote(type);
}

void JsonLine::number(std::string_view field, std::int64_t value) {
  name(field);
  line_ += std::to_string(value);
}

void JsonLine::flag(std::string_view field, bool value) {
  name(field);
  line_ += value ? "true" : "false";
}

void JsonLine::text(std::string_view field, std::string_view value) {
  if (is_utf8_without_nul(value)) {
    name(field);
    quote(value);
  } else {
    base64(std::string(field) + "_base64", {reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
  }
}

void JsonLine::bytes(std::string_view field, std::span<const std::uint8_t> value) {
  text(field, {reinterpret_cast<const char*>(value.data()), value.size()});
}

void JsonLine::base64(std::string_view field, std::span<const std::uint8_t> value) {
  if (value.empty()) return;
  name(field);
  quote(
      password::encode_base64({reinterpret_cast<const char*>(value.data()), value.size()}, password::Padding::kEquals));
}

void JsonLine::begin_object(std::string_view field) {
  name(field);
  line_ += '{';
}

void JsonLine::end_object() { line_ += '}'; }

const std::string& JsonLine::end() {
  line_ += "}\n";
  return line_;
}

void JsonLine::name(std::string_view field) {
  if (line_.back() != '{') line_ += ',';
  quote(field);
  line_ += ':';
}

void JsonLine::quote(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  line_ += '"';
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      line_ += '\\';
      line_ += character;
    } else if (code < 0x20 || code == 0x7F) {
      line_ += "\\u00";
      line_ += kDigits[code >> 4];
      line_ += kDigits[code & 0xF];
    } else {
      line_ += character;
    }
  }
  line_ += '"';
}

}  // namespace mqloop::cli
