#include "core/mqtt/encoder.h"

#include <string_view>

#include "core/mqtt/bytes.h"
#include "core/mqtt/reason_codes.h"

namespace mqloop::mqtt {
namespace {

constexpr bool is_v5(ProtocolVersion version) noexcept { return version == ProtocolVersion::kV5; }

constexpr std::uint8_t first_byte(PacketType type, unsigned flags = 0) noexcept {
  return static_cast<std::uint8_t>((static_cast<unsigned>(type) << 4) | flags);
}

constexpr unsigned fixed_flags(PacketType type) noexcept {
  const bool request =
      type == PacketType::kPubrel || type == PacketType::kSubscribe || type == PacketType::kUnsubscribe;
  return request ? 0x02 : 0x00;
}

// The size of a whole packet with a body of `length` bytes; 0 when no Remaining Length can say that.
std::size_t packet_size(std::size_t length) noexcept {
  return length > kMaximumVariableByteInteger ? 0 : 1 + variable_byte_integer_size(length) + length;
}

// The Property Length and the properties, which 3.x does not have.
std::size_t section_size(const Properties& properties, ProtocolVersion version) noexcept {
  return is_v5(version) ? variable_byte_integer_size(properties.size()) + properties.size() : 0;
}

void write_section(ByteWriter& writer, const Properties& properties, ProtocolVersion version) noexcept {
  if (!is_v5(version)) return;
  writer.variable_byte_integer(properties.size());
  writer.advance_to(properties.write(writer.position()));
}

ByteWriter begin(PacketType type, std::size_t length, std::uint8_t* out) noexcept {
  ByteWriter writer(out);
  writer.u8(first_byte(type, fixed_flags(type))).variable_byte_integer(length);
  return writer;
}

// --- CONNECT -------------------------------------------------------------------------------------------------------

std::string_view protocol_name(ProtocolVersion version) noexcept {
  return version == ProtocolVersion::kV31 ? "MQIsdp" : "MQTT";
}

std::uint8_t connect_flags(const ConnectPacket& packet) noexcept {
  unsigned flags = packet.clean_start ? 0x02 : 0;
  if (packet.will) {
    flags |= 0x04U | (static_cast<unsigned>(packet.will->qos) << 3) | (packet.will->retain ? 0x20U : 0U);
  }
  if (packet.password) flags |= 0x40;
  if (packet.user_name) flags |= 0x80;
  return static_cast<std::uint8_t>(flags);
}

std::size_t body_length(const ConnectPacket& packet) noexcept {
  constexpr std::size_t kLevelFlagsKeepAlive = 4;
  std::size_t length = 2 + protocol_name(packet.version).size() + kLevelFlagsKeepAlive +
                       section_size(packet.properties, packet.version) + 2 + packet.client_id.size();
  if (packet.will) {
    length += section_size(packet.will->properties, packet.version) + 2 + packet.will->topic.size() + 2 +
              packet.will->payload.size();
  }
  if (packet.user_name) length += 2 + packet.user_name->size();
  if (packet.password) length += 2 + packet.password->size();
  return length;
}

// --- Acknowledgements and the like ---------------------------------------------------------------------------------

// How much of {code, properties} is written after the fixed part, when what follows from silence may be left out.
enum class Form : std::uint8_t { kNothing, kCode, kCodeAndProperties };

Form shortest_form(ReasonCode code, const Properties& properties, ProtocolVersion version) noexcept {
  if (!is_v5(version)) return Form::kNothing;
  if (!properties.empty()) return Form::kCodeAndProperties;
  return code == ReasonCode::kSuccess ? Form::kNothing : Form::kCode;
}

std::size_t form_size(Form form, const Properties& properties) noexcept {
  if (form == Form::kNothing) return 0;
  return form == Form::kCode ? 1 : 1 + section_size(properties, ProtocolVersion::kV5);
}

void write_form(ByteWriter& writer, Form form, ReasonCode code, const Properties& properties) noexcept {
  if (form == Form::kNothing) return;
  writer.u8(static_cast<std::uint8_t>(code));
  if (form == Form::kCodeAndProperties) write_section(writer, properties, ProtocolVersion::kV5);
}

std::size_t body_length(const ConnackPacket& packet, ProtocolVersion version) noexcept {
  return 2 + section_size(packet.properties, version);
}

std::size_t body_length(const AckPacket& packet, ProtocolVersion version) noexcept {
  return 2 + form_size(shortest_form(packet.reason_code, packet.properties, version), packet.properties);
}

std::size_t body_length(const DisconnectPacket& packet, ProtocolVersion version) noexcept {
  return form_size(shortest_form(packet.reason_code, packet.properties, version), packet.properties);
}

std::size_t body_length(const AuthPacket& packet) noexcept {
  return 1 + section_size(packet.properties, ProtocolVersion::kV5);
}

// --- SUBSCRIBE, UNSUBSCRIBE and their answers ----------------------------------------------------------------------

std::size_t body_length(const SubscribePacket& packet, ProtocolVersion version) noexcept {
  return 2 + section_size(packet.properties, version) + packet.subscriptions.bytes().size();
}

std::size_t body_length(const UnsubscribePacket& packet, ProtocolVersion version) noexcept {
  return 2 + section_size(packet.properties, version) + packet.filters.bytes().size();
}

std::size_t body_length(const SubackPacket& packet, ProtocolVersion version) noexcept {
  return 2 + section_size(packet.properties, version) + packet.reason_codes.size();
}

std::size_t body_length(const UnsubackPacket& packet, ProtocolVersion version) noexcept {
  return 2 + section_size(packet.properties, version) + (is_v5(version) ? packet.reason_codes.size() : 0);
}

// In 3.x a subscription has but one failure [MQTT-3.9.3-2 of 3.1.1].
std::uint8_t suback_code(ReasonCode code, ProtocolVersion version) noexcept {
  return static_cast<std::uint8_t>(!is_v5(version) && is_error(code) ? ReasonCode::kUnspecifiedError : code);
}

}  // namespace

std::size_t encoded_size(const ConnectPacket& packet) noexcept { return packet_size(body_length(packet)); }

std::uint8_t* encode(const ConnectPacket& packet, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kConnect, body_length(packet), out);
  writer.text(protocol_name(packet.version)).u8(static_cast<std::uint8_t>(packet.version));
  writer.u8(connect_flags(packet)).u16(packet.keep_alive);
  write_section(writer, packet.properties, packet.version);
  writer.text(packet.client_id);
  if (packet.will) {
    write_section(writer, packet.will->properties, packet.version);
    writer.text(packet.will->topic).binary(packet.will->payload);
  }
  if (packet.user_name) writer.text(*packet.user_name);
  if (packet.password) writer.binary(*packet.password);
  return writer.position();
}

std::size_t encoded_size(const ConnackPacket& packet, ProtocolVersion version) noexcept {
  if (!is_v5(version) && !connack_return_code(packet.reason_code)) return 0;
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const ConnackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kConnack, body_length(packet, version), out);
  // In 3.1 the byte is reserved: no Session Present.
  writer.u8(packet.session_present && version != ProtocolVersion::kV31 ? 1 : 0);
  if (is_v5(version)) {
    writer.u8(static_cast<std::uint8_t>(packet.reason_code));
  } else {
    writer.u8(connack_return_code(packet.reason_code).value_or(0));
  }
  write_section(writer, packet.properties, version);
  return writer.position();
}

std::size_t encoded_size(const AckPacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const AckPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(packet.type, body_length(packet, version), out);
  writer.u16(packet.packet_id);
  const Form form = shortest_form(packet.reason_code, packet.properties, version);
  write_form(writer, form, packet.reason_code, packet.properties);
  return writer.position();
}

std::size_t encoded_size(const SubscribePacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const SubscribePacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kSubscribe, body_length(packet, version), out);
  writer.u16(packet.packet_id);
  write_section(writer, packet.properties, version);
  if (is_v5(version)) return writer.raw(packet.subscriptions.bytes()).position();
  for (const SubscriptionRequest& request : packet.subscriptions) {
    writer.text(request.filter).u8(static_cast<std::uint8_t>(request.options.maximum_qos));
  }
  return writer.position();
}

std::size_t encoded_size(const SubackPacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const SubackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kSuback, body_length(packet, version), out);
  writer.u16(packet.packet_id);
  write_section(writer, packet.properties, version);
  for (const ReasonCode code : packet.reason_codes) writer.u8(suback_code(code, version));
  return writer.position();
}

std::size_t encoded_size(const UnsubscribePacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const UnsubscribePacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kUnsubscribe, body_length(packet, version), out);
  writer.u16(packet.packet_id);
  write_section(writer, packet.properties, version);
  return writer.raw(packet.filters.bytes()).position();
}

std::size_t encoded_size(const UnsubackPacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const UnsubackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kUnsuback, body_length(packet, version), out);
  writer.u16(packet.packet_id);
  write_section(writer, packet.properties, version);
  if (is_v5(version)) {
    for (const ReasonCode code : packet.reason_codes) writer.u8(static_cast<std::uint8_t>(code));
  }
  return writer.position();
}

std::size_t encoded_size(const PingreqPacket&, ProtocolVersion) noexcept { return packet_size(0); }

std::uint8_t* encode(const PingreqPacket&, ProtocolVersion, std::uint8_t* out) noexcept {
  return begin(PacketType::kPingreq, 0, out).position();
}

std::size_t encoded_size(const PingrespPacket&, ProtocolVersion) noexcept { return packet_size(0); }

std::uint8_t* encode(const PingrespPacket&, ProtocolVersion, std::uint8_t* out) noexcept {
  return begin(PacketType::kPingresp, 0, out).position();
}

std::size_t encoded_size(const DisconnectPacket& packet, ProtocolVersion version) noexcept {
  return packet_size(body_length(packet, version));
}

std::uint8_t* encode(const DisconnectPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kDisconnect, body_length(packet, version), out);
  const Form form = shortest_form(packet.reason_code, packet.properties, version);
  write_form(writer, form, packet.reason_code, packet.properties);
  return writer.position();
}

std::size_t encoded_size(const AuthPacket& packet, ProtocolVersion version) noexcept {
  return is_v5(version) ? packet_size(body_length(packet)) : 0;
}

std::uint8_t* encode(const AuthPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  ByteWriter writer = begin(PacketType::kAuth, body_length(packet), out);
  writer.u8(static_cast<std::uint8_t>(packet.reason_code));
  write_section(writer, packet.properties, version);
  return writer.position();
}

std::size_t encoded_size(const Packet& packet, ProtocolVersion version) noexcept {
  return std::visit(
      [version](const auto& concrete) -> std::size_t {
        using T = std::decay_t<decltype(concrete)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return 0;
        } else if constexpr (std::is_same_v<T, ConnectPacket>) {
          return encoded_size(concrete);
        } else {
          return encoded_size(concrete, version);
        }
      },
      packet);
}

std::uint8_t* encode(const Packet& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  return std::visit(
      [version, out](const auto& concrete) -> std::uint8_t* {
        using T = std::decay_t<decltype(concrete)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return out;
        } else if constexpr (std::is_same_v<T, ConnectPacket>) {
          return encode(concrete, out);
        } else {
          return encode(concrete, version, out);
        }
      },
      packet);
}

bool append(const Packet& packet, ProtocolVersion version, std::vector<std::uint8_t>& out) {
  const std::size_t size = encoded_size(packet, version);
  if (size == 0) return false;
  const std::size_t before = out.size();
  out.resize(before + size);
  encode(packet, version, out.data() + before);
  return true;
}

}  // namespace mqloop::mqtt
