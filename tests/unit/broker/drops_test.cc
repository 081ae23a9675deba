// Every message that is not delivered is counted under one cause, for all and for the client that lost it: one test a
// cause, asked of a whole broker on simulated time.
#include <array>
#include <numeric>
#include <string>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"
#include "tests/support/simulated_publisher.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using broker::DropCause;
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_message(SimulatedClient&, const Received& message) override { payloads += message.payload + ' '; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::string payloads;
  std::string faults;
};

}  // namespace

TEST_GROUP(Drops) {
  SimulatedRandom random{1};
  PassthroughPublisher passthrough;
  SimulatedPublisher discarding{{.later_percent = 0, .hold_percent = 0, .discard_percent = 100}, random};
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes sender_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient second{broker.network(), notes, "second", ProtocolVersion::kV5};
  SimulatedClient sender{broker.network(), sender_notes, "sender", ProtocolVersion::kV5};

  void setup() override { broker.log().keep_lines(); }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + sender_notes.faults).c_str());
    CHECK(broker.stop());
  }

  // A client that subscribes to "t" with QoS 1, and one that publishes.
  void start(const ConnectOptions& options, Publisher* publisher = nullptr) {
    broker.start(publisher == nullptr ? passthrough : *publisher);
    client.connect(options);
    sender.connect({});
    CHECK(broker.settle());
    const SubscribeEntry entry{"t", {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
  }
  void publish(const PublishRequest& request, int times = 1) {
    for (int i = 0; i != times; ++i) sender.publish(request);
    CHECK(broker.settle());
  }
  void go_away() {
    client.disconnect();
    CHECK(broker.settle());
  }
  void come_back(const ConnectOptions& options) {
    client.connect(options);
    CHECK(broker.settle());
  }
  void wait(seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      broker.pass(seconds(1));
      CHECK(broker.settle());
    }
  }
  // Of all causes nothing was counted but this.
  void check_only(DropCause cause, std::uint64_t count) {
    for (std::size_t i = 0; i != broker::kDropCauses; ++i) {
      std::uint64_t sum = 0;
      for (std::uint32_t shard = 0; shard != broker.reactors(); ++shard) {
        sum += broker.broker().shard(shard).counters().drops[i].value();
      }
      const std::string name(broker::name_of(static_cast<DropCause>(i)));
      UNSIGNED_LONGS_EQUAL_TEXT(i == static_cast<std::size_t>(cause) ? count : 0, sum, name.c_str());
    }
  }
  void check_warned(const char* expected) {
    const auto lines = broker.log().lines("dropping messages");
    STRCMP_EQUAL(expected, std::accumulate(lines.begin(), lines.end(), std::string()).c_str());
  }
  void check_farewell(const char* who, const char* drops) {
    const auto lines = broker.log().lines("disconnected client=" + std::string(who));
    CHECK(!lines.empty());
    STRCMP_CONTAINS(drops, lines.back().c_str());
  }

  static constexpr ConnectOptions kDurable{.clean_start = false, .expiry_interval = 60};
  const PublishRequest kQos1{.topic = "t", .payload = "x", .qos = QoS::kAtLeastOnce};
};

TEST(Drops, queue_full) {
  broker.settings().limits.session.max_queued_messages = 3;
  broker.settings().limits.session.overflow = broker::QueueOverflow::kDropNew;
  start(kDurable);
  go_away();
  publish(kQos1, 5);
  check_only(DropCause::kQueueFull, 2);
  check_warned("delivery dropping messages client=client cause=queue_full");
  come_back(kDurable);
  go_away();
  check_farewell("client", "drops={queue_full: 2}");
}

TEST(Drops, queue_displaced) {
  broker.settings().limits.session.max_queued_messages = 3;
  start(kDurable);
  go_away();
  for (const char* payload : {"1", "2", "3", "4", "5"}) {
    publish({.topic = "t", .payload = payload, .qos = QoS::kAtLeastOnce});
  }
  check_only(DropCause::kQueueDisplaced, 2);
  check_warned("delivery dropping messages client=client cause=queue_displaced");
  come_back(kDurable);
  STRCMP_EQUAL("3 4 5 ", notes.payloads.c_str());
}

TEST(Drops, one_line_warns_of_a_kind_that_many_clients_lose_at_a_time) {
  broker.settings().limits.session.max_queued_messages = 1;
  start(kDurable);
  second.connect(kDurable);
  CHECK(broker.settle());
  const SubscribeEntry entry{"t", {.maximum_qos = QoS::kAtLeastOnce}};
  second.subscribe({&entry, 1}, 0, 1);
  CHECK(broker.settle());
  go_away();
  second.disconnect();
  CHECK(broker.settle());
  publish(kQos1, 8);
  check_only(DropCause::kQueueDisplaced, 14);
  const auto lines = broker.log().lines("dropping messages");
  CHECK(!lines.empty() && lines.size() <= 2);  // at most one a reactor
}

TEST(Drops, expired) {
  start(kDurable);
  go_away();
  publish({.topic = "t", .payload = "x", .qos = QoS::kAtLeastOnce, .expiry_interval = 2}, 3);
  wait(seconds(3));
  come_back(kDurable);
  STRCMP_EQUAL("", notes.payloads.c_str());
  check_only(DropCause::kExpired, 3);
  check_warned("");  // it is what the publisher asked for
  go_away();
  check_farewell("client", "drops={expired: 3}");
}

TEST(Drops, too_large) {
  start({.maximum_packet_size = 100});
  publish({.topic = "t", .payload = std::string(200, 'x')});
  publish({.topic = "t", .payload = std::string(200, 'x'), .qos = QoS::kAtLeastOnce});
  check_only(DropCause::kTooLarge, 2);
  check_warned("delivery dropping messages client=client cause=too_large");
}

TEST(Drops, back_pressure) {
  broker.settings().limits.output.soft = 1000;
  broker.network().set_faults({.capacity = 1000});
  start({});
  client.set_reading(false);
  publish({.topic = "t", .payload = std::string(500, 'x')}, 10);
  client.set_reading(true);
  CHECK(broker.settle());
  const auto arrived = static_cast<std::uint64_t>(notes.payloads.size() / 501);
  CHECK(arrived >= 1 && arrived < 10);
  check_only(DropCause::kBackPressure, 10 - arrived);
  check_warned("delivery dropping messages client=client cause=back_pressure");
}

TEST(Drops, offline) {
  start(kDurable);
  go_away();
  publish({.topic = "t", .payload = "x"}, 4);
  check_only(DropCause::kOffline, 4);
  check_warned("");  // QoS 0 promises no more
}

TEST(Drops, session_ended) {
  start(kDurable);
  go_away();
  publish(kQos1, 4);
  wait(seconds(61));
  check_only(DropCause::kSessionEnded, 4);
  const auto lines = broker.log().lines("session expired client=client");
  LONGS_EQUAL(1, lines.size());
  STRCMP_CONTAINS("drops={session_ended: 4}", lines[0].c_str());
}

TEST(Drops, denied) {
  start({});
  publish({.topic = "$SYS/broker/uptime", .payload = "x", .qos = QoS::kAtLeastOnce}, 2);
  check_only(DropCause::kDenied, 2);
  sender.disconnect();
  CHECK(broker.settle());
  check_farewell("sender", "drops={denied: 2}");
}

TEST(Drops, no_subscriber_unless_it_is_kept_for_later_ones) {
  start({});
  publish({.topic = "nobody", .payload = "x", .qos = QoS::kAtLeastOnce}, 2);
  publish({.topic = "nobody", .payload = "x"});
  publish({.topic = "kept", .payload = "x", .retain = true});
  check_only(DropCause::kNoSubscriber, 3);
}

TEST(Drops, retain_limit) {
  broker.settings().limits.retain.max_messages = 1;
  start({});
  for (const char* topic : {"r/1", "r/2", "r/3"}) publish({.topic = topic, .payload = "x", .retain = true});
  check_only(DropCause::kRetainLimit, 2);
}

TEST(Drops, retained_expired) {
  start({});
  publish({.topic = "r", .payload = "x", .retain = true, .expiry_interval = 2});
  wait(seconds(4));
  check_only(DropCause::kRetainedExpired, 1);
}

// As many as expire together are gone soon after, however many there are: they would else come faster than they go.
TEST(Drops, thousands_that_expire_together_are_not_kept_for_long) {
  constexpr int kCount = 20'000;
  start({});
  for (int i = 0; i != kCount; ++i) {
    sender.publish({.topic = "r/" + std::to_string(i), .payload = "x", .retain = true, .expiry_interval = 2});
  }
  CHECK(broker.settle());
  LONGS_EQUAL(kCount, broker.broker().retained().count());
  CHECK(broker.run_until([this] { return broker.broker().retained().count() == 0; }, seconds(6)));
  check_only(DropCause::kRetainedExpired, kCount);
}

TEST(Drops, publisher) {
  start({}, &discarding);
  publish({.topic = "t", .payload = "x"}, 2);
  publish(kQos1, 3);
  CHECK(broker.run_until([&] { return sender.in_flight() == 0; }));
  check_only(DropCause::kPublisher, 5);
  sender.disconnect();
  CHECK(broker.settle());
  check_farewell("sender", "drops={publisher: 5}");
}

TEST(Drops, what_is_delivered_is_no_drop) {
  start(kDurable);
  publish(kQos1);
  go_away();
  publish(kQos1, 3);
  come_back(kDurable);
  STRCMP_EQUAL("x x x x ", notes.payloads.c_str());
  check_only(DropCause::kQueueFull, 0);
  go_away();
  for (const std::string& line : broker.log().lines("disconnected")) CHECK(line.find("drops") == std::string::npos);
}

TEST_GROUP(ClientDrops){};

TEST(ClientDrops, are_told_by_cause) {
  broker::ClientDrops drops;
  STRCMP_EQUAL("{}", drops.text().c_str());
  CHECK(drops.add(DropCause::kExpired, 3));
  CHECK(!drops.add(DropCause::kExpired, 1));
  CHECK(drops.add(DropCause::kQueueFull, 12));
  STRCMP_EQUAL("{queue_full: 12, expired: 4}", drops.text().c_str());
}
