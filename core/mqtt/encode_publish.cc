// PUBLISH as the broker sends it: the head apart from the payload, and what is each receiver's own in front of the
// properties that all share.
#include "core/mqtt/bytes.h"
#include "core/mqtt/encoder.h"

namespace mqloop::mqtt {
namespace {

constexpr std::size_t kTopicAliasSize = 1 + 2;
constexpr std::size_t kMessageExpirySize = 1 + 4;
constexpr unsigned kDupBit = 0x08;

std::uint8_t id_byte(PropertyId id) noexcept { return static_cast<std::uint8_t>(id); }

std::size_t size_of(const PublishAdditions& additions) noexcept {
  std::size_t size = 0;
  if (additions.topic_alias != 0) size += kTopicAliasSize;
  if (additions.message_expiry_interval) size += kMessageExpirySize;
  for (const std::uint32_t id : additions.subscription_identifiers) size += 1 + variable_byte_integer_size(id);
  return size;
}

// The properties of the publisher that the additions leave in place; `room` is used when something must be hidden.
const Properties& remaining(const Properties& properties, const PublishAdditions& additions,
                            Properties& room) noexcept {
  const Properties* rest = &properties;
  const auto hide = [&](bool replaced, PropertyId id) {
    if (!replaced || !rest->has(id)) return;
    room = rest->without(id);
    rest = &room;
  };
  hide(additions.topic_alias != 0, PropertyId::kTopicAlias);
  hide(additions.message_expiry_interval.has_value(), PropertyId::kMessageExpiryInterval);
  hide(!additions.subscription_identifiers.empty(), PropertyId::kSubscriptionIdentifier);
  return *rest;
}

void write_additions(ByteWriter& writer, const PublishAdditions& additions) noexcept {
  if (additions.topic_alias != 0) writer.u8(id_byte(PropertyId::kTopicAlias)).u16(additions.topic_alias);
  if (additions.message_expiry_interval) {
    writer.u8(id_byte(PropertyId::kMessageExpiryInterval)).u32(*additions.message_expiry_interval);
  }
  for (const std::uint32_t id : additions.subscription_identifiers) {
    writer.u8(id_byte(PropertyId::kSubscriptionIdentifier)).variable_byte_integer(id);
  }
}

}  // namespace

PublishLayout layout_of(const PublishPacket& packet, ProtocolVersion version,
                        const PublishAdditions& additions) noexcept {
  const bool v5 = version == ProtocolVersion::kV5;
  const bool has_id = packet.qos != QoS::kAtMostOnce;
  std::size_t properties_size = 0;
  std::size_t variable_header = 2 + packet.topic.size() + (has_id ? 2 : 0);
  if (v5) {
    Properties room;
    properties_size = size_of(additions) + remaining(packet.properties, additions, room).size();
    variable_header += variable_byte_integer_size(properties_size) + properties_size;
  }
  const std::size_t length = variable_header + packet.payload.size();
  if (length > kMaximumVariableByteInteger) return {};
  const std::size_t fixed_header = 1 + variable_byte_integer_size(length);
  PublishLayout layout;
  layout.total_size = static_cast<std::uint32_t>(fixed_header + length);
  layout.head_size = static_cast<std::uint32_t>(fixed_header + variable_header);
  layout.packet_id_offset = has_id ? static_cast<std::uint32_t>(fixed_header + 2 + packet.topic.size()) : 0;
  layout.remaining_length = static_cast<std::uint32_t>(length);
  layout.properties_size = static_cast<std::uint32_t>(properties_size);
  return layout;
}

std::uint8_t* encode_head(const PublishPacket& packet, ProtocolVersion version, const PublishLayout& layout,
                          std::uint8_t* out, const PublishAdditions& additions) noexcept {
  const unsigned flags =
      (packet.dup ? kDupBit : 0U) | (static_cast<unsigned>(packet.qos) << 1) | (packet.retain ? 0x01U : 0U);
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>((static_cast<unsigned>(PacketType::kPublish) << 4) | flags));
  writer.variable_byte_integer(layout.remaining_length);
  writer.text(packet.topic);
  if (packet.qos != QoS::kAtMostOnce) writer.u16(packet.packet_id);
  if (version != ProtocolVersion::kV5) return writer.position();
  writer.variable_byte_integer(layout.properties_size);
  write_additions(writer, additions);
  Properties room;
  return remaining(packet.properties, additions, room).write(writer.position());
}

void patch_packet_id(std::uint8_t* head, const PublishLayout& layout, std::uint16_t packet_id) noexcept {
  ByteWriter(head + layout.packet_id_offset).u16(packet_id);
}

void set_dup(std::uint8_t* head, bool dup) noexcept {
  head[0] = static_cast<std::uint8_t>(dup ? head[0] | kDupBit : head[0] & ~kDupBit);
}

std::size_t encoded_size(const PublishPacket& packet, ProtocolVersion version) noexcept {
  return layout_of(packet, version).total_size;
}

std::uint8_t* encode(const PublishPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept {
  const PublishLayout layout = layout_of(packet, version);
  return ByteWriter(encode_head(packet, version, layout, out)).raw(packet.payload).position();
}

}  // namespace mqloop::mqtt
