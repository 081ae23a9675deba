#include "core/mqtt/decoder.h"

#include "core/mqtt/bytes.h"
#include "core/mqtt/decode_body.h"

namespace mqloop::mqtt {
namespace {

constexpr std::uint8_t kDupBit = 0x08;
constexpr std::uint8_t kQoSBits = 0x06;
constexpr std::uint8_t kRequestFlags = 0x02;  // of PUBREL, SUBSCRIBE and UNSUBSCRIBE

// Who may send a packet type (2.1.2); DISCONNECT and AUTH of a server are 5.0's.
struct TypeRule {
  bool from_client;
  bool from_server;
  std::uint8_t flags;
};
constexpr TypeRule kTypeRules[16] = {
    /* reserved */ {false, false, 0},
    /* CONNECT */ {true, false, 0},
    /* CONNACK */ {false, true, 0},
    /* PUBLISH */ {true, true, 0},
    /* PUBACK */ {true, true, 0},
    /* PUBREC */ {true, true, 0},
    /* PUBREL */ {true, true, kRequestFlags},
    /* PUBCOMP */ {true, true, 0},
    /* SUBSCRIBE */ {true, false, kRequestFlags},
    /* SUBACK */ {false, true, 0},
    /* UNSUBSCRIBE */ {true, false, kRequestFlags},
    /* UNSUBACK */ {false, true, 0},
    /* PINGREQ */ {true, false, 0},
    /* PINGRESP */ {false, true, 0},
    /* DISCONNECT */ {true, true, 0},
    /* AUTH */ {true, true, 0},
};

constexpr PacketType type_of_byte(std::uint8_t byte) noexcept { return static_cast<PacketType>(byte >> 4); }
const TypeRule& rule_for(PacketType type) noexcept { return kTypeRules[static_cast<std::size_t>(type)]; }

Fault check_flags(PacketType type, std::uint8_t flags, ProtocolVersion version) noexcept {
  if (type == PacketType::kPublish) {
    if ((flags & kQoSBits) == kQoSBits) return Fault::kQoS3;
    return (flags & kDupBit) != 0 && (flags & kQoSBits) == 0 ? Fault::kDupWithQoS0 : Fault::kNone;
  }
  const std::uint8_t expected = rule_for(type).flags;
  // In 3.1 a repeated PUBREL, SUBSCRIBE or UNSUBSCRIBE has DUP set (3.1: section 2.1).
  if (version == ProtocolVersion::kV31 && expected == kRequestFlags) flags &= static_cast<std::uint8_t>(~kDupBit);
  return flags == expected ? Fault::kNone : Fault::kReservedFlags;
}

// The longest body of the types whose size is fixed: more is known to be wrong before it has come.
std::uint32_t maximum_length(PacketType type, ProtocolVersion version) noexcept {
  switch (type) {
    case PacketType::kPingreq:
    case PacketType::kPingresp:
      return 0;
    case PacketType::kDisconnect:
      return version == ProtocolVersion::kV5 ? kMaximumVariableByteInteger : 0;
    case PacketType::kConnack:
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
    case PacketType::kUnsuback:
      return version == ProtocolVersion::kV5 ? kMaximumVariableByteInteger : 2;
    default:
      return kMaximumVariableByteInteger;
  }
}

DecodeResult need_more(std::size_t size) noexcept {
  DecodeResult result;
  result.size = size;
  return result;
}

DecodeResult error(Fault fault) noexcept {
  DecodeResult result;
  result.kind = DecodeResult::Kind::kError;
  result.fault = fault;
  return result;
}

}  // namespace

Fault Decoder::check_phase(PacketType type) const noexcept {
  const bool is_auth = type == PacketType::kAuth;
  if (self_ == Role::kServer) {
    if (type == PacketType::kConnect) return phase_ == Phase::kFirst ? Fault::kNone : Fault::kSecondConnect;
    if (phase_ == Phase::kAuthenticating && !is_auth && type != PacketType::kDisconnect) {
      return Fault::kOnlyAuthBeforeConnack;
    }
  } else {
    if (type == PacketType::kConnack) return phase_ == Phase::kFirst ? Fault::kNone : Fault::kSecondConnack;
    if (phase_ == Phase::kFirst && !is_auth) return Fault::kFirstPacketNotConnack;
  }
  return is_auth && !authentication_method_used_ ? Fault::kAuthWithoutMethod : Fault::kNone;
}

Fault Decoder::check_first_byte(std::uint8_t byte) const noexcept {
  const PacketType type = type_of_byte(byte);
  const bool v5 = version_ == ProtocolVersion::kV5;
  if (self_ == Role::kServer && phase_ == Phase::kFirst && type != PacketType::kConnect) {
    return Fault::kFirstPacketNotConnect;
  }
  if (type == PacketType::kReserved || (type == PacketType::kAuth && !v5)) return Fault::kReservedPacketType;
  if (const Fault fault = check_flags(type, byte & 0x0FU, version_); fault != Fault::kNone) return fault;
  if (self_ == Role::kServer && !rule_for(type).from_client) return Fault::kNotForServer;
  if (self_ == Role::kClient && (!rule_for(type).from_server || (type == PacketType::kDisconnect && !v5))) {
    return Fault::kNotForClient;
  }
  return check_phase(type);
}

DecodeResult Decoder::decode(std::span<const std::uint8_t> bytes, Packet& out) noexcept {
  if (bytes.empty()) return need_more(0);
  const std::uint8_t first = bytes[0];
  if (const Fault fault = check_first_byte(first); fault != Fault::kNone) return error(fault);
  const PacketType type = type_of_byte(first);

  const VariableByteInteger length = read_variable_byte_integer(bytes.subspan(1));
  switch (length.kind) {
    case VariableByteInteger::Kind::kComplete:
      break;
    case VariableByteInteger::Kind::kUnfinished:
      return need_more(0);
    case VariableByteInteger::Kind::kTooLong:
      return error(Fault::kLengthTooLong);
    case VariableByteInteger::Kind::kNotMinimal:
      return error(Fault::kLengthNotMinimal);
  }
  if (length.value > maximum_length(type, version_)) return error(Fault::kLengthOutOfRange);
  const std::size_t head = 1U + length.size;
  const std::size_t size = head + length.value;
  if (size > limits_.maximum_packet_size) return error(Fault::kPacketTooLarge);
  if (bytes.size() < size) return need_more(size);

  DecodeResult result;
  result.fault = decode_body(type, first & 0x0FU, bytes.subspan(head, length.value), out, result);
  if (result.fault != Fault::kNone) {
    result.kind = DecodeResult::Kind::kError;
    return result;
  }
  advance(type, out);
  result.kind = DecodeResult::Kind::kPacket;
  result.size = size;
  return result;
}

Fault Decoder::decode_body(PacketType type, std::uint8_t flags, std::span<const std::uint8_t> bytes, Packet& out,
                           DecodeResult& result) noexcept {
  detail::BodyContext context{type, flags, version_, peer_of(self_), limits_.properties, result};
  ByteReader body(bytes);
  switch (type) {
    case PacketType::kPublish:
      return detail::decode_publish(context, body, out.emplace<PublishPacket>());
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return detail::decode_ack(context, body, out.emplace<AckPacket>());
    case PacketType::kConnect:
      return detail::decode_connect(context, body, out.emplace<ConnectPacket>());
    case PacketType::kConnack:
      return detail::decode_connack(context, body, out.emplace<ConnackPacket>());
    case PacketType::kSubscribe:
      return detail::decode_subscribe(context, body, out.emplace<SubscribePacket>());
    case PacketType::kSuback:
      return detail::decode_suback(context, body, out.emplace<SubackPacket>());
    case PacketType::kUnsubscribe:
      return detail::decode_unsubscribe(context, body, out.emplace<UnsubscribePacket>());
    case PacketType::kUnsuback:
      return detail::decode_unsuback(context, body, out.emplace<UnsubackPacket>());
    case PacketType::kPingreq:
      out.emplace<PingreqPacket>();
      return Fault::kNone;
    case PacketType::kPingresp:
      out.emplace<PingrespPacket>();
      return Fault::kNone;
    case PacketType::kDisconnect:
      return detail::decode_disconnect(context, body, out.emplace<DisconnectPacket>());
    case PacketType::kAuth:
      return detail::decode_auth(context, body, out.emplace<AuthPacket>());
    case PacketType::kReserved:
      break;
  }
  return Fault::kReservedPacketType;
}

void Decoder::advance(PacketType type, const Packet& packet) noexcept {
  if (type == PacketType::kConnack) {
    phase_ = Phase::kOpen;
  } else if (type == PacketType::kConnect) {
    const ConnectPacket& connect = *std::get_if<ConnectPacket>(&packet);
    version_ = connect.version;
    authentication_method_used_ = connect.properties.has(PropertyId::kAuthenticationMethod);
    phase_ = authentication_method_used_ ? Phase::kAuthenticating : Phase::kOpen;
  }
}

std::span<const std::uint8_t> first_packet(std::span<const std::uint8_t> bytes) noexcept {
  const VariableByteInteger length = read_variable_byte_integer(bytes.subspan(1));
  return bytes.first(std::size_t{1} + length.size + length.value);
}

}  // namespace mqloop::mqtt
