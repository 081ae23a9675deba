// What a connection that has nothing to say may hold: itself, its session, and not one buffer.
#include <cstdint>
#include <string>
#include <vector>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::broker::test;

std::vector<std::uint8_t> encoded(const mqtt::PublishPacket& packet) {
  std::vector<std::uint8_t> bytes;
  CHECK(mqtt::append(packet, ProtocolVersion::kV5, bytes));
  return bytes;
}

}  // namespace

TEST_GROUP(IdleConnection) {
  World world;
  std::uint64_t held_at_rest = 0;

  Shard& shard() { return world.broker.broker().shard(0); }
  std::uint64_t held() { return shard().counters().bytes_held.value(); }
  std::size_t chunks() { return shard().loop().chunks().in_use(); }

  void setup() override {
    world.broker.settings().limits.memory = 1ULL << 30;  // so that what is held is counted
    world.start();
  }
  void connect(sim::TranscriptClient & client) {
    client.connect();
    client.subscribe("news/#", 1);
    HEARS(client, "CONNACK 00 | SUBACK 00");
    held_at_rest = held();
  }
};

TEST(IdleConnection, connection_and_session_stay_within_256_bytes_each) {
  CHECK(sizeof(Connection) <= 256);
  CHECK(sizeof(Session) <= 256);
}

TEST(IdleConnection, what_was_sent_to_it_leaves_no_buffer_behind) {
  sim::TranscriptClient client(world.broker.network(), "client");
  connect(client);
  LONGS_EQUAL(0, chunks());
  client.publish("news/1", std::string(20'000, 'x'));
  CHECK(world.heard(client).starts_with("PUBLISH"));
  LONGS_EQUAL(0, chunks());
  LONGS_EQUAL(held_at_rest, held());
}

TEST(IdleConnection, output_that_is_not_taken_is_held_only_until_it_is) {
  sim::NetworkFaults faults;
  faults.capacity = 1000;
  world.broker.network().set_faults(faults);
  sim::TranscriptClient slow(world.broker.network(), "slow");
  connect(slow);
  slow.stop_listening();
  slow.publish("news/1", std::string(20'000, 'x'));
  CHECK(world.broker.settle());
  CHECK(chunks() > 0);
  slow.reset();
  CHECK(world.broker.settle());
  LONGS_EQUAL(0, chunks());
}

TEST(IdleConnection, an_unfinished_packet_is_held_only_until_it_is_whole) {
  sim::TranscriptClient client(world.broker.network(), "client");
  connect(client);
  const std::string payload(5000, 'x');
  mqtt::PublishPacket packet;
  packet.topic = "news/1";
  packet.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  const std::vector<std::uint8_t> bytes = encoded(packet);
  client.send_bytes(std::span(bytes).first(3000));
  CHECK(world.broker.settle());
  CHECK(held() >= held_at_rest + 3000);
  client.send_bytes(std::span(bytes).subspan(3000));
  CHECK(world.heard(client).starts_with("PUBLISH"));
  LONGS_EQUAL(held_at_rest, held());
}
