#include "core/password/base64.h"

#include <cstdint>

namespace mqloop::password {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint32_t kNotOfIt = 64;

std::uint32_t value_of(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a' + 26);
  if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0' + 52);
  if (c == '+') return 62;
  if (c == '/') return 63;
  return kNotOfIt;
}

}  // namespace

Decoded decode_base64(std::string_view text, Padding padding) {
  Decoded out;
  std::string_view digits = text;
  if (padding == Padding::kEquals) {
    if (digits.ends_with('=')) digits.remove_suffix(1);
    if (digits.ends_with('=')) digits.remove_suffix(1);
  }
  out.bytes.reserve(digits.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  std::uint32_t held = 0;  // how many of `bits` have not been given out
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::uint32_t value = value_of(digits[i]);
    if (value == kNotOfIt) {
      out.fault = i;
      return out;
    }
    bits = (bits << 6 | value) & 0xFFFF;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.bytes.push_back(static_cast<char>(bits >> held & 0xFF));
    }
  }
  const bool whole = padding == Padding::kEquals ? text.size() % 4 == 0 : digits.size() % 4 != 1;
  if (!whole) {
    out.fault = text.size();
  } else if (held != 0 && (bits & ((1U << held) - 1)) != 0) {
    out.fault = digits.size() - 1;
  }
  return out;
}

std::string encode_base64(std::string_view bytes, Padding padding) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  std::uint32_t held = 0;
  for (const char byte : bytes) {
    bits = (bits << 8 | static_cast<unsigned char>(byte)) & 0x3FFF;
    for (held += 8; held >= 6; held -= 6) out.push_back(kAlphabet[bits >> (held - 6) & 63]);
  }
  if (held != 0) out.push_back(kAlphabet[bits << (6 - held) & 63]);
  while (padding == Padding::kEquals && out.size() % 4 != 0) out.push_back('=');
  return out;
}

}  // namespace mqloop::password
