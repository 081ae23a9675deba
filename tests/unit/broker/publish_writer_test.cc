// What goes to many receivers is the same, byte for byte, as what would be encoded for each alone.
#include <sys/uio.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/broker/publish_writer.h"
#include "core/mqtt/property_writer.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;

constexpr MonotonicTime kNow{std::chrono::hours(1)};

using Bytes = std::vector<std::uint8_t>;

Bytes take(event::SendQueue& queue) {
  Bytes bytes;
  while (!queue.empty()) {
    std::array<iovec, 8> parts;
    const std::size_t count = queue.gather(parts);
    std::size_t size = 0;
    for (std::size_t i = 0; i != count; ++i) {
      const auto* data = static_cast<const std::uint8_t*>(parts[i].iov_base);
      bytes.insert(bytes.end(), data, data + parts[i].iov_len);
      size += parts[i].iov_len;
    }
    queue.consume(size);
  }
  return bytes;
}

}  // namespace

TEST_GROUP(PublishWriter) {
  event::ChunkPool pool;
  event::SendQueue queue{pool};
  PublishWriter writer;
  mqtt::PropertyWriter properties;
  std::string payload = "payload";

  mqtt::PublishPacket packet(QoS qos = QoS::kExactlyOnce) {
    mqtt::PublishPacket result;
    result.qos = qos;
    result.packet_id = qos == QoS::kAtMostOnce ? 0 : 7;
    result.topic = "a/b";
    result.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    result.properties = properties.properties();
    return result;
  }

  // What the plain encoder makes of it for that receiver.
  Bytes expected(const PublishReceiver& receiver, const mqtt::PublishAdditions& additions = {}) {
    mqtt::PublishPacket plain = packet();
    plain.dup = receiver.dup;
    plain.qos = receiver.qos;
    plain.retain = receiver.retain;
    plain.packet_id = receiver.packet_id;
    const mqtt::PublishLayout layout = mqtt::layout_of(plain, receiver.version, additions);
    Bytes bytes(layout.head_size);
    mqtt::encode_head(plain, receiver.version, layout, bytes.data(), additions);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
  }

  Bytes written(RoutedMessage & message, const PublishReceiver& receiver) {
    const std::size_t size = writer.write(message, receiver, kNow, queue);
    LONGS_EQUAL(size, queue.size());
    return take(queue);
  }

  static std::vector<PublishReceiver> receivers() {
    std::vector<PublishReceiver> result;
    for (const ProtocolVersion version : {ProtocolVersion::kV5, ProtocolVersion::kV311}) {
      for (const QoS qos : {QoS::kAtMostOnce, QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
        for (const bool flag : {false, true}) {
          PublishReceiver receiver;
          receiver.version = version;
          receiver.qos = qos;
          receiver.retain = flag;
          receiver.dup = flag && qos != QoS::kAtMostOnce;
          receiver.packet_id =
              qos == QoS::kAtMostOnce ? std::uint16_t{0} : static_cast<std::uint16_t>(1000 + result.size());
          result.push_back(receiver);
        }
      }
    }
    return result;
  }

  void check_every_receiver_twice() {
    const mqtt::PublishPacket source = packet();
    RoutedMessage message(source, source.topic, kNow, 1);
    writer.begin();
    for (int round = 0; round != 3; ++round) {
      for (const PublishReceiver& receiver : receivers()) CHECK(expected(receiver) == written(message, receiver));
    }
  }
};

TEST(PublishWriter, every_receiver_gets_the_packet_that_the_encoder_would_make_for_it_alone) {
  properties.add(mqtt::PropertyId::kContentType, "text").add_user_property("k", "v");
  check_every_receiver_twice();
}

TEST(PublishWriter, payloads_that_are_referenced_arrive_whole) {
  for (const std::size_t size :
       {PublishWriter::kReferenceFrom - 1, PublishWriter::kReferenceFrom, std::size_t{70'000}}) {
    payload.assign(size, 'x');
    payload.back() = 'y';
    check_every_receiver_twice();
  }
}

TEST(PublishWriter, heads_larger_than_a_chunk_arrive_whole) {
  for (int i = 0; i != 10; ++i) properties.add_user_property("name", std::string(1000, static_cast<char>('a' + i)));
  check_every_receiver_twice();
  payload.assign(5000, 'z');
  check_every_receiver_twice();
}

TEST(PublishWriter, a_new_message_is_not_written_from_the_bytes_of_the_last_one) {
  PublishReceiver receiver;
  for (const char* text : {"first", "other", "third one"}) {
    payload = text;
    const mqtt::PublishPacket source = packet();
    RoutedMessage message(source, source.topic, kNow, 1);
    writer.begin();
    for (int i = 0; i != 3; ++i) CHECK(expected(receiver) == written(message, receiver));
  }
}

TEST(PublishWriter, above_the_receivers_maximum_packet_size_nothing_is_written) {
  const mqtt::PublishPacket source = packet();
  RoutedMessage message(source, source.topic, kNow, 1);
  PublishReceiver receiver;
  const auto size = static_cast<std::uint32_t>(expected(receiver).size());
  writer.begin();
  for (int i = 0; i != 3; ++i) {  // the first by itself, the others from the shape
    receiver.maximum_packet_size = size - 1;
    LONGS_EQUAL(0, writer.write(message, receiver, kNow, queue));
    CHECK(queue.empty());
    receiver.maximum_packet_size = size;
    CHECK(expected(receiver) == written(message, receiver));
  }
}

TEST(PublishWriter, subscription_identifiers_are_the_receivers_own) {
  const mqtt::PublishPacket source = packet();
  RoutedMessage message(source, source.topic, kNow, 1);
  writer.begin();
  const std::vector<std::uint32_t> mine = {1, 268'435'455};
  PublishReceiver with;
  with.identifiers = mine;
  const PublishReceiver without;
  for (int i = 0; i != 2; ++i) {
    CHECK(expected(without) == written(message, without));
    CHECK(expected(with, {0, std::nullopt, mine}) == written(message, with));
  }
  with.version = ProtocolVersion::kV311;
  CHECK(expected(with) == written(message, with));  // which has none
}

TEST(PublishWriter, an_alias_stands_for_the_topic_from_the_second_time_on) {
  const mqtt::PublishPacket source = packet();
  RoutedMessage message(source, source.topic, kNow, 1);
  mqtt::OutboundTopicAliases aliases(4);
  PublishReceiver receiver;
  receiver.aliases = &aliases;
  std::size_t sizes[2];
  for (std::size_t& size : sizes) {
    writer.begin();
    size = written(message, receiver).size();
  }
  LONGS_EQUAL(sizes[0] - std::string("a/b").size(), sizes[1]);
}

TEST(PublishWriter, an_alias_that_did_not_fit_is_not_taken_for_known) {
  const mqtt::PublishPacket source = packet();
  RoutedMessage message(source, source.topic, kNow, 1);
  mqtt::OutboundTopicAliases aliases(4);
  PublishReceiver receiver;
  receiver.aliases = &aliases;
  writer.begin();
  receiver.maximum_packet_size = 10;
  LONGS_EQUAL(0, writer.write(message, receiver, kNow, queue));
  receiver.maximum_packet_size = 1000;
  const Bytes bytes = written(message, receiver);
  CHECK(std::string(bytes.begin(), bytes.end()).find("a/b") != std::string::npos);
}

TEST(PublishWriter, what_is_left_of_the_message_expiry_interval_is_sent_to_all) {
  properties.add(mqtt::PropertyId::kMessageExpiryInterval, 100);
  const mqtt::PublishPacket source = packet();
  RoutedMessage message(source, source.topic, kNow - std::chrono::seconds(60), 1);
  const PublishReceiver receiver;
  writer.begin();
  for (int i = 0; i != 3; ++i) CHECK(expected(receiver, {0, 40, {}}) == written(message, receiver));
}
