#include "core/store/well_formed.h"

#include <mqloop/topic.h>

#include "core/base/utf8.h"

namespace mqloop::store {
namespace {

constexpr std::size_t kLongest = 65'535;
constexpr std::string_view kShare = "$share/";

// Takes two bytes of length and as many bytes off the front; false when they are not all there.
bool take_string(std::span<const std::uint8_t>& rest, std::string_view& out) noexcept {
  if (rest.size() < 2) return false;
  const std::size_t size = static_cast<std::size_t>(rest[0]) << 8 | rest[1];
  if (rest.size() - 2 < size) return false;
  out = {reinterpret_cast<const char*>(rest.data()) + 2, size};
  rest = rest.subspan(2 + size);
  return true;
}

bool take_utf8(std::span<const std::uint8_t>& rest) noexcept {
  std::string_view text;
  return take_string(rest, text) && is_utf8_without_nul(text);
}

}  // namespace

bool is_utf8_string(std::string_view text) noexcept { return text.size() <= kLongest && is_utf8_without_nul(text); }

bool is_topic_name(std::string_view text) noexcept {
  return !text.empty() && is_utf8_string(text) && text.find_first_of("+#") == std::string_view::npos;
}

bool is_shared_filter(std::string_view text) noexcept {
  if (!text.starts_with(kShare) || !is_utf8_string(text)) return false;
  const std::string_view rest = text.substr(kShare.size());
  const std::size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string_view::npos) return false;
  return rest.substr(0, slash).find_first_of("+#") == std::string_view::npos &&
         check_topic_filter(rest.substr(slash + 1)).ok();
}

bool is_subscription_filter(std::string_view text) noexcept {
  if (!is_utf8_string(text)) return false;
  return text.starts_with(kShare) ? is_shared_filter(text) : check_topic_filter(text).ok();
}

bool are_forwarded_properties(std::span<const std::uint8_t> properties) noexcept {
  std::uint64_t seen = 0;
  std::span<const std::uint8_t> rest = properties;
  while (!rest.empty()) {
    const std::uint8_t identifier = rest[0];
    rest = rest.subspan(1);
    constexpr std::uint8_t kUserProperty = 0x26;
    if (identifier >= 64) return false;
    if (identifier != kUserProperty && (seen >> identifier & 1) != 0) return false;
    seen |= std::uint64_t{1} << identifier;
    std::string_view text;
    switch (identifier) {
      case 0x01:  // Payload Format Indicator
        if (rest.empty() || rest[0] > 1) return false;
        rest = rest.subspan(1);
        break;
      case 0x03:  // Content Type
        if (!take_utf8(rest)) return false;
        break;
      case 0x08:  // Response Topic
        if (!take_string(rest, text) || !is_topic_name(text)) return false;
        break;
      case 0x09:  // Correlation Data
        if (!take_string(rest, text)) return false;
        break;
      case kUserProperty:
        if (!take_utf8(rest) || !take_utf8(rest)) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

bool are_subscription_options(std::int64_t options) noexcept {
  return options >= 0 && options <= 0x3F && (options & 0x03) != 3 && (options >> 4) != 3;
}

std::vector<std::uint8_t> encode_identifiers(std::span<const std::uint32_t> identifiers) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(identifiers.size() * 4);
  for (const std::uint32_t identifier : identifiers) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::uint8_t>(identifier >> shift));
  }
  return bytes;
}

bool decode_identifiers(std::span<const std::uint8_t> bytes, std::vector<std::uint32_t>& out) {
  out.clear();
  if (bytes.size() % 4 != 0) return false;
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint32_t identifier = 0;
    for (std::size_t byte = 4; byte-- > 0;) identifier = identifier << 8 | bytes[i + byte];
    if (identifier == 0 || identifier > kHighestIdentifier) return false;
    out.push_back(identifier);
  }
  return true;
}

}  // namespace mqloop::store
