// CONNECT and CONNACK (3.1, 3.2).
#include <optional>
#include <string_view>

#include "core/mqtt/decode_body.h"
#include "core/mqtt/reason_codes.h"
#include "core/mqtt/topic.h"

namespace mqloop::mqtt::detail {
namespace {

constexpr std::uint8_t kReservedBit = 0x01;
constexpr std::uint8_t kCleanStartBit = 0x02;
constexpr std::uint8_t kWillBit = 0x04;
constexpr unsigned kWillQoSShift = 3;
constexpr std::uint8_t kWillQoSBits = 0x18;
constexpr std::uint8_t kWillRetainBit = 0x20;
constexpr std::uint8_t kPasswordBit = 0x40;
constexpr std::uint8_t kUserNameBit = 0x80;

constexpr std::uint8_t kSessionPresentBit = 0x01;

// Reads Protocol Name and Protocol Version, which decide how all the rest is read.
Fault read_version(BodyContext& context, ByteReader& body) noexcept {
  const std::string_view name = body.text();
  if (body.failed()) return Fault::kCutShort;
  if (name != "MQTT" && name != "MQIsdp") return Fault::kUnknownProtocolName;
  const std::uint8_t level = body.u8();
  if (body.failed()) return Fault::kCutShort;
  context.result.protocol_level = level;
  const bool known = name == "MQTT" ? level == 4 || level == 5 : level == 3;
  if (!known) return Fault::kUnsupportedProtocolLevel;
  context.version = static_cast<ProtocolVersion>(level);
  return Fault::kNone;
}

Fault check_connect_flags(std::uint8_t flags, bool v5) noexcept {
  if ((flags & kReservedBit) != 0) return Fault::kReservedConnectFlag;
  if ((flags & kWillBit) == 0 && (flags & (kWillQoSBits | kWillRetainBit)) != 0) return Fault::kWillBitsWithoutWill;
  if ((flags & kWillQoSBits) == kWillQoSBits) return Fault::kWillQoS3;
  // 5.0 allows a password alone; the versions before do not [MQTT-3.1.2-22 of 3.1.1].
  if (!v5 && (flags & kPasswordBit) != 0 && (flags & kUserNameBit) == 0) return Fault::kPasswordWithoutUserName;
  return Fault::kNone;
}

Fault check_authentication(const Properties& properties) noexcept {
  const bool data_alone =
      properties.has(PropertyId::kAuthenticationData) && !properties.has(PropertyId::kAuthenticationMethod);
  return data_alone ? Fault::kAuthenticationDataWithoutMethod : Fault::kNone;
}

Fault read_will(const BodyContext& context, ByteReader& body, std::uint8_t flags, Will& will) noexcept {
  will.qos = static_cast<QoS>((flags & kWillQoSBits) >> kWillQoSShift);
  will.retain = (flags & kWillRetainBit) != 0;
  if (context.v5()) {
    const Fault fault = read_properties(context, body, kWillPlace, will.properties);
    if (fault != Fault::kNone) return fault;
  }
  will.topic = body.text();
  if (body.failed()) return Fault::kCutShort;
  if (const Fault fault = blame(context, will.topic, validate_topic_name(will.topic)); fault != Fault::kNone) {
    return fault;
  }
  will.payload = body.binary();
  return body.failed() ? Fault::kCutShort : Fault::kNone;
}

}  // namespace

Fault decode_connect(BodyContext& context, ByteReader& body, ConnectPacket& packet) noexcept {
  if (const Fault fault = read_version(context, body); fault != Fault::kNone) return fault;
  packet.version = context.version;
  const std::uint8_t flags = body.u8();
  packet.keep_alive = body.u16();
  if (body.failed()) return Fault::kCutShort;
  if (const Fault fault = check_connect_flags(flags, context.v5()); fault != Fault::kNone) return fault;
  packet.clean_start = (flags & kCleanStartBit) != 0;
  if (context.v5()) {
    const Fault fault = read_properties(context, body, place_of(PacketType::kConnect), packet.properties);
    if (fault != Fault::kNone) return fault;
    if (const Fault missing = check_authentication(packet.properties); missing != Fault::kNone) return missing;
  }
  // [MQTT-3.1.3-1]: the order of the payload.
  if (const Fault fault = read_text(body, packet.client_id); fault != Fault::kNone) return fault;
  if ((flags & kWillBit) != 0) {
    if (const Fault fault = read_will(context, body, flags, packet.will.emplace()); fault != Fault::kNone) return fault;
  }
  if ((flags & kUserNameBit) != 0) {
    if (const Fault fault = read_text(body, packet.user_name.emplace()); fault != Fault::kNone) return fault;
  }
  if ((flags & kPasswordBit) != 0) packet.password = body.binary();
  return finish(body);
}

Fault decode_connack(const BodyContext& context, ByteReader& body, ConnackPacket& packet) noexcept {
  // A server that does not know 5.0 refuses a client of 5.0 in the form of 3.x [MQTT-3.1.2-2 of 3.1.1].
  const bool refusal_of_3x = context.v5() && body.left() == 2;
  const std::uint8_t flags = body.u8();
  // In 3.1 this byte was reserved and its value free.
  const bool free_byte = context.version == ProtocolVersion::kV31;
  if (!free_byte && (flags & ~kSessionPresentBit) != 0) return Fault::kReservedConnackFlags;
  packet.session_present = !free_byte && (flags & kSessionPresentBit) != 0;

  if (context.v5() && !refusal_of_3x) {
    if (const Fault fault = read_reason_code(context, body, packet.reason_code); fault != Fault::kNone) return fault;
    const Fault fault = read_properties(context, body, place_of(PacketType::kConnack), packet.properties);
    if (fault != Fault::kNone) return fault;
    if (const Fault missing = check_authentication(packet.properties); missing != Fault::kNone) return missing;
  } else {
    const std::uint8_t return_code = body.u8();
    if (body.failed() || (refusal_of_3x && return_code == 0)) return Fault::kCutShort;
    const std::optional<ReasonCode> reason = reason_of_return_code(return_code);
    if (!reason) return Fault::kUnknownReturnCode;
    packet.reason_code = *reason;
  }
  if (packet.session_present && packet.reason_code != ReasonCode::kSuccess) return Fault::kSessionPresentOnRefusal;
  return finish(body);
}

}  // namespace mqloop::mqtt::detail
