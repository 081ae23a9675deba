// The HTTP request by which a client asks for WebSocket (RFC 6455, 4.2): read, judged, and answered when it is refused.
// Bytes in, a verdict out: no I/O, no library, any thread. What is accepted here is all that libwebsockets ever learns
// of the request, so that nothing which a stranger writes into a header reaches its parser.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/ref.h>

#include "core/event/address_set.h"

namespace mqloop::websocket {

// What a listener asks of a request; unchanged once made, shared by its connections.
struct UpgradePolicy final : SharedObject {
  std::string path = "/mqtt";
  bool any_origin = false;
  bool same_host = true;             // the Origin's host is that of the Host header, whatever the ports
  std::vector<std::string> origins;  // in lower case, each in full: "https://app.example.org"
  event::AddressSet trusted_proxies;
};

struct Upgrade {
  std::string key;
  std::string subprotocol;
  std::string client;          // address of whoever is behind a trusted proxy; empty without one
  bool came_by_proxy = false;  // trusted or not, somebody has handed the request on
};

struct Refusal {
  int status = 0;
  std::string_view reason;
};

struct UpgradeResult {
  enum class Kind { kNeedMore, kRefused, kAccepted };
  Kind kind = Kind::kNeedMore;
  std::size_t size = 0;  // of the request, when accepted; frames may follow
  Upgrade upgrade = {};
  Refusal refusal = {};
};

inline constexpr std::size_t kLongestRequest = 8192;
inline constexpr std::size_t kMostHeaders = 64;

// `bytes`: all that has come so far. `peer` is the address that the connection comes from, as the socket tells it.
[[nodiscard]] UpgradeResult read_upgrade(std::string_view bytes, const UpgradePolicy& policy, std::string_view peer);

// The whole answer to a request that is refused.
[[nodiscard]] std::string refusal_answer(const Refusal& refusal);

// A request with nothing in it that the client wrote but the key.
[[nodiscard]] std::string plain_request(std::string_view key, std::string_view subprotocol);

}  // namespace mqloop::websocket
