// The $SYS tree: which topics there are, when they change, who gets them and who does not; asked of a whole broker on
// simulated time.
#include "core/broker/sys_tree.h"

#include <cmath>
#include <map>
#include <string>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"
#include "tests/support/simulated_publisher.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_message(SimulatedClient&, const Received& message) override {
    ++messages;
    retained += message.retain ? 1 : 0;
    values[message.topic] = message.payload;
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  int messages = 0;
  int retained = 0;
  std::map<std::string, std::string> values;
  std::string faults;
};

// A publisher that keeps nothing and says so.
class ReportingPublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {false, false, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& /*reactor*/, PublishSink& /*sink*/) override {
    return nullptr;
  }
  void report(Figures& figures) const override {
    figures.figure("commits", commits);
    figures.figure("commit/latency/p99_us", 1500);
  }
  void close() noexcept override {}

  std::uint64_t commits = 0;
};

}  // namespace

TEST_GROUP(SysTree) {
  SimulatedRandom random{1};
  PassthroughPublisher passthrough;
  SimulatedPublisher durable{{}, random};
  ReportingPublisher reporting;
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes other_notes;
  SimulatedClient reader{broker.network(), notes, "reader", ProtocolVersion::kV5};
  SimulatedClient other{broker.network(), other_notes, "other", ProtocolVersion::kV311};

  void start(const char* filter = "$SYS/#", Publisher* publisher = nullptr) {
    broker.start(publisher == nullptr ? passthrough : *publisher);
    connect(reader, {});
    subscribe(reader, filter);
  }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + other_notes.faults).c_str());
    CHECK(broker.stop());
  }
  void connect(SimulatedClient & client, const ConnectOptions& options) {
    client.connect(options);
    CHECK(broker.settle());
  }
  void subscribe(SimulatedClient & client, const char* filter) {
    const SubscribeEntry entry{filter, {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
  }
  void publish(SimulatedClient & client, const PublishRequest& request) {
    client.publish(request);
    CHECK(broker.settle());
  }
  // Time passes, and everything happens that is due.
  void wait(seconds time) {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(500)) {
      broker.pass(milliseconds(500));
      CHECK(broker.settle());
    }
  }
  void check(const char* topic, const char* expected) {
    const auto found = notes.values.find(std::string("$SYS/broker/") + topic);
    STRCMP_EQUAL_TEXT(expected, found == notes.values.end() ? "(nothing)" : found->second.c_str(), topic);
  }
};

TEST(SysTree, has_the_topics_that_users_of_mosquitto_know) {
  start();
  for (const char* topic : {"version",
                            "uptime",
                            "clients/total",
                            "clients/connected",
                            "clients/disconnected",
                            "clients/expired",
                            "clients/maximum",
                            "clients/active",
                            "clients/inactive",
                            "messages/received",
                            "messages/sent",
                            "messages/stored",
                            "publish/messages/received",
                            "publish/messages/sent",
                            "publish/messages/dropped",
                            "publish/bytes/received",
                            "publish/bytes/sent",
                            "bytes/received",
                            "bytes/sent",
                            "subscriptions/count",
                            "shared_subscriptions/count",
                            "retained messages/count",
                            "store/messages/count",
                            "store/messages/bytes",
                            "heap/current",
                            "heap/maximum"}) {
    CHECK_TEXT(notes.values.contains(std::string("$SYS/broker/") + topic), topic);
  }
  for (const char* load : {"messages/received", "messages/sent", "publish/received", "publish/sent", "publish/dropped",
                           "bytes/received", "bytes/sent", "sockets", "connections"}) {
    for (const char* over : {"/1min", "/5min", "/15min"}) check(("load/" + std::string(load) + over).c_str(), "0.00");
  }
  STRCMP_CONTAINS("mqloop version ", notes.values["$SYS/broker/version"].c_str());
  check("uptime", "0 seconds");
  LONGS_EQUAL(notes.messages, notes.retained);
}

TEST(SysTree, each_cause_of_a_drop_has_its_topic) {
  start("$SYS/broker/drops/+");
  LONGS_EQUAL(broker::kDropCauses, notes.values.size());
  publish(reader, {.topic = "nobody", .payload = "x"});
  wait(seconds(10));
  check("drops/no_subscriber", "1");
}

TEST(SysTree, values_that_change_come_every_interval_and_others_do_not) {
  broker.settings().sys.interval = seconds(5);
  start("$SYS/broker/uptime");
  LONGS_EQUAL(1, notes.messages);
  wait(seconds(5));
  LONGS_EQUAL(2, notes.messages);
  check("uptime", "5 seconds");
  LONGS_EQUAL(1, notes.retained);  // the second is news
}

TEST(SysTree, what_stays_is_not_sent_again) {
  start("$SYS/broker/version");
  wait(seconds(60));
  LONGS_EQUAL(1, notes.messages);
}

TEST(SysTree, no_wildcard_at_the_beginning_reaches_it) {
  broker.start(passthrough);
  connect(reader, {});
  for (const char* filter : {"#", "+/broker/uptime", "+/#", "+/+/+"}) subscribe(reader, filter);
  wait(seconds(30));
  LONGS_EQUAL(0, notes.messages);
}

TEST(SysTree, counts_clients_subscriptions_and_messages) {
  start();
  connect(other, {.clean_start = false});
  subscribe(other, "a");
  subscribe(other, "b");
  subscribe(other, "$share/group/b");
  for (int i = 0; i != 3; ++i) publish(reader, {.topic = "a", .payload = "four", .qos = QoS::kAtLeastOnce});
  publish(reader, {.topic = "kept", .payload = "x", .retain = true});
  other.disconnect();
  CHECK(broker.settle());
  for (int i = 0; i != 2; ++i) publish(reader, {.topic = "a", .payload = "y", .qos = QoS::kAtLeastOnce});
  wait(seconds(10));
  check("clients/total", "2");
  check("clients/connected", "1");
  check("clients/active", "1");
  check("clients/disconnected", "1");
  check("clients/inactive", "1");
  check("subscriptions/count", "4");
  check("shared_subscriptions/count", "1");
  check("publish/messages/received", "6");
  check("publish/bytes/received", "15");
  check("retained messages/count", "1");
  check("store/messages/count", "3");  // two queued and one retained
  check("messages/stored", "3");
  connect(other, {.clean_start = false});
  wait(seconds(10));
  check("store/messages/count", "1");
  check("clients/connected", "2");
  check("clients/maximum", "2");
}

TEST(SysTree, counts_sessions_that_expired) {
  broker.settings().limits.session.max_expiry_interval = seconds(5);
  start("$SYS/broker/clients/+");
  connect(other, {.clean_start = false});
  other.disconnect();
  wait(seconds(10));
  check("clients/expired", "1");
  check("clients/disconnected", "0");
  check("clients/total", "1");
}

TEST(SysTree, averages_what_comes_in_a_minute) {
  start("$SYS/broker/load/publish/received/+");
  for (int i = 0; i != 100; ++i) publish(reader, {.topic = "nobody", .payload = "x"});
  wait(seconds(10));
  // 600 a minute during ten seconds: 600 (1 - e^(-10/60)), (-10/300), (-10/900).
  check("load/publish/received/1min", "92.11");
  check("load/publish/received/5min", "19.67");
  check("load/publish/received/15min", "6.63");
  wait(seconds(10));
  check("load/publish/received/1min", "77.97");
}

TEST(SysTree, is_no_part_of_limits_on_retained_messages) {
  broker.settings().limits.retain.max_messages = 1;
  start("kept");
  publish(reader, {.topic = "kept", .payload = "x", .retain = true});
  LONGS_EQUAL(1, broker.broker().retained().count());
  CHECK(broker.broker().own_values().count() > 50);
  UNSIGNED_LONGS_EQUAL(0, broker.broker().total_drops(broker::DropCause::kRetainLimit));
}

TEST(SysTree, is_not_told_to_the_publisher) {
  start("$SYS/#", &durable);
  wait(seconds(20));
  check("uptime", "20 seconds");
  CHECK(durable.fate_of("0 seconds") == nullptr);
  CHECK(durable.fate_of("20 seconds") == nullptr);
  CHECK(durable.faults().empty());
}

TEST(SysTree, is_not_there_when_switched_off) {
  broker.settings().sys.enabled = false;
  start();
  wait(seconds(30));
  LONGS_EQUAL(0, notes.messages);
  LONGS_EQUAL(0, broker.broker().own_values().count());
}

TEST_GROUP(LoadAverages) { broker::LoadAverages load; };

TEST(LoadAverages, begin_with_nothing) {
  load.update(1000, 0);
  DOUBLES_EQUAL(0, load.over(0), 0);
}

TEST(LoadAverages, come_to_what_always_comes) {
  std::uint64_t total = 0;
  for (int i = 0; i != 1000; ++i) load.update(total += 50, 10);
  for (std::size_t i = 0; i != 3; ++i) DOUBLES_EQUAL(300, load.over(i), 0.01);
}

TEST(LoadAverages, fade_with_their_minutes) {
  load.update(1000, 60);
  const double first[] = {load.over(0), load.over(1), load.over(2)};
  load.update(1000, 60);
  DOUBLES_EQUAL(first[0] * std::exp(-1.0), load.over(0), 1e-9);
  DOUBLES_EQUAL(first[1] * std::exp(-0.2), load.over(1), 1e-9);
  DOUBLES_EQUAL(first[2] * std::exp(-1.0 / 15), load.over(2), 1e-9);
}

TEST(LoadAverages, do_not_depend_on_how_an_even_stream_is_cut) {
  broker::LoadAverages fine;
  for (int i = 1; i <= 60; ++i) fine.update(static_cast<std::uint64_t>(i) * 5, 1);
  load.update(300, 60);
  for (std::size_t i = 0; i != 3; ++i) DOUBLES_EQUAL(load.over(i), fine.over(i), 1e-9);
}

TEST(SysTree, tells_what_the_publisher_says_of_itself_and_what_of_it_changed) {
  broker.settings().publisher.plugin = "a/publisher";
  broker.settings().sys.interval = seconds(10);
  start("$SYS/broker/publisher/#", &reporting);
  check("publisher/a_publisher/commits", "0");
  check("publisher/a_publisher/commit/latency/p99_us", "1500");
  reporting.commits = 7;
  notes.messages = 0;
  wait(seconds(11));
  check("publisher/a_publisher/commits", "7");
  CHECK_EQUAL(1, notes.messages);
}

TEST(SysTree, has_nothing_of_a_publisher_that_reports_nothing) {
  start("$SYS/broker/publisher/#");
  CHECK_EQUAL(0, notes.messages);
}
