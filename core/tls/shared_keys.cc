#include "core/tls/shared_keys.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "core/tls/peer_certificate.h"

namespace mqloop::tls {

namespace {

// Shorter ones can be guessed from one handshake that was listened to.
constexpr std::size_t kShortestKey = 16;
// OpenSSL's own limits.
constexpr std::size_t kLongestKey = PSK_MAX_PSK_LEN;
constexpr std::size_t kLongestIdentity = PSK_MAX_IDENTITY_LEN;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What is wrong with a line, and in which column; "" when nothing is.
struct Mistake {
  std::string what;
  std::size_t column = 0;
};

Mistake parse_key(std::string_view text, std::size_t column, std::vector<unsigned char>& key) {
  if (text.size() % 2 != 0) return {"a key has two hexadecimal digits for each byte", column};
  if (text.size() < 2 * kShortestKey)
    return {"a key has 16 bytes at least: openssl rand -hex 32 makes a good one", column};
  if (text.size() > 2 * kLongestKey) return {"a key has 512 bytes at most", column};
  for (std::size_t i = 0; i != text.size(); i += 2) {
    const int high = digit_of(text[i]);
    const int low = digit_of(text[i + 1]);
    if (high < 0 || low < 0) return {"a key has hexadecimal digits only", column + i + (high < 0 ? 0 : 1)};
    key.push_back(static_cast<unsigned char>(high << 4 | low));
  }
  return {};
}

Mistake check_identity(std::string_view identity) {
  if (identity.empty()) return {"the identity is empty", 1};
  if (identity.size() > kLongestIdentity) return {"an identity has 128 bytes at most", 1};
  if (!is_clean_text(identity)) return {"an identity is UTF-8 without control characters", 1};
  return {};
}

}  // namespace

Result<SharedKeys> SharedKeys::parse(std::string_view text, const std::string& file) {
  SharedKeys parsed;
  std::string mistakes;
  for (std::size_t line = 1; !text.empty(); ++line) {
    std::string_view entry = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(entry.size() + 1, text.size()));
    if (entry.ends_with('\r')) entry.remove_suffix(1);
    if (entry.empty() || entry.starts_with('#')) continue;
    const std::size_t colon = entry.find(':');
    const std::string_view identity = entry.substr(0, colon);
    std::vector<unsigned char> key;
    Mistake mistake;
    if (colon == std::string_view::npos) {
      mistake = {"a line is IDENTITY:KEY", 1};
    } else {
      mistake = check_identity(identity);
    }
    if (mistake.what.empty()) mistake = parse_key(entry.substr(colon + 1), colon + 2, key);
    if (mistake.what.empty() && !parsed.keys_.emplace(identity, std::move(key)).second) {
      mistake = {"this identity has a key already", 1};
    }
    if (mistake.what.empty()) continue;
    if (!mistakes.empty()) mistakes += '\n';
    mistakes += file + ':' + std::to_string(line) + ':' + std::to_string(mistake.column) + ": " + mistake.what;
  }
  if (!mistakes.empty()) return invalid_argument(mistakes);
  if (parsed.empty()) return invalid_argument(file + ":1:1: there is no key in it: a line is IDENTITY:KEY");
  return parsed;
}

SharedKeys::~SharedKeys() {
  for (auto& [identity, key] : keys_) OPENSSL_cleanse(key.data(), key.size());
}

std::span<const unsigned char> SharedKeys::find(std::string_view identity) const noexcept {
  const auto found = keys_.find(identity);
  return found == keys_.end() ? std::span<const unsigned char>() : found->second;
}

}  // namespace mqloop::tls
