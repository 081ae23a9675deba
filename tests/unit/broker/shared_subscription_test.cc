// Shared subscriptions in a whole broker on simulated time: the table of core/broker/shared_groups.h row by row, with
// members on all of three reactors.
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

constexpr char kShared[] = "$share/g/t/#";

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool present) override { session_present = present; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override { closed = code; }
  void on_message(SimulatedClient&, const Received& message) override { messages.push_back(message); }
  void on_subscribed(SimulatedClient&, std::uint64_t, std::span<const ReasonCode> codes) override {
    granted.assign(codes.begin(), codes.end());
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  [[nodiscard]] std::string payloads() const {
    std::string text;
    for (const Received& message : messages) text += message.payload + ' ';
    return text;
  }

  bool session_present = false;
  std::optional<ReasonCode> closed;
  std::vector<Received> messages;
  std::vector<ReasonCode> granted;
  std::string faults;
};

struct Guest {
  Guest(SimulatedNetwork& network, const std::string& id) : client(network, notes, id, ProtocolVersion::kV5) {}
  Notes notes;
  SimulatedClient client;
};

}  // namespace

TEST_GROUP(SharedSubscription) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 3, false};
  std::vector<std::unique_ptr<Guest>> guests;
  bool started = false;

  void teardown() override {
    for (const auto& guest : guests) STRCMP_EQUAL("", guest->notes.faults.c_str());
    CHECK(broker.stop());
    for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
      LONGS_EQUAL(0, broker.broker().shard(i).shared_groups().size());
      LONGS_EQUAL(0, broker.broker().shard(i).subscribers().subscriber_count());
    }
    LONGS_EQUAL(0, broker.broker().routes().filter_count());
  }

  void settle() { CHECK(broker.settle()); }
  Guest& connect(Guest & guest, std::uint32_t expiry_interval = 0, bool clean_start = true,
                 std::uint16_t receive_maximum = 65535) {
    ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = expiry_interval;
    options.receive_maximum = receive_maximum;
    guest.client.connect(options);
    settle();
    CHECK(guest.client.is_online());
    return guest;
  }
  // Connections go to the reactor with the fewest: guests are spread over all of them.
  Guest& guest(const std::string& id, std::uint32_t expiry_interval = 0, std::uint16_t receive_maximum = 65535) {
    if (!started) broker.start(publisher);
    started = true;
    guests.push_back(std::make_unique<Guest>(broker.network(), id));
    return connect(*guests.back(), expiry_interval, true, receive_maximum);
  }
  Guest& member(const std::string& id, QoS qos = QoS::kAtLeastOnce, std::uint32_t expiry_interval = 0,
                std::uint16_t receive_maximum = 65535) {
    return subscribe(guest(id, expiry_interval, receive_maximum), kShared, qos);
  }
  Guest& subscribe(Guest & guest, const std::string& filter, QoS qos, std::uint32_t identifier = 0) {
    const SubscribeEntry entry{filter, {.maximum_qos = qos}};
    guest.client.subscribe({&entry, 1}, identifier, 1);
    settle();
    LONGS_EQUAL(1, guest.notes.granted.size());
    LONGS_EQUAL(static_cast<int>(qos), static_cast<int>(guest.notes.granted[0]));
    return guest;
  }
  void unsubscribe(Guest & guest, const std::string& filter) {
    guest.client.unsubscribe({&filter, 1}, 1);
    settle();
  }
  void publish(Guest & guest, const std::string& payload, QoS qos = QoS::kAtLeastOnce, bool retain = false,
               std::optional<std::uint32_t> expiry_interval = {}) {
    PublishRequest request;
    request.topic = "t/x";
    request.payload = payload;
    request.qos = qos;
    request.retain = retain;
    request.expiry_interval = expiry_interval;
    CHECK(guest.client.publish(request) != 0);
    settle();
  }
  std::uint64_t drops(broker::DropCause cause) {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
      sum += broker.broker().shard(i).counters().drops[static_cast<std::size_t>(cause)].value();
    }
    return sum;
  }
  std::uint64_t shared_subscriptions() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
      sum += broker.broker().shard(i).counters().shared_subscriptions.value();
    }
    return sum;
  }
};

TEST(SharedSubscription, members_on_all_reactors_take_turns) {
  Guest& source = guest("source");
  std::vector<Guest*> members;
  std::set<std::uint32_t> homes;
  for (int i = 0; i != 6; ++i) {
    const std::string id = "m" + std::to_string(i);
    members.push_back(&member(id));
    for (std::uint32_t home = 0; home != 3; ++home) {
      if (broker.broker().shard(home).sessions().find(id) != nullptr) homes.insert(home);
    }
  }
  LONGS_EQUAL(3, homes.size());
  for (int i = 0; i != 12; ++i) publish(source, std::to_string(i), static_cast<QoS>(i % 3));
  for (const Guest* one : members) LONGS_EQUAL(2, one->notes.messages.size());
}

TEST(SharedSubscription, the_same_name_with_two_filters_is_two_groups) {
  Guest& a = subscribe(guest("a"), "$share/g/t/#", QoS::kAtMostOnce);
  Guest& b = subscribe(guest("b"), "$share/g/t/+", QoS::kAtMostOnce);
  publish(guest("source"), "x");
  STRCMP_EQUAL("x ", a.notes.payloads().c_str());
  STRCMP_EQUAL("x ", b.notes.payloads().c_str());
}

TEST(SharedSubscription, one_session_may_have_the_filter_for_itself_too_and_gets_both) {
  Guest& a = member("a");
  subscribe(a, "t/#", QoS::kAtMostOnce);
  subscribe(a, "t/x", QoS::kAtLeastOnce, 7);
  publish(guest("source"), "x");
  LONGS_EQUAL(2, a.notes.messages.size());
  std::vector<std::size_t> identifiers;
  for (const Received& message : a.notes.messages) identifiers.push_back(message.identifiers.size());
  std::sort(identifiers.begin(), identifiers.end());
  LONGS_EQUAL(0, identifiers[0]);
  LONGS_EQUAL(1, identifiers[1]);
}

TEST(SharedSubscription, the_message_carries_the_qos_and_the_identifier_of_the_member) {  // [MQTT-4.8.2-3]
  Guest& a = subscribe(guest("a"), kShared, QoS::kAtMostOnce, 11);
  Guest& b = subscribe(guest("b"), kShared, QoS::kExactlyOnce, 22);
  Guest& source = guest("source");
  publish(source, "1", QoS::kExactlyOnce);
  publish(source, "2", QoS::kExactlyOnce);
  LONGS_EQUAL(1, a.notes.messages.size());
  LONGS_EQUAL(0, static_cast<int>(a.notes.messages[0].qos));
  LONGS_EQUAL(11, a.notes.messages[0].identifiers.at(0));
  LONGS_EQUAL(1, b.notes.messages.size());
  LONGS_EQUAL(2, static_cast<int>(b.notes.messages[0].qos));
  LONGS_EQUAL(22, b.notes.messages[0].identifiers.at(0));
}

TEST(SharedSubscription, subscribing_again_replaces_the_membership) {
  Guest& a = member("a", QoS::kExactlyOnce);
  subscribe(a, kShared, QoS::kAtMostOnce, 5);
  LONGS_EQUAL(1, shared_subscriptions());
  publish(guest("source"), "x");
  LONGS_EQUAL(1, a.notes.messages.size());
  LONGS_EQUAL(0, static_cast<int>(a.notes.messages[0].qos));
  LONGS_EQUAL(5, a.notes.messages[0].identifiers.at(0));
}

TEST(SharedSubscription, gets_no_retained_message_at_subscribing) {
  Guest& source = guest("source");
  publish(source, "kept", QoS::kAtLeastOnce, true);
  Guest& a = member("a");
  STRCMP_EQUAL("", a.notes.payloads().c_str());
  publish(source, "live", QoS::kAtLeastOnce, true);
  STRCMP_EQUAL("live ", a.notes.payloads().c_str());
  CHECK(!a.notes.messages[0].retain);
}

TEST(SharedSubscription, a_member_that_is_away_is_passed_over_while_another_is_there) {
  Guest& away = member("away", QoS::kAtLeastOnce, 3600);
  Guest& there = member("there");
  away.client.disconnect();
  settle();
  Guest& source = guest("source");
  for (int i = 0; i != 4; ++i) publish(source, std::to_string(i));
  STRCMP_EQUAL("0 1 2 3 ", there.notes.payloads().c_str());
  connect(away, 3600, false);
  STRCMP_EQUAL("", away.notes.payloads().c_str());
}

TEST(SharedSubscription, what_comes_while_all_are_away_waits_for_one_whose_session_stays) {
  Guest& away = member("away", QoS::kAtLeastOnce, 3600);
  away.client.disconnect();
  settle();
  Guest& source = guest("source");
  for (int i = 0; i != 4; ++i) publish(source, std::to_string(i));
  connect(away, 3600, false);
  CHECK(away.notes.session_present);
  STRCMP_EQUAL("0 1 2 3 ", away.notes.payloads().c_str());
}

TEST(SharedSubscription, what_nobody_can_take_is_dropped_and_counted) {
  Guest& away = member("away", QoS::kAtMostOnce, 3600);
  away.client.disconnect();
  settle();
  publish(guest("source"), "x");
  LONGS_EQUAL(1, drops(broker::DropCause::kNoMember));
  connect(away, 3600, false);
  STRCMP_EQUAL("", away.notes.payloads().c_str());
}

TEST(SharedSubscription, what_waits_for_a_window_goes_to_another_when_the_session_ends) {
  Guest& slow = member("slow", QoS::kAtLeastOnce, 0, 1);
  slow.client.delay_acks(true);
  Guest& source = guest("source");
  for (int i = 0; i != 4; ++i) publish(source, std::to_string(i));
  STRCMP_EQUAL("0 ", slow.notes.payloads().c_str());
  Guest& other = member("other");
  slow.client.reset();
  settle();
  // 0 was sent and not acknowledged, the others were not sent [MQTT-4.8.2-5].
  STRCMP_EQUAL("0 1 2 3 ", other.notes.payloads().c_str());
  CHECK(std::none_of(other.notes.messages.begin(), other.notes.messages.end(), [](auto& m) { return m.dup; }));
}

TEST(SharedSubscription, qos_2_once_sent_dies_with_the_session_and_what_was_not_sent_does_not) {
  Guest& slow = member("slow", QoS::kExactlyOnce, 0, 1);
  slow.client.delay_acks(true);
  Guest& source = guest("source");
  publish(source, "sent", QoS::kExactlyOnce);
  publish(source, "waits", QoS::kExactlyOnce);
  Guest& other = member("other", QoS::kExactlyOnce);
  slow.client.reset();
  settle();
  STRCMP_EQUAL("waits ", other.notes.payloads().c_str());
}

TEST(SharedSubscription, qos_2_once_sent_is_completed_when_the_member_comes_back) {  // [MQTT-4.8.2-4]
  Guest& slow = member("slow", QoS::kExactlyOnce, 3600);
  slow.client.delay_acks(true);
  publish(guest("source"), "x", QoS::kExactlyOnce);
  Guest& other = member("other", QoS::kExactlyOnce);
  slow.client.reset();
  settle();
  slow.client.delay_acks(false);
  connect(slow, 3600, false);
  LONGS_EQUAL(0, slow.client.acks_waiting());
  STRCMP_EQUAL("x ", slow.notes.payloads().c_str());
  STRCMP_EQUAL("", other.notes.payloads().c_str());
}

TEST(SharedSubscription, the_end_of_a_session_that_was_away_gives_its_queue_to_the_others) {
  Guest& away = member("away", QoS::kAtLeastOnce, 30);
  away.client.disconnect();
  settle();
  Guest& source = guest("source");
  publish(source, "1");
  publish(source, "2");
  Guest& other = member("other");
  STRCMP_EQUAL("", other.notes.payloads().c_str());
  for (int i = 0; i != 31; ++i) {
    broker.pass(std::chrono::seconds(1));
    settle();
  }
  STRCMP_EQUAL("1 2 ", other.notes.payloads().c_str());
}

TEST(SharedSubscription, a_clean_start_gives_the_old_sessions_messages_to_the_others) {
  Guest& away = member("away", QoS::kAtLeastOnce, 3600);
  away.client.disconnect();
  settle();
  publish(guest("source"), "x");
  Guest& other = member("other");
  connect(away, 0, true);
  STRCMP_EQUAL("x ", other.notes.payloads().c_str());
  STRCMP_EQUAL("", away.notes.payloads().c_str());
}

TEST(SharedSubscription, unsubscribing_completes_what_was_sent_and_gives_away_what_was_not) {  // [MQTT-3.10.4-3]
  Guest& slow = member("slow", QoS::kAtLeastOnce, 0, 1);
  slow.client.delay_acks(true);
  Guest& source = guest("source");
  for (int i = 0; i != 3; ++i) publish(source, std::to_string(i));
  Guest& other = member("other");
  unsubscribe(slow, kShared);
  STRCMP_EQUAL("1 2 ", other.notes.payloads().c_str());
  slow.client.delay_acks(false);
  slow.client.send_acks(10);
  settle();
  publish(source, "3");
  STRCMP_EQUAL("0 ", slow.notes.payloads().c_str());
  STRCMP_EQUAL("1 2 3 ", other.notes.payloads().c_str());
  LONGS_EQUAL(1, shared_subscriptions());
}

TEST(SharedSubscription, what_was_sent_before_unsubscribing_still_goes_to_another_when_the_session_ends) {
  Guest& slow = member("slow");
  slow.client.delay_acks(true);
  publish(guest("source"), "x");
  STRCMP_EQUAL("x ", slow.notes.payloads().c_str());
  Guest& other = member("other");
  unsubscribe(slow, kShared);
  slow.client.reset();
  settle();
  STRCMP_EQUAL("x ", other.notes.payloads().c_str());
}

TEST(SharedSubscription, a_member_whose_queue_is_full_leaves_it_to_another) {
  broker.settings().limits.session.max_queued_messages = 2;
  Guest& slow = member("slow", QoS::kAtLeastOnce, 0, 1);
  slow.client.delay_acks(true);
  Guest& other = member("other", QoS::kAtLeastOnce, 0, 1);
  other.client.delay_acks(true);
  Guest& source = guest("source");
  for (int i = 0; i != 6; ++i) publish(source, std::to_string(i));
  LONGS_EQUAL(0, drops(broker::DropCause::kQueueDisplaced));
  // Both are full: the usual rule for a full queue.
  publish(source, "6");
  LONGS_EQUAL(1, drops(broker::DropCause::kQueueDisplaced));
  // Full is only the one that still does not acknowledge.
  other.client.delay_acks(false);
  other.client.send_acks(10);
  settle();
  for (int i = 7; i != 12; ++i) publish(source, std::to_string(i));
  LONGS_EQUAL(1, drops(broker::DropCause::kQueueDisplaced));
  CHECK(other.notes.messages.size() >= 8);
}

TEST(SharedSubscription, what_memory_took_from_a_members_queue_counts_against_it_no_more) {
  broker.settings().shared_subscriptions.strategy = broker::SharedStrategy::kLeastInflight;
  Guest& heavy = member("heavy", QoS::kAtLeastOnce, 0, 1);
  heavy.client.delay_acks(true);
  Guest& source = guest("source");
  for (int i = 0; i != 4; ++i) publish(source, std::to_string(i));
  for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
    broker::Shard& home = broker.broker().shard(i);
    if (auto* session = home.sessions().find("heavy")) home.delivery().drop_queue(*session, broker::DropCause::kMemory);
  }
  LONGS_EQUAL(3, drops(broker::DropCause::kMemory));
  heavy.client.delay_acks(false);
  heavy.client.send_acks(1);
  settle();
  Guest& other = member("other");
  publish(source, "4");
  publish(source, "5");
  LONGS_EQUAL(2, heavy.notes.messages.size());
  LONGS_EQUAL(1, other.notes.messages.size());
}

TEST(SharedSubscription, a_message_too_large_for_the_member_counts_as_delivered) {  // [MQTT-3.1.2-25]
  Guest& small = guest("small");
  ConnectOptions options;
  options.maximum_packet_size = 60;
  small.client.connect(options);
  settle();
  subscribe(small, kShared, QoS::kAtLeastOnce);
  Guest& other = member("other");
  Guest& source = guest("source");
  publish(source, std::string(200, '.'));
  publish(source, "x");
  STRCMP_EQUAL("", small.notes.payloads().c_str());
  STRCMP_EQUAL("x ", other.notes.payloads().c_str());
  LONGS_EQUAL(1, drops(broker::DropCause::kTooLarge));
}

TEST(SharedSubscription, an_expired_message_goes_to_nobody) {
  Guest& slow = member("slow", QoS::kAtLeastOnce, 0, 1);
  slow.client.delay_acks(true);
  Guest& source = guest("source");
  publish(source, "first");
  publish(source, "second", QoS::kAtLeastOnce, false, 5);
  Guest& other = member("other");
  broker.pass(std::chrono::seconds(6));
  slow.client.reset();
  settle();
  STRCMP_EQUAL("first ", other.notes.payloads().c_str());
  LONGS_EQUAL(1, drops(broker::DropCause::kExpired));
}

TEST(SharedSubscription, the_last_member_takes_group_and_route_with_it) {
  Guest& a = member("a");
  Guest& b = member("b");
  unsubscribe(a, kShared);
  LONGS_EQUAL(1, broker.broker().routes().filter_count());
  b.client.disconnect();
  settle();
  LONGS_EQUAL(0, broker.broker().routes().filter_count());
  LONGS_EQUAL(0, shared_subscriptions());
}

TEST(SharedSubscription, counts_among_the_subscriptions_of_a_client) {
  broker.settings().limits.subscriptions.max_per_client = 2;
  Guest& a = member("a");
  subscribe(a, "one", QoS::kAtMostOnce);
  for (const char* filter : {"two", "$share/h/t"}) {
    const SubscribeEntry entry{filter, {}};
    a.client.subscribe({&entry, 1}, 0, 1);
    settle();
    CHECK(a.notes.granted.at(0) == ReasonCode::kQuotaExceeded);
  }
  subscribe(a, kShared, QoS::kExactlyOnce);  // replaces one
}

TEST(SharedSubscription, is_refused_when_switched_off_and_nothing_else_with_it) {
  broker.settings().limits.subscriptions.shared = false;
  Guest& a = guest("a");
  const std::vector<SubscribeEntry> entries = {{"one", {}}, {kShared, {}}, {"two", {}}};
  a.client.subscribe(entries, 0, 1);
  settle();
  LONGS_EQUAL(3, a.notes.granted.size());
  CHECK(a.notes.granted[0] == ReasonCode::kGrantedQoS0);
  CHECK(a.notes.granted[1] == ReasonCode::kSharedSubscriptionsNotSupported);
  CHECK(a.notes.granted[2] == ReasonCode::kGrantedQoS0);
}

TEST(SharedSubscription, no_message_is_lost_that_is_published_once_suback_has_come) {
  // The group's owner, the member's home and the publisher's reactor may be three: whoever has SUBACK tells a
  // publisher.
  Guest& source = guest("source");
  for (int i = 0; i != 40; ++i) {
    const std::string id = "m" + std::to_string(i);
    Guest& a = guest(id);
    const std::string filter = "$share/" + id + "/t/x";
    const SubscribeEntry entry{filter, {.maximum_qos = QoS::kAtLeastOnce}};
    a.client.subscribe({&entry, 1}, 0, 1);
    while (a.notes.granted.empty()) CHECK(broker.step());
    publish(source, id);
    STRCMP_EQUAL((id + ' ').c_str(), a.notes.payloads().c_str());
    a.client.disconnect();
    settle();
  }
}
