// A message with many subscribers goes to them in slices, and neither order nor anybody is lost by it: in a broker on
// simulated time that takes three subscribers for many and two deliveries for a slice.
#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

constexpr std::size_t kWhole = 3;
constexpr std::size_t kSlice = 2;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_message(SimulatedClient& client, const Received& message) override {
    of[client.id()] += message.payload + ' ';
    identifiers = message.identifiers;
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::map<std::string, std::string> of;   // payloads, by client
  std::vector<std::uint32_t> identifiers;  // of the latest
  std::string faults;
};

}  // namespace

TEST_GROUP(FanOuts) {
  SimulatedRandom random{7};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 1, false};
  Notes notes;
  std::deque<SimulatedClient> clients;

  void setup() override {
    broker.start(publisher);
    fan_outs().set_sizes({kWhole, kSlice});
  }
  void teardown() override {
    STRCMP_EQUAL("", notes.faults.c_str());
    CHECK(broker.stop());
  }
  mqloop::broker::FanOuts& fan_outs() { return broker.broker().shard(0).fan_outs(); }
  std::uint64_t sent() { return broker.broker().total(&mqloop::broker::Counters::publishes_sent); }
  SimulatedClient& join(const std::string& id, ConnectOptions options = {}) {
    clients.emplace_back(broker.network(), notes, id, ProtocolVersion::kV5);
    clients.back().connect(options);
    CHECK(broker.settle());
    return clients.back();
  }
  static void subscribe(SimulatedClient & client, const std::string& filter, std::uint32_t identifier = 0,
                        mqtt::SubscriptionOptions options = {.maximum_qos = QoS::kAtLeastOnce}) {
    const SubscribeEntry entry{filter, options};
    client.subscribe({&entry, 1}, identifier, 1);
  }
  // Subscribers s0, s1 ...
  void join_subscribers(int count, const std::string& filter) {
    for (int i = 0; i != count; ++i) subscribe(join("s" + std::to_string(i)), filter);
    CHECK(broker.settle());
  }
  // Until something is under way.
  void step_to_fan_out() {
    while (fan_outs().empty()) CHECK(broker.step());
  }
};

TEST(FanOuts, a_turn_delivers_a_slice_and_everybody_gets_the_message_once) {
  join_subscribers(11, "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m"});
  std::uint64_t most = 0;
  for (std::uint64_t before = sent(); broker.step(); before = sent()) most = std::max(most, sent() - before);
  UNSIGNED_LONGS_EQUAL(kSlice, most);
  for (int i = 0; i != 11; ++i) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, a_turn_queues_for_many_who_are_away_and_writes_to_few_who_are_there) {
  constexpr std::uint64_t kAway = 12;
  constexpr int kThere = 9;
  fan_outs().set_sizes({.whole = kWhole, .slice = 100, .connections = kSlice});
  for (std::uint64_t i = 0; i != kAway; ++i) {
    SimulatedClient& client = join("away" + std::to_string(i), {.clean_start = false, .expiry_interval = 100});
    subscribe(client, "t");
    CHECK(broker.settle());
    client.disconnect();
  }
  join_subscribers(kThere, "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m", .qos = QoS::kAtLeastOnce});
  const auto queued = [this] { return broker.broker().total(&mqloop::broker::Counters::messages_waiting); };
  std::uint64_t most_written = 0;
  std::uint64_t most_queued = 0;
  for (std::uint64_t written = sent(), before = queued(); broker.step(); written = sent(), before = queued()) {
    most_written = std::max(most_written, sent() - written);
    if (queued() > before) most_queued = std::max(most_queued, queued() - before);
  }
  UNSIGNED_LONGS_EQUAL(kSlice, most_written);
  CHECK(most_queued >= kAway);
  for (int i = 0; i != kThere; ++i) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, messages_that_have_piled_up_are_written_together) {
  constexpr int kThere = 9;
  constexpr int kMessages = 8;
  fan_outs().set_sizes({.whole = kWhole, .slice = 100, .connections = kSlice});
  join_subscribers(kThere, "t");
  SimulatedClient& source = join("source");
  for (int i = 0; i != kMessages; ++i) source.publish({.topic = "t", .payload = std::to_string(i)});
  std::uint64_t most = 0;
  for (std::uint64_t before = sent(); broker.step(); before = sent()) most = std::max(most, sent() - before);
  CHECK(most > kSlice);
  CHECK(most <= kSlice * kMessages);
  for (int i = 0; i != kThere; ++i) STRCMP_EQUAL("0 1 2 3 4 5 6 7 ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, few_subscribers_get_it_in_one_turn) {
  join_subscribers(static_cast<int>(kWhole), "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m"});
  while (sent() == 0) {
    CHECK(broker.step());
    CHECK(fan_outs().empty());
  }
  UNSIGNED_LONGS_EQUAL(kWhole, sent());
}

TEST(FanOuts, what_the_same_client_publishes_next_waits_and_another_pair_overtakes) {
  join_subscribers(9, "t");
  subscribe(join("pair"), "pair");
  subscribe(clients.front(), "other");
  SimulatedClient& source = join("source");
  SimulatedClient& other = join("other");
  source.publish({.topic = "t", .payload = "big", .qos = QoS::kAtLeastOnce});
  source.publish({.topic = "other", .payload = "next"});
  step_to_fan_out();
  // Whoever subscribed last is served last, and still waits.
  other.publish({.topic = "pair", .payload = "quick"});
  while (notes.of["pair"].empty()) {
    CHECK(broker.step());
    if (!fan_outs().empty()) CHECK_FALSE(notes.of["s0"] == "next ");
  }
  CHECK(broker.settle());
  STRCMP_EQUAL("big next ", notes.of["s0"].c_str());
  STRCMP_EQUAL("big ", notes.of["s8"].c_str());
}

TEST(FanOuts, a_message_of_another_client_on_the_topic_comes_second_everywhere) {
  join_subscribers(9, "t");
  SimulatedClient& one = join("one");
  SimulatedClient& two = join("two");
  one.publish({.topic = "t", .payload = "1", .retain = true});
  step_to_fan_out();
  two.publish({.topic = "t", .payload = "2", .retain = true});
  CHECK(broker.settle());
  for (int i = 0; i != 9; ++i) STRCMP_EQUAL("1 2 ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, messages_that_have_piled_up_keep_their_order) {
  join_subscribers(9, "t");
  SimulatedClient& source = join("source");
  std::string expected;
  for (int i = 0; i != 100; ++i) {
    source.publish({.topic = "t", .payload = std::to_string(i)});
    if (i % 10 == 0) broker.step();
    expected += std::to_string(i) + ' ';
  }
  std::size_t most = 0;
  while (broker.step()) most = std::max(most, fan_outs().size());
  CHECK(most <= mqloop::broker::FanOuts::kMostOfPublisher);
  CHECK(most > mqloop::broker::FanOuts::kMostOfPublisher / 2);
  CHECK(fan_outs().empty());
  for (int i = 0; i != 9; ++i) STRCMP_EQUAL(expected.c_str(), notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, who_comes_later_gets_none_of_it_and_who_leaves_before_his_slice_neither) {
  join_subscribers(9, "t");
  SimulatedClient& source = join("source");
  SimulatedClient& late = join("late");
  source.publish({.topic = "t", .payload = "m"});
  step_to_fan_out();
  // Between two turns, as a packet of theirs would do it.
  mqloop::broker::Shard& shard = broker.broker().shard(0);
  CHECK(shard.sessions().find("s8")->unsubscribe("t"));
  shard.sessions().find(late.id())->subscribe("t", {}, 0, 0);
  CHECK(broker.settle());
  STRCMP_EQUAL("", notes.of["s8"].c_str());
  STRCMP_EQUAL("", notes.of["late"].c_str());
  for (int i = 0; i != 8; ++i) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, a_session_that_ends_meanwhile_is_left_out_and_the_rest_goes_on) {
  join_subscribers(9, "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m"});
  step_to_fan_out();
  clients[7].disconnect();
  CHECK(broker.settle());
  CHECK(fan_outs().empty());
  for (const int i : {0, 1, 5, 6, 8}) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, subscriptions_that_overlap_are_merged_for_each_session) {
  for (int i = 0; i != 5; ++i) {
    SimulatedClient& client = join("s" + std::to_string(i));
    subscribe(client, "t/+", 1);
    subscribe(client, "t/#", 2);
    for (int more = 0; more != i; ++more) subscribe(client, "elsewhere/" + std::to_string(more));
  }
  CHECK(broker.settle());
  SimulatedClient& source = join("source");
  source.publish({.topic = "t/a", .payload = "m", .qos = QoS::kAtLeastOnce});
  step_to_fan_out();
  CHECK(broker.settle());
  for (int i = 0; i != 5; ++i) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
  std::sort(notes.identifiers.begin(), notes.identifiers.end());
  CHECK((notes.identifiers == std::vector<std::uint32_t>{1, 2}));
}

TEST(FanOuts, no_local_holds_in_slices) {
  join_subscribers(5, "t");
  SimulatedClient& source = join("source");
  subscribe(source, "t", 0, {.maximum_qos = QoS::kAtLeastOnce, .no_local = true});
  CHECK(broker.settle());
  source.publish({.topic = "t", .payload = "m"});
  step_to_fan_out();
  CHECK(broker.settle());
  STRCMP_EQUAL("", notes.of["source"].c_str());
  STRCMP_EQUAL("m ", notes.of["s4"].c_str());
}

TEST(FanOuts, a_message_that_expires_meanwhile_reaches_nobody_else) {
  join_subscribers(9, "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m", .expiry_interval = 1});
  step_to_fan_out();
  const std::uint64_t before = sent();
  broker.pass(std::chrono::seconds(2));
  CHECK(broker.settle());
  CHECK(sent() - before <= kSlice);
  CHECK(broker.broker().total_drops(mqloop::broker::DropCause::kExpired) >= 9 - 2 * kSlice);
}

TEST(FanOuts, a_broker_that_stops_delivers_the_rest_before_it_says_good_bye) {
  join_subscribers(9, "t");
  SimulatedClient& source = join("source");
  source.publish({.topic = "t", .payload = "m"});
  step_to_fan_out();
  CHECK(broker.stop());
  CHECK(broker.settle());
  for (int i = 0; i != 9; ++i) STRCMP_EQUAL("m ", notes.of["s" + std::to_string(i)].c_str());
}

TEST(FanOuts, one_connection_that_floods_is_served_a_part_a_turn) {
  fan_outs().set_sizes({kWhole, kSlice, 6});
  join_subscribers(static_cast<int>(kWhole), "t");
  SimulatedClient& source = join("source");
  for (int i = 0; i != 30; ++i) source.publish({.topic = "t", .payload = std::to_string(i)});
  std::uint64_t most = 0;
  for (std::uint64_t before = sent(); broker.step(); before = sent()) most = std::max(most, sent() - before);
  CHECK(most <= 12);  // of what is read, and of what was left over
  UNSIGNED_LONGS_EQUAL(30 * kWhole, sent());
}

TEST(FanOuts, a_replay_of_many_retained_messages_takes_many_turns) {
  SimulatedClient& source = join("source");
  for (int i = 0; i != 1000; ++i) source.publish({.topic = "r/" + std::to_string(i), .payload = "m", .retain = true});
  SimulatedClient& reader = join("reader");
  subscribe(reader, "r/#", 0, {});
  std::uint64_t most = 0;
  for (std::uint64_t before = sent(); broker.step(); before = sent()) most = std::max(most, sent() - before);
  CHECK(most <= 256);
  UNSIGNED_LONGS_EQUAL(1000, sent());
}
