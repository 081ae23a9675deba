// ServerOptions: what a `tls:` block says, as plain values with their places in the configuration file for messages:
// the tree that it was read from goes with the next reload, and files are read again as often as they change.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>
#include <mqloop/status.h>

namespace mqloop::tls {

// A text of the configuration; "" where there is none.
struct Configured {
  std::string text;
  std::string position;  // "mqloop.yaml:12:9"

  [[nodiscard]] bool empty() const noexcept { return text.empty(); }
  // The message with the position before it.
  [[nodiscard]] Status error(const std::string& message, StatusCode code = StatusCode::kInvalidArgument) const;
};

enum class VerifyClient : std::uint8_t { kNone, kOptional, kRequired };

struct ServerOptions {
  struct KeyPair {
    Configured certificate;
    Configured key;
  };

  std::string listener;               // its name, for the log
  std::vector<KeyPair> certificates;  // the first is for who names no host; none where there is a psk_file
  Configured client_ca;
  Configured crl;
  VerifyClient verify_client = VerifyClient::kNone;
  Configured psk_file;
  std::string psk_hint;
  bool only_tls13 = false;
  Configured ciphers;
  Configured ciphersuites;
  std::vector<std::string> alpn;
  bool tickets = true;
  std::chrono::milliseconds watch_files{10'000};  // kInfinite: never

  // Every file that is read.
  [[nodiscard]] std::vector<std::string> files() const;
};

// The keys of a `tls:` block; `protocol` is what clients may ask for by ALPN if nothing else is said.
void describe(Schema& tls, std::string_view protocol = "mqtt");
// Of the checked block `tls` of the item `listener` of `listeners:`. No file is looked at yet.
[[nodiscard]] Result<ServerOptions> read_options(const ConfigNode& tls, std::string_view listener);

}  // namespace mqloop::tls
