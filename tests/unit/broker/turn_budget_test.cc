// How much of what one client has sent is handled in a turn, in a broker on simulated time.
#include <algorithm>
#include <cstdint>

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

  void setup() override {
    world.start();
    client.connect();
    HEARS(client, "CONNACK 00");
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
