// limits.memory, stage by stage: asked of a whole broker on simulated time, whose ceiling is set around what it holds.
#include "core/broker/memory_guard.h"

#include <memory>
#include <optional>
#include <string>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using broker::DropCause;
using broker::MemoryStage;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override { ++connected; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override { closed = code; }
  void on_message(SimulatedClient&, const Received&) override { ++messages; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  int connected = 0;
  int messages = 0;
  std::optional<ReasonCode> closed;
  std::string faults;
};

}  // namespace

TEST_GROUP(MemoryGuard) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 2, false};
  Notes notes[4];
  SimulatedClient sender{broker.network(), notes[0], "sender", ProtocolVersion::kV5};
  SimulatedClient heavy{broker.network(), notes[1], "heavy", ProtocolVersion::kV5};
  SimulatedClient light{broker.network(), notes[2], "light", ProtocolVersion::kV5};
  SimulatedClient late{broker.network(), notes[3], "late", ProtocolVersion::kV311};

  void setup() override {
    broker.log().keep_lines();
    broker.settings().limits.memory = std::uint64_t{1} << 40;
    broker.start(publisher);
    sender.connect({});
    CHECK(broker.settle());
  }
  void teardown() override {
    for (const Notes& one : notes) STRCMP_EQUAL("", one.faults.c_str());
    CHECK(broker.stop());
  }
  // A client with `count` messages of 10,000 bytes that wait for it.
  void burden(SimulatedClient & client, int count, bool stays = false) {
    ConnectOptions options{.clean_start = false, .expiry_interval = 3600};
    if (stays) options.receive_maximum = 1;
    client.delay_acks(stays);
    client.connect(options);
    CHECK(broker.settle());
    const SubscribeEntry entry{client.id(), {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
    if (!stays) client.disconnect();
    CHECK(broker.settle());
    for (int i = 0; i != count; ++i) {
      sender.publish({.topic = client.id(), .payload = std::string(10'000, 'x'), .qos = QoS::kAtLeastOnce});
      CHECK(broker.settle());
    }
  }
  void wait(milliseconds time) {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(100)) {
      broker.pass(milliseconds(100));
      CHECK(broker.settle());
    }
  }
  // From now on this share of the ceiling is held.
  void hold(int percent) {
    broker.settings().limits.memory = broker.broker().memory().held() * 100 / static_cast<std::uint64_t>(percent);
    wait(milliseconds(1200));
  }
  MemoryStage stage() { return broker.broker().memory().stage(); }
  std::uint64_t dropped() { return broker.broker().total_drops(DropCause::kMemory); }
  std::string told() {
    std::string stages;
    for (const std::string& line : broker.log().lines("memory stage stage=")) {
      stages += line.substr(19, line.find(" held") - 19) + ' ';
    }
    return stages;
  }
};

TEST(MemoryGuard, below_its_first_stage_does_nothing) {
  burden(heavy, 10);
  hold(75);
  CHECK(stage() == MemoryStage::kNone);
  STRCMP_EQUAL("", told().c_str());
}

TEST(MemoryGuard, first_stops_accepting_and_takes_who_waits_when_it_is_over) {
  burden(heavy, 10);
  hold(85);
  CHECK(stage() == MemoryStage::kStopAccepting);
  late.connect({});
  wait(seconds(20));  // a stage that stays, as long as nothing grows
  LONGS_EQUAL(0, notes[3].connected);
  LONGS_EQUAL(0, dropped());
  sender.publish({.topic = "nobody", .payload = "x", .qos = QoS::kAtLeastOnce});
  CHECK(broker.settle());
  LONGS_EQUAL(0, sender.in_flight());
  hold(50);
  LONGS_EQUAL(1, notes[3].connected);
  STRCMP_EQUAL("stop_accepting none ", told().c_str());
}

TEST(MemoryGuard, then_holds_publishers_whose_keep_alive_stands_still) {
  burden(heavy, 10);
  sender.disconnect();
  CHECK(broker.settle());
  sender.connect({.keep_alive = 1});
  CHECK(broker.settle());
  hold(92);
  CHECK(stage() == MemoryStage::kHoldPublishers);
  sender.publish({.topic = "nobody", .payload = "x", .qos = QoS::kAtLeastOnce});
  wait(milliseconds(3000));
  LONGS_EQUAL(1, sender.in_flight());
  CHECK(!notes[0].closed);
  hold(50);
  LONGS_EQUAL(0, sender.in_flight());
  CHECK(!notes[0].closed);
  LONGS_EQUAL(0, dropped());
}

TEST(MemoryGuard, then_drops_qos_0) {
  burden(heavy, 10);
  light.connect({});
  late.connect({.will = WillOptions{.topic = "will", .payload = "gone"}});
  CHECK(broker.settle());
  const SubscribeEntry entry{"will", {}};
  light.subscribe({&entry, 1}, 0, 1);
  CHECK(broker.settle());
  hold(97);
  CHECK(stage() == MemoryStage::kDropQos0);
  late.reset();
  CHECK(broker.settle());
  LONGS_EQUAL(0, notes[2].messages);
  LONGS_EQUAL(1, dropped());
}

TEST(MemoryGuard, last_drops_what_waits_for_the_heaviest_client_and_no_more_than_it_must) {
  burden(light, 5);
  burden(heavy, 40);
  hold(101);
  LONGS_EQUAL(40, dropped());
  CHECK(stage() == MemoryStage::kNone);
  const auto lines = broker.log().lines("memory dropping what waits for a client client=heavy");
  LONGS_EQUAL(1, lines.size());
  light.connect({.clean_start = false, .expiry_interval = 3600});
  CHECK(broker.settle());
  LONGS_EQUAL(5, notes[2].messages);
}

TEST(MemoryGuard, disconnects_the_heaviest_when_it_is_there) {
  burden(heavy, 40, true);
  hold(101);
  CHECK(ReasonCode::kQuotaExceeded == notes[1].closed);
  CHECK(dropped() >= 38);  // one or two are in flight
  CHECK(!notes[0].closed);
}

TEST(MemoryGuard, does_not_hold_publishers_for_ever) {
  burden(light, 5);
  burden(heavy, 40);
  hold(92);
  sender.publish({.topic = "nobody", .payload = "x", .qos = QoS::kAtLeastOnce});
  wait(seconds(3));
  LONGS_EQUAL(1, sender.in_flight());
  LONGS_EQUAL(0, dropped());
  wait(seconds(8));
  LONGS_EQUAL(40, dropped());
  LONGS_EQUAL(0, sender.in_flight());
  STRCMP_EQUAL("hold_publishers drop_qos0 disconnect none ", told().c_str());
}

TEST(MemoryGuard, lets_go_when_the_ceiling_is_taken_away) {
  burden(heavy, 10);
  hold(92);
  late.connect({});
  CHECK(broker.settle());
  LONGS_EQUAL(0, notes[3].connected);
  broker.settings().limits.memory = 0;
  wait(seconds(2));
  CHECK(stage() == MemoryStage::kNone);
  LONGS_EQUAL(1, notes[3].connected);
}

TEST(MemoryGuard, counts_what_goes_as_it_counted_what_came) {
  wait(seconds(1));
  const std::uint64_t before = broker.broker().memory().held();
  burden(heavy, 10);
  late.connect({});
  CHECK(broker.settle());
  CHECK(broker.broker().memory().held() >= before + 100'000);
  late.disconnect();
  heavy.connect({.clean_start = true});
  CHECK(broker.settle());
  heavy.disconnect();
  wait(seconds(3));
  const std::uint64_t after = broker.broker().memory().held();
  CHECK(after >= before && after < before + 50'000);  // tables keep a little room
}

TEST_GROUP(MemoryStages){};

TEST(MemoryStages, begin_and_end_where_the_table_says) {
  struct Row {
    MemoryStage from;
    std::uint64_t percent;
    MemoryStage to;
  };
  using enum MemoryStage;
  const Row rows[] = {
      {kNone, 0, kNone},
      {kNone, 79, kNone},
      {kNone, 80, kStopAccepting},
      {kNone, 90, kHoldPublishers},
      {kNone, 95, kDropQos0},
      {kNone, 100, kDisconnect},
      {kNone, 5000, kDisconnect},
      {kStopAccepting, 70, kStopAccepting},
      {kStopAccepting, 69, kNone},
      {kStopAccepting, 92, kHoldPublishers},
      {kHoldPublishers, 80, kHoldPublishers},
      {kHoldPublishers, 79, kStopAccepting},
      {kHoldPublishers, 10, kNone},
      {kDropQos0, 85, kDropQos0},
      {kDropQos0, 84, kHoldPublishers},
      {kDisconnect, 90, kDisconnect},
      {kDisconnect, 89, kDropQos0},
      {kDisconnect, 75, kStopAccepting},
      {kDisconnect, 0, kNone},
  };
  for (const Row& row : rows) {
    const std::string text = std::string(name_of(row.from)) + " " + std::to_string(row.percent);
    STRCMP_EQUAL_TEXT(std::string(name_of(row.to)).c_str(),
                      std::string(name_of(broker::next_stage(row.from, row.percent, 100, false))).c_str(),
                      text.c_str());
  }
}

TEST(MemoryStages, impatience_moves_on_from_where_publishers_are_held) {
  using enum MemoryStage;
  CHECK(broker::next_stage(kStopAccepting, 85, 100, true) == kStopAccepting);
  CHECK(broker::next_stage(kHoldPublishers, 85, 100, true) == kDropQos0);
  CHECK(broker::next_stage(kDropQos0, 86, 100, true) == kDisconnect);
  CHECK(broker::next_stage(kDisconnect, 91, 100, true) == kDisconnect);
  CHECK(broker::next_stage(kHoldPublishers, 50, 100, true) == kNone);
}
