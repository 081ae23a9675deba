// Long SUBSCRIBEs and UNSUBSCRIBEs and the ends of sessions that had many filters or messages take several turns: in a
// broker on simulated time, counted in filters, never timed.
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/broker/filter_budget.h"
#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using broker::FilterBudget;

constexpr std::size_t kMany = 100'000;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool session_present) override { present = session_present; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode>) override { closed = true; }
  void on_message(SimulatedClient&, const Received& message) override { payloads += message.payload + ' '; }
  void on_subscribed(SimulatedClient&, std::uint64_t, std::span<const ReasonCode> answer) override {
    codes.assign(answer.begin(), answer.end());
  }
  void on_unsubscribed(SimulatedClient&, std::uint64_t) override { unsubscribed = true; }
  void on_answered(SimulatedClient&, std::uint64_t request) override { answered = request; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  bool present = false;
  bool closed = false;
  bool unsubscribed = false;
  std::uint64_t answered = 0;
  std::string payloads;
  std::string faults;
  std::vector<ReasonCode> codes;
};

// Of a turn, by what one filter takes.
constexpr std::size_t most_by(std::size_t cost) { return 2 * (FilterBudget::kEdges / cost + 1); }

// Lets everybody in, and allows every second filter.
class EverySecond final : public Plugin, public Authenticator, public Authorizer {
 public:
  Authenticator* authenticator() noexcept override { return this; }
  Authorizer* authorizer() noexcept override { return this; }
  void authenticate(const ConnectRequest& /*request*/, AuthReply reply) const override { reply.accept(); }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    ++asked;
    if ((access.topic.back() - '0') % 2 == 0) {
      reply.allow();
    } else {
      reply.deny("odd");
    }
  }
  mutable std::size_t asked = 0;
};

std::string filter(std::size_t i) { return "a/" + std::to_string(i); }

}  // namespace

TEST_GROUP(FilterSlices) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 1, false};
  Notes notes;
  Notes other_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient other{broker.network(), other_notes, "other", ProtocolVersion::kV5};

  void start(std::uint32_t expiry_interval = 0) {
    broker.settings().limits.maximum_packet_size = 16U << 20;
    broker.start(publisher);
    ConnectOptions options;
    options.expiry_interval = expiry_interval;
    client.connect(options);
    other.connect({});
    CHECK(broker.settle());
  }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + other_notes.faults).c_str());
    CHECK(broker.stop());
  }

  broker::Shard& shard() { return broker.broker().shard(0); }
  std::size_t filters() { return broker.broker().routes().filter_count(); }

  void subscribe(std::size_t count, mqtt::SubscriptionOptions options = {}) {
    std::vector<SubscribeEntry> entries;
    for (std::size_t i = 0; i != count; ++i) entries.push_back({filter(i), options});
    client.subscribe(entries, 0, 1);
  }
  // Steps until all is quiet; answers the most filters that came or went in one step, which is at most one turn.
  std::size_t most_in_one_turn() {
    std::size_t most = 0;
    for (std::size_t before = filters(); broker.step(); before = filters()) {
      most = std::max(most, before < filters() ? filters() - before : before - filters());
    }
    return most;
  }
};

TEST(FilterSlices, a_long_subscribe_takes_several_turns_and_gets_one_answer) {
  start();
  subscribe(kMany);
  const std::size_t most = most_in_one_turn();
  CHECK(most <= most_by(FilterBudget::cost_of(filter(0))));
  LONGS_EQUAL(kMany, filters());
  LONGS_EQUAL(kMany, notes.codes.size());
  CHECK(std::all_of(notes.codes.begin(), notes.codes.end(), [](ReasonCode code) { return !is_error(code); }));
}

TEST(FilterSlices, it_counts_as_one_packet_and_others_are_served_meanwhile) {
  start();
  const std::uint64_t packets = shard().counters().packets_received.value();
  subscribe(kMany);
  while (filters() == 0) CHECK(broker.step());
  CHECK(filters() < kMany);
  const std::uint64_t ping = other.ping();
  while (other_notes.answered != ping) CHECK(broker.step());
  CHECK(filters() < kMany);
  LONGS_EQUAL(0, notes.codes.size());
  CHECK(broker.settle());
  LONGS_EQUAL(kMany, notes.codes.size());
  LONGS_EQUAL(packets + 2, shard().counters().packets_received.value());
}

TEST(FilterSlices, many_short_subscribes_share_the_budget_of_a_turn) {
  start();
  for (std::size_t i = 0; i != 10; ++i) {
    std::vector<SubscribeEntry> entries;
    for (std::size_t j = 0; j != 1000; ++j) entries.push_back({filter(i * 1000 + j), {}});
    client.subscribe(entries, 0, i);
  }
  CHECK(most_in_one_turn() <= most_by(FilterBudget::cost_of(filter(0))));
  LONGS_EQUAL(10'000, filters());
}

TEST(FilterSlices, every_filter_is_judged_once_and_gets_its_own_verdict) {
  EverySecond judge;
  broker.add_plugin("judge", judge);
  start();
  subscribe(kMany);
  while (judge.asked == 0) CHECK(broker.step());
  CHECK(judge.asked <= most_by(FilterBudget::cost_of(filter(0))));
  CHECK(broker.settle());
  LONGS_EQUAL(kMany, judge.asked);
  LONGS_EQUAL(kMany, notes.codes.size());
  for (std::size_t i = 0; i != kMany; ++i) CHECK_EQUAL(i % 2 != 0, is_error(notes.codes[i]));
  LONGS_EQUAL(kMany / 2, filters());
}

TEST(FilterSlices, what_the_client_sends_next_waits_for_the_whole_subscribe) {  // [MQTT-4.6.0]
  start();
  subscribe(kMany);
  client.publish({filter(kMany - 1), "mine"});
  CHECK(broker.settle());
  STRCMP_EQUAL("mine ", notes.payloads.c_str());
}

TEST(FilterSlices, a_client_that_goes_in_the_middle_leaves_nothing_behind) {
  start();
  subscribe(kMany);
  while (filters() == 0) CHECK(broker.step());
  client.reset();
  CHECK(broker.settle());
  LONGS_EQUAL(0, filters());
  LONGS_EQUAL(0, shard().counters().subscriptions.value());
  LONGS_EQUAL(0, shard().sessions().ending());
  LONGS_EQUAL(1, shard().sessions().size());
}

TEST(FilterSlices, a_long_unsubscribe_takes_several_turns_too) {
  start();
  subscribe(kMany);
  CHECK(broker.settle());
  std::vector<std::string> all;
  for (std::size_t i = 0; i != kMany; ++i) all.push_back(filter(i));
  client.unsubscribe(all, 2);
  CHECK(most_in_one_turn() <= most_by(FilterBudget::cost_of(filter(0))));
  CHECK(notes.unsubscribed);
  LONGS_EQUAL(0, filters());
}

TEST(FilterSlices, a_session_of_many_filters_ends_in_several_turns) {
  start();
  subscribe(kMany);
  CHECK(broker.settle());
  client.disconnect();
  CHECK(most_in_one_turn() <= most_by(FilterBudget::kOneToRemove));
  LONGS_EQUAL(0, filters());
  LONGS_EQUAL(0, shard().subscribers().subscriber_count());
  LONGS_EQUAL(1, shard().sessions().size());
}

// The session that ends still stands under the filter, alone or beside another one of another filter.
TEST(FilterSlices, a_session_that_ends_gets_nothing_although_its_filters_still_stand) {
  start(100);
  subscribe(kMany, {.maximum_qos = QoS::kAtLeastOnce});
  CHECK(broker.settle());
  const SubscribeEntry all{"a/+", {}};
  other.subscribe({&all, 1}, 0, 1);
  CHECK(broker.settle());
  client.disconnect(ReasonCode::kNormalDisconnection, 0);
  while (shard().sessions().ending() == 0) CHECK(broker.step());
  LONGS_EQUAL(1, shard().counters().sessions.value());
  LONGS_EQUAL(1, shard().counters().subscriptions.value());
  other.publish({filter(0), "merged", QoS::kAtLeastOnce});
  const std::string plus = "a/+";
  other.unsubscribe({&plus, 1}, 2);
  other.publish({filter(0), "alone", QoS::kAtLeastOnce});
  while (other.in_flight() != 0) CHECK(broker.step());
  CHECK(shard().sessions().ending() != 0);
  STRCMP_EQUAL("merged ", other_notes.payloads.c_str());
  LONGS_EQUAL(0, shard().counters().messages_waiting.value());
  LONGS_EQUAL(1, shard().counters().drops[static_cast<std::size_t>(broker::DropCause::kNoSubscriber)].value());
  CHECK(broker.settle());
  LONGS_EQUAL(0, filters());
}

TEST(FilterSlices, its_client_may_come_back_at_once_and_begin_anew) {
  start(100);
  subscribe(kMany);
  CHECK(broker.settle());
  client.disconnect(ReasonCode::kNormalDisconnection, 0);
  while (shard().sessions().ending() == 0) CHECK(broker.step());
  client.connect({});
  while (!client.is_online()) CHECK(broker.step());
  CHECK(!notes.present);
  const SubscribeEntry entry{filter(0), {}};
  client.subscribe({&entry, 1}, 0, 3);
  client.publish({filter(0), "once"});
  CHECK(broker.settle());
  STRCMP_EQUAL("once ", notes.payloads.c_str());
  LONGS_EQUAL(1, filters());
  LONGS_EQUAL(2, shard().sessions().size());
}

TEST(FilterSlices, a_long_queue_goes_in_several_turns) {
  broker.settings().limits.session.max_queued_messages = 0;
  broker.settings().limits.session.max_queued_bytes = 0;
  start(100);
  subscribe(1, {.maximum_qos = QoS::kAtLeastOnce});
  CHECK(broker.settle());
  client.hang_up();
  CHECK(broker.settle());
  for (std::size_t i = 0; i != kMany; ++i) {
    while (other.publish({filter(0), "x", QoS::kAtLeastOnce}) == 0) CHECK(broker.settle());
  }
  CHECK(broker.settle());
  LONGS_EQUAL(kMany, shard().counters().messages_waiting.value());
  client.connect({});  // with Clean Start
  std::uint64_t most = 0;
  for (std::uint64_t before = kMany; broker.step(); before = shard().counters().messages_waiting.value()) {
    most = std::max(most, before - shard().counters().messages_waiting.value());
  }
  CHECK(most <= most_by(1) + 100);
  LONGS_EQUAL(0, shard().counters().messages_waiting.value());
  LONGS_EQUAL(kMany, shard().counters().drops[static_cast<std::size_t>(broker::DropCause::kSessionEnded)].value());
}

TEST(FilterSlices, a_broker_that_stops_in_the_middle_of_an_end_stops_all_the_same) {
  start();
  subscribe(kMany);
  CHECK(broker.settle());
  client.disconnect();
  while (shard().sessions().ending() == 0) CHECK(broker.step());
}
