// SharedKeys: identities and their keys (TLS-PSK), from a file with a line IDENTITY:KEY each, the key in hexadecimal
// digits, as mosquitto has it. Never changed once made; any thread.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

namespace mqloop::tls {

class SharedKeys {
 public:
  // `text` is the content of `file`. A failure has a line `file:line:column: what` for each mistake; no key is in it.
  [[nodiscard]] static Result<SharedKeys> parse(std::string_view text, const std::string& file);
  SharedKeys() = default;
  SharedKeys(SharedKeys&&) noexcept = default;
  SharedKeys& operator=(SharedKeys&&) noexcept = default;
  ~SharedKeys();

  // Empty: there is no such identity.
  [[nodiscard]] std::span<const unsigned char> find(std::string_view identity) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

 private:
  std::map<std::string, std::vector<unsigned char>, std::less<>> keys_;
};

}  // namespace mqloop::tls
