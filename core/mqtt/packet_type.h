// The control packet types (2.1.2) and the two ends of a connection.
#pragma once

#include <cstdint>
#include <string_view>

namespace mqloop::mqtt {

enum class PacketType : std::uint8_t {
  kReserved = 0,
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

// "CONNECT", "PUBLISH" ...
[[nodiscard]] std::string_view name_of(PacketType type) noexcept;

enum class Role : std::uint8_t { kServer, kClient };

[[nodiscard]] constexpr Role peer_of(Role role) noexcept {
  return role == Role::kServer ? Role::kClient : Role::kServer;
}

}  // namespace mqloop::mqtt
