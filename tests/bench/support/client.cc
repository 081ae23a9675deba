#include "tests/bench/support/client.h"

#include <span>
#include <utility>
#include <variant>

#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "tests/bench/support/meter.h"

namespace mqloop::bench {

Client::Client(std::string id, ProtocolVersion version)
    : id_(std::move(id)), version_(version), decoder_(mqtt::Role::kClient) {}

void Client::send_connect(bool clean_start, bool keep_session) {
  decoder_ = mqtt::Decoder(mqtt::Role::kClient);
  decoder_.set_version(version_);
  mqtt::ConnectPacket packet;
  packet.version = version_;
  packet.clean_start = version_ == ProtocolVersion::kV5 ? clean_start : !keep_session;
  packet.keep_alive = 60;
  packet.client_id = id_;
  mqtt::PropertyWriter properties;
  if (version_ == ProtocolVersion::kV5 && keep_session) {
    packet.properties = properties.add(mqtt::PropertyId::kSessionExpiryInterval, 0xffffffffU).properties();
  }
  send(packet);
}

void Client::disconnect() {
  connected_ = false;
  send(mqtt::DisconnectPacket{});
}

void Client::ping() { send(mqtt::PingreqPacket{}); }

void Client::subscribe(std::string_view filter, QoS qos) {
  mqtt::SubscribePacket packet;
  packet.packet_id = next_packet_id();
  mqtt::SubscriptionListWriter list;
  mqtt::SubscriptionOptions options;
  options.maximum_qos = qos;
  packet.subscriptions = list.add(filter, options).list();
  send(packet);
}

void Client::unsubscribe(std::string_view filter) {
  mqtt::UnsubscribePacket packet;
  packet.packet_id = next_packet_id();
  mqtt::TopicFilterListWriter list;
  packet.filters = list.add(filter).list();
  send(packet);
}

void Client::publish(std::string_view topic, std::string_view payload, QoS qos, bool retain) {
  mqtt::PublishPacket packet;
  packet.qos = qos;
  packet.retain = retain;
  packet.topic = topic;
  packet.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  if (qos != QoS::kAtMostOnce) packet.packet_id = next_packet_id();
  send(packet);
}

std::uint16_t Client::next_packet_id() noexcept {
  return last_packet_id_ = static_cast<std::uint16_t>(last_packet_id_ % 65535 + 1);
}

void Client::send(const mqtt::Packet& packet) {
  expect(mqtt::append(packet, version_, sent_), "a packet of the client can be encoded");
  has_sent();
}

void Client::answer() {
  const std::vector<std::uint8_t> bytes = std::exchange(arrived_, {});
  std::size_t used = 0;
  while (used != bytes.size()) {
    mqtt::Packet packet;
    const mqtt::DecodeResult result = decoder_.decode(std::span(bytes).subspan(used), packet);
    expect(result.kind != mqtt::DecodeResult::Kind::kError, "the broker sends what a client may take");
    if (result.kind == mqtt::DecodeResult::Kind::kNeedMore) break;
    used += result.size;
    handle(packet);
  }
  arrived_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
}

void Client::handle(const mqtt::Packet& packet) {
  if (const auto* connack = std::get_if<mqtt::ConnackPacket>(&packet)) {
    connected_ = connack->reason_code == ReasonCode::kSuccess;
  } else if (const auto* publish = std::get_if<mqtt::PublishPacket>(&packet)) {
    ++messages_;
    if (publish->qos == QoS::kAtLeastOnce) acknowledge(mqtt::PacketType::kPuback, publish->packet_id);
    if (publish->qos == QoS::kExactlyOnce) acknowledge(mqtt::PacketType::kPubrec, publish->packet_id);
  } else if (const auto* ack = std::get_if<mqtt::AckPacket>(&packet)) {
    if (ack->type == mqtt::PacketType::kPubrec) acknowledge(mqtt::PacketType::kPubrel, ack->packet_id);
    if (ack->type == mqtt::PacketType::kPubrel) acknowledge(mqtt::PacketType::kPubcomp, ack->packet_id);
  } else if (std::holds_alternative<mqtt::DisconnectPacket>(packet)) {
    connected_ = false;
  } else {
    ++answers_;
  }
}

void Client::acknowledge(mqtt::PacketType type, std::uint16_t packet_id) {
  mqtt::AckPacket packet;
  packet.type = type;
  packet.packet_id = packet_id;
  send(packet);
}

}  // namespace mqloop::bench
