// What it costs to read a PUBLISH and to write the head of one, for 3.1.1 and for 5.0 with properties.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "tests/bench/support/meter.h"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

constexpr unsigned kTimes = 1000;

// A server's decoder after the CONNECT.
mqtt::Decoder open_decoder(ProtocolVersion version) {
  mqtt::ConnectPacket connect;
  connect.version = version;
  connect.client_id = "client";
  std::vector<std::uint8_t> bytes;
  mqtt::append(connect, version, bytes);
  mqtt::Decoder decoder(mqtt::Role::kServer);
  mqtt::Packet packet;
  expect(decoder.decode(bytes, packet).kind == mqtt::DecodeResult::Kind::kPacket, "CONNECT is decoded");
  decoder.connack_sent();
  return decoder;
}

void measure_publish(const std::string& name, const mqtt::PublishPacket& publish, ProtocolVersion version) {
  std::vector<std::uint8_t> bytes;
  mqtt::append(publish, version, bytes);
  mqtt::Decoder decoder = open_decoder(version);
  std::size_t topics = 0;
  measure("decode PUBLISH, " + name, "packet", kTimes, [&] {
    mqtt::Packet packet;
    for (unsigned i = 0; i != kTimes; ++i) {
      (void)decoder.decode(bytes, packet);
      if (const auto* decoded = std::get_if<mqtt::PublishPacket>(&packet)) topics += decoded->topic.size();
    }
  });
  expect(topics == kTimes * publish.topic.size(), "every PUBLISH is decoded");

  std::array<std::uint8_t, 512> head{};
  std::size_t written = 0;
  measure("encode PUBLISH, " + name, "packet", kTimes, [&] {
    for (unsigned i = 0; i != kTimes; ++i) {
      const mqtt::PublishLayout layout = mqtt::layout_of(publish, version);
      written += static_cast<std::size_t>(mqtt::encode_head(publish, version, layout, head.data()) - head.data());
    }
  });
  expect(written == kTimes * (bytes.size() - publish.payload.size()), "every head is written");
}

}  // namespace

int main() {
  const std::vector<std::uint8_t> payload(64, 'x');
  mqtt::PublishPacket publish;
  publish.topic = "plant/site7/line/device42/state";
  publish.payload = payload;
  measure_publish("3.1.1 QoS 0", publish, ProtocolVersion::kV311);
  publish.qos = QoS::kAtLeastOnce;
  publish.packet_id = 7;
  measure_publish("3.1.1 QoS 1", publish, ProtocolVersion::kV311);
  measure_publish("5.0 QoS 1", publish, ProtocolVersion::kV5);
  mqtt::PropertyWriter properties;
  properties.add(mqtt::PropertyId::kMessageExpiryInterval, 3600U);
  properties.add(mqtt::PropertyId::kContentType, std::string_view("application/json"));
  properties.add(mqtt::PropertyId::kResponseTopic, std::string_view("plant/site7/answers"));
  publish.properties = properties.properties();
  measure_publish("5.0 QoS 1, three properties", publish, ProtocolVersion::kV5);
}
