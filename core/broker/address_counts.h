// AddressCounts: how many connections of one listener each address has, for max_connections_per_address. An IPv6
// address counts as its /64, of which one subscriber has all; a peer without an IP address (a Unix socket) is not
// counted. Owned by a ListenerGate. Any thread: connections come on the listener's reactor and go on any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/base/seeded_hash.h"

namespace mqloop::broker {

class AddressCounts {
 public:
  // What counts as one address.
  struct Key {
    std::uint64_t prefix;
    bool is_v6;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    HashSeed seed;
    std::size_t operator()(const Key& key) const noexcept;
  };
  // Nothing for a peer without an IP address.
  [[nodiscard]] static std::optional<Key> key_of(std::string_view peer) noexcept;

  explicit AddressCounts(HashSeed seed) : counts_(0, Hash{seed}) {}

  // One more from `peer`, which is written as Stream::peer_address() says; false, and nothing is counted, when its
  // address has `most` already.
  [[nodiscard]] bool enter(std::string_view peer, std::uint32_t most);
  // One that entered is gone.
  void leave(std::string_view peer) noexcept;
  [[nodiscard]] std::size_t addresses() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<Key, std::uint32_t, Hash> counts_;
};

}  // namespace mqloop::broker
