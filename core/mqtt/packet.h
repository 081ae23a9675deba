// The control packets as the decoder hands them out and the encoder takes them. Every view in them borrows: from the
// bytes that were decoded, or from whatever the maker of the packet points to. Nothing here owns memory, so packets are
// cheap to fill and to copy and must not outlive the turn that decoded them. In packets of 3.x `properties` are empty
// and the codes are kSuccess.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include <mqloop/protocol.h>
#include <mqloop/reason_code.h>

#include "core/mqtt/packet_type.h"
#include "core/mqtt/property.h"
#include "core/mqtt/subscription_list.h"

namespace mqloop::mqtt {

struct Will {
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::string_view topic;
  std::span<const std::uint8_t> payload;
  Properties properties;
};

struct ConnectPacket {
  ProtocolVersion version = ProtocolVersion::kV5;
  bool clean_start = true;       // Clean Session in 3.x
  std::uint16_t keep_alive = 0;  // seconds
  std::string_view client_id;    // may be empty: what that means is for the broker to say
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<std::span<const std::uint8_t>> password;
  Properties properties;
};

struct ConnackPacket {
  bool session_present = false;
  ReasonCode reason_code = ReasonCode::kSuccess;  // of 3.x: what connack_return_code and its inverse make of it
  Properties properties;
};

struct PublishPacket {
  bool dup = false;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::uint16_t packet_id = 0;  // 0 exactly when qos is 0
  std::string_view topic;       // empty only in 5.0 and with a Topic Alias
  Properties properties;
  std::span<const std::uint8_t> payload;
};

// PUBACK, PUBREC, PUBREL or PUBCOMP.
struct AckPacket {
  PacketType type = PacketType::kPuback;
  std::uint16_t packet_id = 0;
  ReasonCode reason_code = ReasonCode::kSuccess;
  Properties properties;
};

struct SubscribePacket {
  std::uint16_t packet_id = 0;
  Properties properties;
  SubscriptionList subscriptions;  // never empty
};

struct SubackPacket {
  std::uint16_t packet_id = 0;
  Properties properties;
  std::span<const ReasonCode> reason_codes;  // one for each filter, in their order
};

struct UnsubscribePacket {
  std::uint16_t packet_id = 0;
  Properties properties;
  TopicFilterList filters;  // never empty
};

struct UnsubackPacket {
  std::uint16_t packet_id = 0;
  Properties properties;
  std::span<const ReasonCode> reason_codes;  // none in 3.x
};

struct PingreqPacket {};
struct PingrespPacket {};

struct DisconnectPacket {
  ReasonCode reason_code = ReasonCode::kNormalDisconnection;
  Properties properties;
};

struct AuthPacket {
  ReasonCode reason_code = ReasonCode::kSuccess;
  Properties properties;
};

using Packet =
    std::variant<std::monostate, ConnectPacket, ConnackPacket, PublishPacket, AckPacket, SubscribePacket, SubackPacket,
                 UnsubscribePacket, UnsubackPacket, PingreqPacket, PingrespPacket, DisconnectPacket, AuthPacket>;

// kReserved for a Packet that holds none.
[[nodiscard]] PacketType type_of(const Packet& packet) noexcept;

}  // namespace mqloop::mqtt
