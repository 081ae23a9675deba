#include "core/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace mqloop {
namespace {

// The bytes of the well-formed character that begins at `at`, or 0 when there is none (Unicode table 3-7).
std::size_t character_length(const unsigned char* at, std::size_t left) noexcept {
  const unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;  // a continuation byte, an overlong form, above U+10FFFF
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < length) return 0;
  // Only the second byte has a range of its own: it keeps out the other overlong forms, surrogates and the top.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (at[1] < low || at[1] > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

// How many of the first bytes are ASCII, in steps of eight.
std::size_t ascii_run(const unsigned char* at, std::size_t left) noexcept {
  std::size_t done = 0;
  while (left - done >= sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, at + done, sizeof word);
    if ((word & 0x8080808080808080U) != 0) break;
    done += sizeof word;
  }
  return done;
}

}  // namespace

std::size_t utf8_prefix_length(std::string_view text) noexcept {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    at += ascii_run(bytes + at, text.size() - at);
    if (at == text.size()) break;
    const std::size_t length = character_length(bytes + at, text.size() - at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

bool is_utf8(std::string_view text) noexcept { return utf8_prefix_length(text) == text.size(); }

bool is_utf8_without_nul(std::string_view text) noexcept {
  return is_utf8(text) && (text.empty() || std::memchr(text.data(), 0, text.size()) == nullptr);
}

}  // namespace mqloop
