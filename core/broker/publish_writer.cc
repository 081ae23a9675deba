#include "core/broker/publish_writer.h"

#include <algorithm>

namespace mqloop::broker {

namespace {

constexpr std::uint8_t kRetainBit = 0x01;
constexpr unsigned kQosShift = 1;
constexpr std::uint8_t kDupBit = 0x08;
constexpr std::uint8_t kPublishType = 0x30;

std::uint8_t first_byte(const PublishReceiver& receiver) noexcept {
  return static_cast<std::uint8_t>(kPublishType | (receiver.dup ? kDupBit : 0) |
                                   (static_cast<unsigned>(receiver.qos) << kQosShift) |
                                   (receiver.retain ? kRetainBit : 0));
}

mqtt::PublishPacket packet_for(const RoutedMessage& message, const PublishReceiver& receiver) noexcept {
  mqtt::PublishPacket packet = message.packet();
  packet.dup = receiver.dup;
  packet.qos = receiver.qos;
  packet.retain = receiver.retain;
  packet.packet_id = receiver.packet_id;
  return packet;
}

}  // namespace

void PublishWriter::begin() noexcept {
  for (Shape& shape : shapes_) {
    shape.uses = 0;
    shape.made = false;
  }
}

std::size_t PublishWriter::write(RoutedMessage& message, const PublishReceiver& receiver, MonotonicTime now,
                                 event::SendQueue& output) {
  const bool v5 = receiver.version == ProtocolVersion::kV5;
  if (v5 && (!receiver.identifiers.empty() || receiver.aliases != nullptr)) {
    return write_own(message, receiver, now, output);
  }
  Shape& shape = shapes_[(v5 ? 2U : 0U) + (receiver.qos == QoS::kAtMostOnce ? 0U : 1U)];
  if (shape.uses++ == 0) return write_own(message, receiver, now, output);
  return write_shape(shape, message, receiver, now, output);
}

std::size_t PublishWriter::write_shape(Shape& shape, RoutedMessage& message, const PublishReceiver& receiver,
                                       MonotonicTime now, event::SendQueue& output) {
  const bool whole = message.packet().payload.size() < kReferenceFrom;
  if (!shape.made) {
    const mqtt::PublishPacket packet = packet_for(message, receiver);
    mqtt::PublishAdditions additions;
    if (receiver.version == ProtocolVersion::kV5) additions.message_expiry_interval = message.remaining_expiry(now);
    shape.layout = mqtt::layout_of(packet, receiver.version, additions);
    if (shape.layout.total_size == 0) return 0;
    shape.bytes.resize(whole ? shape.layout.total_size : shape.layout.head_size);
    std::uint8_t* end = mqtt::encode_head(packet, receiver.version, shape.layout, shape.bytes.data(), additions);
    if (whole) std::copy(packet.payload.begin(), packet.payload.end(), end);
    shape.made = true;
  }
  if (shape.layout.total_size == 0 || shape.layout.total_size > receiver.maximum_packet_size) return 0;
  if (shape.bytes.size() <= event::SendQueue::kMostReserved) {
    std::uint8_t* out = output.reserve(shape.bytes.size());
    std::copy(shape.bytes.begin(), shape.bytes.end(), out);
    *out = first_byte(receiver);
    if (receiver.packet_id != 0) mqtt::patch_packet_id(out, shape.layout, receiver.packet_id);
    output.commit(shape.bytes.size());
  } else {
    shape.bytes[0] = first_byte(receiver);
    if (receiver.packet_id != 0) mqtt::patch_packet_id(shape.bytes.data(), shape.layout, receiver.packet_id);
    output.append(shape.bytes);
  }
  if (!whole) append_payload(message, output);
  return shape.layout.total_size;
}

std::size_t PublishWriter::write_own(RoutedMessage& message, const PublishReceiver& receiver, MonotonicTime now,
                                     event::SendQueue& output) {
  mqtt::PublishPacket packet = packet_for(message, receiver);
  mqtt::PublishAdditions additions;
  if (receiver.version == ProtocolVersion::kV5) {
    additions.message_expiry_interval = message.remaining_expiry(now);
    additions.subscription_identifiers = receiver.identifiers;
  }
  mqtt::OutboundTopicAliases::Choice choice;
  if (receiver.aliases != nullptr) {
    choice = receiver.aliases->choose(packet.topic);
    additions.topic_alias = choice.alias;
    if (choice.alias != 0 && !choice.send_topic) packet.topic = {};
  }
  const mqtt::PublishLayout layout = mqtt::layout_of(packet, receiver.version, additions);
  if (layout.total_size == 0 || layout.total_size > receiver.maximum_packet_size) {
    if (choice.alias != 0 && choice.send_topic) receiver.aliases->forget(choice.alias);
    return 0;
  }
  const bool whole = packet.payload.size() < kReferenceFrom;
  const std::size_t contiguous = whole ? layout.total_size : layout.head_size;
  if (contiguous <= event::SendQueue::kMostReserved) {
    std::uint8_t* out = output.reserve(contiguous);
    std::uint8_t* end = mqtt::encode_head(packet, receiver.version, layout, out, additions);
    if (whole) std::copy(packet.payload.begin(), packet.payload.end(), end);
    output.commit(contiguous);
  } else {
    head_.resize(layout.head_size);
    mqtt::encode_head(packet, receiver.version, layout, head_.data(), additions);
    output.append(head_);
    if (whole) output.append(packet.payload);
  }
  if (!whole) append_payload(message, output);
  return layout.total_size;
}

void PublishWriter::append_payload(RoutedMessage& message, event::SendQueue& output) {
  const Ref<const Message>& shared = message.message();
  output.append_shared(shared, shared->payload());
}

}  // namespace mqloop::broker
