// The decoders of the single packets, behind Decoder: each reads one body, which is all there, and fills a packet.
// Inside core/mqtt only. Invariant: a packet comes out only when every byte of the body was read and judged.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/mqtt/bytes.h"
#include "core/mqtt/decoder.h"
#include "core/mqtt/fault.h"
#include "core/mqtt/packet.h"

namespace mqloop::mqtt::detail {

struct BodyContext {
  PacketType type;
  std::uint8_t flags;  // of the fixed header
  ProtocolVersion version;
  Role sender;
  const PropertyLimits& property_limits;
  DecodeResult& result;  // for what an error tells besides its Fault

  [[nodiscard]] bool v5() const noexcept { return version == ProtocolVersion::kV5; }
};

[[nodiscard]] Fault decode_connect(BodyContext& context, ByteReader& body, ConnectPacket& packet) noexcept;
[[nodiscard]] Fault decode_connack(const BodyContext& context, ByteReader& body, ConnackPacket& packet) noexcept;
[[nodiscard]] Fault decode_publish(const BodyContext& context, ByteReader& body, PublishPacket& packet) noexcept;
[[nodiscard]] Fault decode_ack(const BodyContext& context, ByteReader& body, AckPacket& packet) noexcept;
[[nodiscard]] Fault decode_subscribe(const BodyContext& context, ByteReader& body, SubscribePacket& packet) noexcept;
[[nodiscard]] Fault decode_suback(const BodyContext& context, ByteReader& body, SubackPacket& packet) noexcept;
[[nodiscard]] Fault decode_unsubscribe(const BodyContext& context, ByteReader& body,
                                       UnsubscribePacket& packet) noexcept;
[[nodiscard]] Fault decode_unsuback(const BodyContext& context, ByteReader& body, UnsubackPacket& packet) noexcept;
[[nodiscard]] Fault decode_disconnect(const BodyContext& context, ByteReader& body, DisconnectPacket& packet) noexcept;
[[nodiscard]] Fault decode_auth(const BodyContext& context, ByteReader& body, AuthPacket& packet) noexcept;

// The steps that several of them share.
[[nodiscard]] Fault read_properties(const BodyContext& context, ByteReader& body, PropertyPlaces place,
                                    Properties& out) noexcept;
[[nodiscard]] Fault read_packet_id(ByteReader& body, std::uint16_t& out) noexcept;
[[nodiscard]] Fault read_reason_code(const BodyContext& context, ByteReader& body, ReasonCode& out) noexcept;
// A UTF-8 string that is no topic.
[[nodiscard]] Fault read_text(ByteReader& body, std::string_view& out) noexcept;
// Notes the text and the column of a bad topic for whoever explains the error.
[[nodiscard]] Fault blame(const BodyContext& context, std::string_view topic, const TopicCheck& check) noexcept;
// That nothing is left over.
[[nodiscard]] Fault finish(const ByteReader& body) noexcept;

}  // namespace mqloop::mqtt::detail
