// Rules of PUBLISH and SUBSCRIBE that need settings or a publisher of their own; all others are proven byte by byte in
// tests/protocol.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;
using Id = mqtt::PropertyId;

constexpr ProtocolVersion kBefore5[] = {ProtocolVersion::kV31, ProtocolVersion::kV311};

mqtt::PublishPacket publish(std::string_view topic, QoS qos, bool retain = false, std::uint16_t packet_id = 1) {
  mqtt::PublishPacket packet;
  packet.topic = topic;
  packet.qos = qos;
  packet.retain = retain;
  packet.packet_id = qos == QoS::kAtMostOnce ? std::uint16_t{0} : packet_id;
  return packet;
}

// SUBSCRIBE with QoS 0, in every version.
void subscribe(TranscriptClient& client, ProtocolVersion version, std::string_view filter) {
  const auto length = static_cast<std::uint8_t>(filter.size());
  std::vector<std::uint8_t> bytes = {0, 1};
  if (version == ProtocolVersion::kV5) bytes.push_back(0);
  bytes.insert(bytes.end(), {0, length});
  bytes.insert(bytes.end(), filter.begin(), filter.end());
  bytes.push_back(0);
  bytes.insert(bytes.begin(), {0x82, static_cast<std::uint8_t>(bytes.size())});
  client.send_bytes(bytes);
}

// What publisher_memory is, but for other nodes whose subscribers nobody here knows.
class RemotePublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {false, true, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& /*reactor*/, PublishSink& /*sink*/) override {
    return nullptr;
  }
  void close() noexcept override {}
};

}  // namespace

TEST_GROUP(PublishRules) {
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};
};

TEST(PublishRules, above_the_highest_qos_it_is_refused_in_every_version) {
  world.broker.settings().limits.max_qos = 1;
  world.start();
  client.connect();
  client.send(publish("a", QoS::kAtLeastOnce));
  client.send(publish("a", QoS::kExactlyOnce, false, 2));
  HEARS(client, "CONNACK 00 | PUBACK 10 | DISCONNECT 9b | closed");
  for (const ProtocolVersion version : kBefore5) {
    client.set_version(version);
    client.connect();
    client.send(publish("a", QoS::kExactlyOnce));
    HEARS(client, "CONNACK 00 | closed");
  }
}

TEST(PublishRules, with_retain_it_is_refused_where_nothing_is_retained) {
  world.broker.settings().limits.retain.enabled = false;
  world.start();
  client.connect();
  client.send(publish("a", QoS::kAtLeastOnce));
  client.send(publish("a", QoS::kAtLeastOnce, true, 2));
  HEARS(client, "CONNACK 00 | PUBACK 10 | DISCONNECT 9a | closed");
  LONGS_EQUAL(0, client.announced(Id::kRetainAvailable).value_or(99));
}

TEST(PublishRules, nobody_has_subscribed_is_not_said_where_other_nodes_may_have) {
  RemotePublisher remote;
  world.broker.start(remote);
  client.connect();
  client.send(publish("a", QoS::kAtLeastOnce));
  HEARS(client, "CONNACK 00 | PUBACK");
  world.stop();
}

TEST(PublishRules, of_qos_0_waits_for_who_is_away_when_told_to) {
  world.broker.settings().limits.session.queue_qos0 = true;
  world.start();
  client.connect({.clean_start = false, .expiry_interval = 100});
  client.subscribe("a", 1);
  HEARS(client, "CONNACK 00 | SUBACK 00");
  client.reset();
  TranscriptClient publisher(world.broker.network(), "publisher");
  publisher.connect();
  publisher.publish("a", "while away");
  HEARS(publisher, "CONNACK 00");
  client.connect({.clean_start = false, .expiry_interval = 100});
  const std::string heard = world.heard(client);
  CHECK(heard.find("PUBLISH a while away") != std::string::npos);
}

TEST_GROUP(SubscribeRules) {
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};
};

TEST(SubscribeRules, every_wildcard_is_refused_where_wildcards_are_switched_off) {
  world.broker.settings().limits.subscriptions.wildcard = false;
  world.start();
  for (const ProtocolVersion version : {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5}) {
    const bool five = version == ProtocolVersion::kV5;
    client.set_version(version);
    client.connect();
    HEARS(client, "CONNACK 00");
    for (const char* filter : {"#", "+", "a/#", "a/+/b"}) {
      subscribe(client, version, filter);
      HEARS(client, five ? "SUBACK a2" : "SUBACK 80");
    }
    subscribe(client, version, "a");
    HEARS(client, "SUBACK 00");
  }
  LONGS_EQUAL(0, client.announced(Id::kWildcardSubscriptionAvailable).value_or(99));
}

// [MQTT-3.8.4-3] of 3.1.1 and [MQTT-3.8.4-4]: whichever way two reactors and the network interleave.
TEST(SubscribeRules, replacing_a_subscription_loses_no_message_and_repeats_none) {
  world.start();
  for (std::uint64_t seed = 1; seed != 40; ++seed) {
    World busy(seed, 2);
    busy.start();
    TranscriptClient subscriber(busy.broker.network(), "subscriber");
    TranscriptClient publisher(busy.broker.network(), "publisher");
    subscriber.connect();
    subscriber.subscribe("a", 1);
    publisher.connect();
    CHECK(busy.broker.settle());
    (void)subscriber.take();
    std::string expected;
    for (int number = 0; number != 60; ++number) {
      const std::string payload = "number-" + std::to_string(number);
      publisher.publish("a", payload);
      expected += payload + " ";
      if (number % 2 == 0) subscriber.subscribe("a", static_cast<std::uint16_t>(2 + number), QoS::kAtLeastOnce);
      for (std::uint64_t steps = busy.random.below(5); steps != 0; --steps) (void)busy.broker.step();
    }
    const std::string heard = busy.heard(subscriber);
    std::string got;
    for (std::size_t at = heard.find("number-"); at != std::string::npos; at = heard.find("number-", at + 1)) {
      got += heard.substr(at, heard.find_first_of(" |", at) - at) + " ";
    }
    STRCMP_EQUAL(expected.c_str(), got.c_str());
  }
}
