// How much of what one client has sent is handled in a turn, and what another one notices of it, in a broker on
// simulated time.
#include <algorithm>
#include <cstdint>
#include <string>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;
using broker::test::World;

constexpr int kPackets = 500;

}  // namespace

TEST_GROUP(TurnBudget) {
  World world;
  TranscriptClient client{world.broker.network(), "client"};
  TranscriptClient other{world.broker.network(), "other"};

  void setup() override {
    world.start();
    client.connect();
    HEARS(client, "CONNACK 00");
    other.connect();
    HEARS(other, "CONNACK 00");
  }
  std::uint64_t handled() { return world.broker.broker().total(&Counters::packets_received); }
  // The most that a step handles of kPackets that come together.
  std::uint64_t most_of_a_turn(const mqtt::Packet& packet) {
    client.hold();
    for (int i = 0; i != kPackets; ++i) client.send(packet);
    client.release();
    const std::uint64_t all = handled() + kPackets;
    std::uint64_t most = 0;
    for (std::uint64_t before = handled(); world.broker.step(); before = handled()) {
      most = std::max(most, handled() - before);
    }
    UNSIGNED_LONGS_EQUAL(all, handled());
    return most;
  }

  // How far `counter` gets in each turn, at the most on average, from a question of another client to its answer.
  std::uint64_t progress_until_answered(Counter Counters::*counter) {
    Broker& broker = world.broker.broker();
    const auto turns = [&broker] { return broker.shard(0).loop().statistics().turns; };
    const std::uint64_t first_turn = turns();
    const std::uint64_t before = broker.total(counter);
    other.ping();
    while (other.take() != "PINGRESP") CHECK(world.broker.step());
    return (broker.total(counter) - before) / (turns() - first_turn);
  }
};

TEST(TurnBudget, of_ordinary_packets_a_client_has_its_part) {
  // Of what is read, and of what was left over.
  CHECK(most_of_a_turn(mqtt::PingreqPacket{}) <= 2 * 64);
}

// The network may cut what comes together in two.
TEST(TurnBudget, of_acknowledgements_a_client_has_more_in_a_turn) {
  mqtt::AckPacket puback;
  puback.type = mqtt::PacketType::kPuback;
  puback.packet_id = 1;
  CHECK(most_of_a_turn(puback) >= kPackets / 2);
}

// ---- what another client notices -----------------------------------------------------------------------------------

TEST(TurnBudget, a_client_is_answered_while_another_floods) {
  constexpr int kFlood = 20'000;
  client.hold();
  for (int i = 0; i != kFlood; ++i) client.publish("t", "m");
  const std::uint64_t all = handled() + kFlood;
  client.release();
  for (const std::uint64_t before = handled(); handled() == before;) CHECK(world.broker.step());
  CHECK(progress_until_answered(&Counters::packets_received) <= 2 * 64);
  CHECK(handled() < all);
  CHECK(world.broker.settle());
  UNSIGNED_LONGS_EQUAL(all + 1, handled());
}

TEST(TurnBudget, a_client_is_answered_while_another_is_sent_all_retained_messages) {
  constexpr std::uint64_t kRetained = 20'000;
  for (std::uint64_t i = 0; i != kRetained; ++i) {
    mqtt::PublishPacket publish;
    const std::string topic = "r/" + std::to_string(i);
    publish.topic = topic;
    publish.payload = {reinterpret_cast<const std::uint8_t*>("m"), 1};
    publish.retain = true;
    client.send(publish);
  }
  CHECK(world.broker.settle());
  UNSIGNED_LONGS_EQUAL(kRetained, world.broker.broker().retained().count());
  client.subscribe("#", 1);
  const auto sent = [this] { return world.broker.broker().total(&Counters::publishes_sent); };
  while (sent() == 0) CHECK(world.broker.step());
  CHECK(progress_until_answered(&Counters::publishes_sent) <= 256);
  CHECK(sent() < kRetained);
  CHECK(world.broker.settle());
  UNSIGNED_LONGS_EQUAL(kRetained, sent());
}
