// The brake on clients that fight for one identifier: its arithmetic, and what it makes of CONNECTs to a whole broker
// on simulated time.
#include "core/broker/take_over_brake.h"

#include <memory>
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

constexpr MonotonicTime kStart{1000s};

}  // namespace

// ---- when the next may ----------------------------------------------------------------------------------------------

TEST_GROUP(TakeOverBrake) {
  TakeOverBrake brake;

  // How long the next has to wait after `count` take-overs, each as soon as it may.
  std::chrono::milliseconds wait_after(int count, MonotonicTime& now, std::uint64_t client = 1) {
    for (int i = 0; i != count; ++i) {
      now = std::max(now, brake.due(client));
      brake.taken_over(client, now);
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::max(now, brake.due(client)) - now);
  }
};

TEST(TakeOverBrake, five_are_free_and_then_each_waits_twice_as_long_up_to_five_seconds) {
  MonotonicTime now = kStart;
  LONGS_EQUAL(0, wait_after(4, now).count());
  CHECK(now == kStart);
  for (const int wait : {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000}) {
    LONGS_EQUAL(wait, wait_after(1, now).count());
  }
}

TEST(TakeOverBrake, take_overs_that_are_ten_seconds_apart_never_wait) {
  MonotonicTime now = kStart;
  for (int i = 0; i != 100; ++i, now += 10s) LONGS_EQUAL(0, wait_after(1, now).count());
}

TEST(TakeOverBrake, a_fight_is_forgotten_by_one_in_ten_seconds) {
  MonotonicTime now = kStart;
  LONGS_EQUAL(200, wait_after(6, now).count());
  now += 11s;
  LONGS_EQUAL(200, wait_after(1, now).count());
  now += 30s;
  LONGS_EQUAL(0, wait_after(1, now).count() / 1000);
  now = kStart;
  (void)wait_after(1000, now, 2);
  now += 120s;
  LONGS_EQUAL(0, wait_after(1, now, 2).count());
}

TEST(TakeOverBrake, identifiers_do_not_wait_for_each_other) {
  MonotonicTime now = kStart;
  CHECK(wait_after(10, now, 1) > 1s);
  MonotonicTime other = now;
  LONGS_EQUAL(0, wait_after(4, other, 2).count());
}

TEST(TakeOverBrake, remembers_so_many_and_makes_room_when_some_are_forgotten) {
  for (std::uint64_t client = 1; client <= TakeOverBrake::kMost; ++client) brake.taken_over(client, kStart);
  MonotonicTime now = kStart + 1s;
  LONGS_EQUAL(0, wait_after(10, now, 1'000'000).count());  // not known: not braked
  now = kStart + 20s;
  CHECK(wait_after(10, now, 1'000'000) > 1s);
}

// ---- clients that fight ---------------------------------------------------------------------------------------------

TEST_GROUP(TakeOverFight) {
  World world{3, 2};
  std::vector<std::unique_ptr<TranscriptClient>> clients;

  void setup() override { world.broker.log().keep_lines(); }
  TranscriptClient& connect() {
    clients.push_back(std::make_unique<TranscriptClient>(world.broker.network(), "prize"));
    clients.back()->connect();
    return *clients.back();
  }
  // A connection that is in, after the five take-overs that are free.
  TranscriptClient& fight() {
    world.start();
    for (int i = 0; i != 5; ++i) {
      HEARS(connect(), "CONNACK 00");
    }
    TranscriptClient& last = connect();
    HEARS(last, "CONNACK 00");
    return last;
  }
  std::uint64_t braked() { return world.broker.broker().total(&Counters::take_overs_braked); }
};

TEST(TakeOverFight, who_comes_next_waits_and_who_holds_the_session_is_served_meanwhile) {
  TranscriptClient& holder = fight();
  LONGS_EQUAL(0, braked());
  TranscriptClient& next = connect();
  HEARS(next, "");
  LONGS_EQUAL(1, braked());
  holder.ping();
  HEARS(holder, "PINGRESP");
  TranscriptClient stranger(world.broker.network(), "stranger");
  stranger.connect();
  HEARS(stranger, "CONNACK 00");
  world.broker.pass(99ms);
  HEARS(next, "");
  world.broker.pass(20ms);
  HEARS(next, "CONNACK 00");
  HEARS(holder, "DISCONNECT 8e | closed");
}

TEST(TakeOverFight, what_was_sent_behind_the_connect_is_not_lost) {
  fight();
  TranscriptClient& next = connect();
  next.ping();
  HEARS(next, "");
  world.broker.pass(120ms);
  HEARS(next, "CONNACK 00 | PINGRESP");
}

TEST(TakeOverFight, is_told_once_a_minute) {
  fight();
  const auto lines = [this] { return world.broker.log().lines("connection braked client=prize"); };
  for (int i = 0; i != 4; ++i) {
    TranscriptClient& next = connect();
    HEARS(next, "");
    world.broker.pass(1s);
    HEARS(next, "CONNACK 00");
  }
  LONGS_EQUAL(1, lines().size());
  STRCMP_CONTAINS("reason=clients take over this identifier from each other", lines()[0].c_str());
  CHECK(lines()[0].find("left_out") == std::string::npos);
  for (int i = 0; i != 16; ++i) {
    TranscriptClient& next = connect();
    CHECK(world.broker.settle());
    world.broker.pass(5001ms);
    HEARS(next, "CONNACK 00");
  }
  LONGS_EQUAL(2, lines().size());
  STRCMP_CONTAINS("left_out=", lines()[1].c_str());
}

TEST(TakeOverFight, each_of_many_waits_for_its_turn_under_its_connect_timeout) {
  world.broker.settings().limits.connect_timeout = 4s;
  fight();
  std::vector<TranscriptClient*> crowd;
  for (int i = 0; i != 20; ++i) crowd.push_back(&connect());
  CHECK(world.broker.settle());
  LONGS_EQUAL(20, braked());
  for (int i = 0; i != 450; ++i) {
    world.broker.pass(10ms);
    CHECK(world.broker.settle());
  }
  int entered = 0;
  int refused = 0;
  for (TranscriptClient* client : crowd) {
    const std::string heard = client->take();
    entered += heard.starts_with("CONNACK 00") ? 1 : 0;
    refused += heard == "CONNACK 89 | closed" ? 1 : 0;
  }
  LONGS_EQUAL(5, entered);  // after 0.1, 0.3, 0.7, 1.5 and 3.1 s
  LONGS_EQUAL(15, refused);
}

TEST(TakeOverFight, one_that_gives_up_leaves_nothing_behind) {
  TranscriptClient& holder = fight();
  TranscriptClient& next = connect();
  HEARS(next, "");
  next.reset();
  CHECK(world.broker.settle());
  world.broker.pass(1s);
  CHECK(world.broker.settle());
  holder.ping();
  HEARS(holder, "PINGRESP");
  holder.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(holder, "closed");
  LONGS_EQUAL(0, world.broker.broker().directory().size());
}

TEST(TakeOverFight, a_session_that_nobody_holds_any_more_is_not_waited_for) {
  TranscriptClient& holder = fight();
  holder.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(holder, "closed");
  HEARS(connect(), "CONNACK 00");
}
