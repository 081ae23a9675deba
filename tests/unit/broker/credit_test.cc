// limits.reactor_backlog: a reactor that does not come to its mail, because the simulation gives it no turn, and others
// that have messages for it.
#include "core/broker/credit.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override { closed = code; }
  void on_message(SimulatedClient&, const Received& message) override {
    ++messages;
    latest = message.payload;
    const int number = expected[message.topic]++;
    if (message.topic[0] == 't' && std::atoi(message.payload.c_str()) != number) faults += "out of order\n";
  }
  void on_publish_acknowledged(SimulatedClient&, std::uint64_t, ReasonCode) override { ++acknowledged; }
  void on_answered(SimulatedClient&, std::uint64_t request) override { answered = request; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  int messages = 0;
  int acknowledged = 0;
  std::string latest;
  std::map<std::string, int> expected;  // by topic: the number that comes next
  std::uint64_t answered = 0;
  std::optional<ReasonCode> closed;
  std::string faults;
};

constexpr std::uint64_t kMark = 4000;
constexpr std::uint64_t kMost = kMark + 400;  // the message that reaches the mark is sent

}  // namespace

// Clients go to the reactors in turn: `here` and `beside` to the first, `there` and `yonder` to the second.
TEST_GROUP(Credit) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 2, false};
  Notes notes[4];
  SimulatedClient here{broker.network(), notes[0], "here", ProtocolVersion::kV5};
  SimulatedClient there{broker.network(), notes[1], "there", ProtocolVersion::kV5};
  SimulatedClient beside{broker.network(), notes[2], "beside", ProtocolVersion::kV5};
  SimulatedClient yonder{broker.network(), notes[3], "yonder", ProtocolVersion::kV311};

  void setup() override {
    broker.log().keep_lines();
    broker.settings().limits.reactor_backlog = kMark;
    broker.start(publisher);
  }
  void teardown() override {
    for (const Notes& one : notes) STRCMP_EQUAL("", one.faults.c_str());
    CHECK(broker.stop());
  }
  void enter(std::uint16_t keep_alive = 0) {
    for (SimulatedClient* client : {&here, &there, &beside, &yonder}) {
      ConnectOptions options{.keep_alive = client == &here || client == &beside ? keep_alive : std::uint16_t{0}};
      if (client == &beside) options.will = WillOptions{.topic = "will", .payload = "gone"};
      client->connect(options);
      CHECK(broker.settle());
    }
    for (std::uint32_t i = 0; i != 2; ++i) {
      LONGS_EQUAL(2, broker.broker().shard(i).counters().connections_open.value());
    }
  }
  void subscribe(SimulatedClient & client, const char* filter) {
    const SubscribeEntry entry{filter, {}};
    client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
  }
  // Numbers, of so many bytes each.
  std::uint64_t publish(SimulatedClient & client, int count, QoS qos = QoS::kAtMostOnce, std::size_t bytes = 100) {
    std::uint64_t last = 0;
    const std::string topic = "t/" + client.id();
    for (int i = 0; i != count; ++i) {
      std::string number = std::to_string(published[topic]++);
      last = client.publish({.topic = topic, .payload = number + std::string(bytes - number.size(), ' '), .qos = qos});
    }
    return last;
  }
  std::uint64_t outstanding(std::uint32_t reactor) { return broker.broker().shard(reactor).credits().outstanding(); }
  std::uint64_t held(std::uint32_t reactor) {
    return broker.broker().shard(reactor).counters().publishers_held.value();
  }
  bool holds(std::uint32_t reactor) { return broker.broker().shard(reactor).holds_publishers(); }

  std::map<std::string, int> published;
};

TEST(Credit, nobody_who_publishes_is_read_while_another_reactor_is_behind) {
  enter();
  subscribe(there, "t/#");
  broker.halt(1, true);
  publish(here, 50);
  const std::uint64_t ping = here.ping();
  CHECK(broker.settle());
  CHECK(holds(0));
  CHECK(notes[0].answered < ping);
  const std::uint64_t waits = outstanding(0);
  CHECK(waits >= kMark && waits <= kMost);
  publish(beside, 50);  // whoever it is
  CHECK(broker.settle());
  LONGS_EQUAL(waits, outstanding(0));
  LONGS_EQUAL(1, held(0));
  LONGS_EQUAL(1, broker.log().lines("reactor holding publishers reactor=0 waits_for=1 bytes=").size());
  broker.halt(1, false);
  CHECK(broker.settle());
  LONGS_EQUAL(100, notes[1].messages);
  LONGS_EQUAL(ping, notes[0].answered);
  LONGS_EQUAL(0, outstanding(0));
  CHECK(!holds(0));
  // Once a minute is enough for the log; the counter has them all.
  CHECK(held(0) > 1);
  LONGS_EQUAL(1, broker.log().lines("reactor holding publishers").size());
}

TEST(Credit, a_backlog_below_the_mark_holds_nobody) {
  enter();
  subscribe(there, "t/#");
  broker.halt(1, true);
  publish(here, 10);
  const std::uint64_t ping = here.ping();
  CHECK(broker.settle());
  LONGS_EQUAL(ping, notes[0].answered);
  CHECK(outstanding(0) != 0 && outstanding(0) < kMark);
  LONGS_EQUAL(0, held(0));
  broker.halt(1, false);
}

TEST(Credit, reading_goes_on_when_half_of_the_mark_is_left) {
  enter();
  subscribe(there, "t/#");
  broker::CreditAccount& account = *broker.broker().shard(0).credits().account(1);
  broker.halt(1, true);
  publish(here, 50);
  CHECK(broker.settle());
  account.give_back(outstanding(0) - kMark / 2 - 1);
  CHECK(broker.settle());
  CHECK(holds(0));
  account.give_back(1);
  CHECK(broker.settle());
  LONGS_EQUAL(2, held(0));  // it went on, up to the mark
  const std::uint64_t waits = outstanding(0);
  CHECK(waits >= kMark && waits <= kMost);
  account.spend(kMark + kMark);  // what this test gave back in advance, and more
  broker.halt(1, false);
  CHECK(broker.settle());
}

TEST(Credit, a_message_above_the_mark_passes_alone) {
  enter();
  subscribe(there, "large");
  for (int i = 0; i != 3; ++i) here.publish({.topic = "large", .payload = std::string(10'000, 'x')});
  CHECK(broker.settle());
  LONGS_EQUAL(3, notes[1].messages);
  LONGS_EQUAL(3, held(0));
  LONGS_EQUAL(0, outstanding(0));
}

TEST(Credit, what_was_taken_is_acknowledged_and_who_does_not_publish_notices_nothing) {
  enter();
  subscribe(there, "t/#");
  subscribe(beside, "t/#");
  broker.halt(1, true);
  publish(here, 12, QoS::kAtLeastOnce, 1000);
  CHECK(broker.settle());
  CHECK(holds(0));
  LONGS_EQUAL(4, notes[0].acknowledged);
  LONGS_EQUAL(notes[0].acknowledged, notes[2].messages);  // a subscriber at home has them
  const std::uint64_t ping = beside.ping();
  CHECK(broker.settle());
  LONGS_EQUAL(ping, notes[2].answered);
  broker.halt(1, false);
  CHECK(broker.settle());
  LONGS_EQUAL(12, notes[0].acknowledged);
  LONGS_EQUAL(12, notes[1].messages);
}

TEST(Credit, wills_and_the_brokers_own_values_go_out_all_the_same) {
  enter();
  subscribe(there, "#");
  subscribe(yonder, "$SYS/broker/publishers/held");
  broker.halt(1, true);
  publish(here, 50);
  CHECK(broker.settle());
  CHECK(holds(0));
  const std::uint64_t waits = outstanding(0);
  beside.reset();
  CHECK(broker.settle());
  CHECK(outstanding(0) > waits);
  broker.pass(seconds(10));
  CHECK(broker.settle());
  broker.halt(1, false);
  CHECK(broker.settle());
  LONGS_EQUAL(51, notes[1].messages);
  STRCMP_EQUAL("1", notes[3].latest.c_str());
}

TEST(Credit, keep_alive_stands_still_meanwhile) {
  enter(1);
  subscribe(there, "t/#");
  broker.halt(1, true);
  publish(here, 50);
  for (int i = 0; i != 10; ++i) {
    CHECK(broker.settle());
    broker.pass(milliseconds(500));
    beside.ping();
  }
  CHECK(holds(0));
  CHECK(here.is_online());
  broker.halt(1, false);
  CHECK(broker.settle());
  CHECK(here.is_online());
  LONGS_EQUAL(50, notes[1].messages);
}

TEST(Credit, two_reactors_that_wait_for_each_other_do_not_wait_for_ever) {
  enter();
  subscribe(here, "t/there");
  subscribe(there, "t/here");
  broker.halt(1, true);
  publish(here, 100);
  CHECK(broker.settle());
  // Now the other has its turn, while the first does not hear that its mail is done.
  broker.halt(0, true);
  publish(there, 100);
  broker.halt(1, false);
  CHECK(broker.settle());
  CHECK(holds(0) && holds(1));
  broker.halt(0, false);
  CHECK(broker.settle());
  LONGS_EQUAL(100, notes[0].messages);
  LONGS_EQUAL(100, notes[1].messages);
  CHECK(!holds(0) && !holds(1));
  LONGS_EQUAL(0, outstanding(0) + outstanding(1));
}

TEST(Credit, who_is_held_may_go) {
  enter();
  subscribe(there, "t/#");
  broker.halt(1, true);
  publish(here, 50);
  publish(beside, 50);
  CHECK(broker.settle());
  here.reset();
  CHECK(broker.settle());
  broker.halt(1, false);
  CHECK(broker.settle());
  LONGS_EQUAL(1, broker.broker().shard(0).counters().connections_open.value());
  LONGS_EQUAL(50, notes[1].expected["t/beside"]);
}

TEST(Credit, another_mark_holds_from_the_next_message_on_and_a_change_waits_for_nobody) {
  enter();
  subscribe(there, "t/#");
  broker.halt(1, true);
  publish(here, 100);
  CHECK(broker.settle());
  Ref<broker::BrokerConfiguration> next = broker::BrokerConfiguration::create();
  next->settings.limits.reactor_backlog = 3 * kMark;
  broker::ListenerComponent listener;
  listener.settings = &next->settings.listeners[0];
  next->components.listeners.push_back(std::move(listener));
  std::optional<Status> told;
  broker.broker().reconfigure(next, [&told](const Status& status) { told = status; });
  CHECK(broker.settle());
  CHECK(holds(0));
  broker.halt(1, false);
  CHECK(broker.settle());
  CHECK(told && told->ok());
  LONGS_EQUAL(100, notes[1].messages);
  broker.halt(1, true);
  publish(here, 100);
  CHECK(broker.settle());
  CHECK(outstanding(0) >= 3 * kMark && outstanding(0) < 3 * kMark + 400);
  broker.halt(1, false);
}

TEST(Credit, a_stop_says_good_bye_to_who_is_held_and_wills_reach_who_is_there) {
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    SimulatedRandom chance(seed);
    SimulatedBroker stopping(chance, 2, false);
    stopping.settings().limits.reactor_backlog = kMark;
    stopping.settings().shutdown.drain = seconds(1);
    stopping.start(publisher);
    Notes told[2];
    SimulatedClient held_back(stopping.network(), told[0], "held", ProtocolVersion::kV5);
    SimulatedClient watcher(stopping.network(), told[1], "watcher", ProtocolVersion::kV5);
    held_back.connect({.will = WillOptions{.topic = "will", .payload = "gone"}});
    CHECK(stopping.settle());
    watcher.connect({});
    CHECK(stopping.settle());
    const SubscribeEntry entries[] = {{"t", {}}, {"will", {}}};
    watcher.subscribe(entries, 0, 1);
    CHECK(stopping.settle());
    stopping.halt(1, true);
    for (int i = 0; i != 50; ++i) {
      held_back.publish({.topic = "t", .payload = std::to_string(i) + std::string(100, ' ')});
    }
    CHECK(stopping.settle());
    CHECK(stopping.broker().shard(0).holds_publishers());
    stopping.halt(1, false);
    CHECK(stopping.stop());
    CHECK(ReasonCode::kServerShuttingDown == told[0].closed);
    CHECK(ReasonCode::kServerShuttingDown == told[1].closed);
    LONGS_EQUAL(1, told[1].expected["will"]);
    STRCMP_EQUAL("", (told[0].faults + told[1].faults).c_str());
  }
}
