// A session that ends, or changes hands, while a connection is on its way to it from another reactor: in a whole broker
// on simulated time whose second reactor, the session's home, is held up meanwhile.
#include <cstdint>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;

constexpr std::uint32_t kElsewhere = 0;  // where those who travel arrive
constexpr std::uint32_t kHome = 1;
constexpr std::uint64_t kSeeds = 20;

// Two reactors, a watcher of wills on the first, and the client's first connection on the second.
struct Journey {
  explicit Journey(std::uint64_t seed, const TranscriptClient::Connect& options) : world(seed, 2) {
    world.start();
    watcher.connect();
    HEARS(watcher, "CONNACK 00");
    watcher.subscribe("will/#", 1);
    HEARS(watcher, "SUBACK 00");
    UNSIGNED_LONGS_EQUAL(1, shard(kElsewhere).connections());
    first.connect(options);
    HEARS(first, "CONNACK 00");
    UNSIGNED_LONGS_EQUAL(1, shard(kHome).connections());
  }
  // All that comes by now has ended.
  ~Journey() {
    for (TranscriptClient* client : {&first, &second, &third}) client->disconnect(ReasonCode::kNormalDisconnection, 0);
    CHECK(world.broker.settle());
    UNSIGNED_LONGS_EQUAL(1, world.broker.broker().directory().size());
    UNSIGNED_LONGS_EQUAL(1, shard(kElsewhere).connections());
    UNSIGNED_LONGS_EQUAL(0, shard(kHome).connections());
    UNSIGNED_LONGS_EQUAL(0, shard(kHome).sessions().size());
  }
  Shard& shard(std::uint32_t index) { return world.broker.broker().shard(index); }

  // Connects, and gets as far as the mailbox of its home.
  void travel(TranscriptClient& client, const TranscriptClient::Connect& options) {
    world.broker.halt(kHome, true);
    client.connect(options);
    HEARS(client, "");
    UNSIGNED_LONGS_EQUAL(1, shard(kElsewhere).connections());  // it has left
    CHECK(client.is_open_at_broker());
    UNSIGNED_LONGS_EQUAL(2, world.broker.broker().directory().size());
  }
  void arrive() { world.broker.halt(kHome, false); }
  // The client has a session of its own, which works.
  void expect_served(TranscriptClient& client) {
    const std::string topic = "own";
    client.subscribe(topic, 1, QoS::kAtMostOnce);
    HEARS(client, "SUBACK 00");
    client.publish(topic, "m");
    HEARS(client, "PUBLISH own m");
    UNSIGNED_LONGS_EQUAL(1, shard(kHome).sessions().size());
    UNSIGNED_LONGS_EQUAL(2, world.broker.broker().directory().size());
  }

  World world;
  TranscriptClient watcher{world.broker.network(), "watcher"};
  TranscriptClient first{world.broker.network(), "client"};
  TranscriptClient second{world.broker.network(), "client"};
  TranscriptClient third{world.broker.network(), "client"};
};

TranscriptClient::Connect with_will(const std::string& topic) { return {.clean_start = false, .will_topic = topic}; }

}  // namespace

TEST_GROUP(TravellingConnection){};

TEST(TravellingConnection, finds_a_fresh_session_when_the_old_one_has_broken_off_and_the_will_comes_once) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Journey journey(seed, with_will("will/first"));
    World& world = journey.world;
    journey.travel(journey.second, with_will("will/second"));
    journey.first.reset();
    journey.arrive();
    HEARS(journey.second, "CONNACK 00");
    HEARS(journey.watcher, "PUBLISH will/first will");
    journey.expect_served(journey.second);
    HEARS(journey.watcher, "");
  }
}

TEST(TravellingConnection, finds_a_fresh_session_when_the_client_has_ended_the_old_one_and_no_will_comes) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TranscriptClient::Connect lasting = with_will("will/first");
    lasting.expiry_interval = 1000;
    Journey journey(seed, lasting);
    World& world = journey.world;
    journey.travel(journey.second, with_will("will/second"));
    journey.first.disconnect(ReasonCode::kNormalDisconnection, 0);
    CHECK(world.broker.settle());
    journey.arrive();
    HEARS(journey.second, "CONNACK 00");
    HEARS(journey.watcher, "");
    journey.expect_served(journey.second);
  }
}

TEST(TravellingConnection, resumes_a_session_that_has_lost_its_connection_meanwhile) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TranscriptClient::Connect lasting = with_will("will/first");
    lasting.expiry_interval = 1000;
    Journey journey(seed, lasting);
    World& world = journey.world;
    journey.travel(journey.second, with_will("will/second"));
    journey.first.reset();
    journey.arrive();
    HEARS(journey.second, "CONNACK 00 present");
    HEARS(journey.watcher, "PUBLISH will/first will");
    journey.expect_served(journey.second);
    HEARS(journey.watcher, "");
  }
}

TEST(TravellingConnection, a_delayed_will_is_not_published_when_the_client_is_back_before_its_time) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TranscriptClient::Connect lasting = with_will("will/first");
    lasting.expiry_interval = 1000;
    lasting.will_delay = 5;
    Journey journey(seed, lasting);
    World& world = journey.world;
    journey.first.reset();
    CHECK(world.broker.settle());
    journey.travel(journey.second, with_will("will/second"));
    journey.arrive();
    HEARS(journey.second, "CONNACK 00 present");
    world.broker.pass(20s);
    HEARS(journey.watcher, "");
    journey.expect_served(journey.second);
  }
}

TEST(TravellingConnection, of_two_that_travel_to_a_session_that_ends_the_later_has_the_fresh_one) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Journey journey(seed, with_will("will/first"));
    World& world = journey.world;
    journey.travel(journey.second, with_will("will/second"));
    journey.travel(journey.third, with_will("will/third"));
    journey.first.reset();
    journey.arrive();
    HEARS(journey.third, "CONNACK 00");
    HEARS(journey.second, "CONNACK 00 | DISCONNECT 8e | closed");
    HEARS(journey.watcher, "PUBLISH will/first will | PUBLISH will/second will");
    journey.expect_served(journey.third);
  }
}

TEST(TravellingConnection, that_breaks_on_its_way_to_a_session_that_ends_leaves_nothing_behind) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Journey journey(seed, with_will("will/first"));
    World& world = journey.world;
    journey.travel(journey.second, {});
    journey.first.reset();
    journey.second.reset();
    journey.arrive();
    HEARS(journey.watcher, "PUBLISH will/first will");
    UNSIGNED_LONGS_EQUAL(1, world.broker.broker().directory().size());
    journey.third.connect();
    HEARS(journey.third, "CONNACK 00");
  }
}
