// Who may do what, on every path that a message takes: asked of a whole broker on simulated time, with authorizers
// that do as the test tells them.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/shard.h"
#include "core/mqtt/topic.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using std::chrono::seconds;

// Lets everybody in under the name given; allows what the test has not forbidden.
class Policy final : public Plugin, public Authenticator, public Authorizer {
 public:
  enum class Subscriptions : std::uint8_t { kWhole, kChecked };

  Authenticator* authenticator() noexcept override { return this; }
  Authorizer* authorizer() noexcept override { return this; }
  void authenticate(const ConnectRequest& /*request*/, AuthReply reply) const override { reply.accept(); }

  void authorize(const Access& access, AuthorizeReply reply) const override {
    ++asked[access.kind];
    last_listener = access.listener;
    last_address = access.peer_address;
    last_rule = access.subscribe_rule;
    if (keeps_replies && access.kind == AccessKind::kWill) return kept.push_back(std::move(reply));
    if (access.kind == AccessKind::kSubscribe) {
      if (no_filters.contains(std::string(access.topic))) return reply.deny("rule 1");
      return subscriptions == Subscriptions::kWhole ? reply.allow() : reply.check_each_delivery();
    }
    if (no_publish.contains(std::string(access.topic))) return reply.deny("rule 2");
    reply.allow();
  }
  [[nodiscard]] DeliveryAnswer authorize_delivery(const Access& access) const override {
    ++asked_at_delivery[access.kind];
    last_client = access.client_id;
    last_user = access.has_user_name ? std::optional<std::string>(access.user_name) : std::nullopt;
    if (throws) throw std::runtime_error("told to");
    const bool denied =
        (access.kind == AccessKind::kReceive ? no_receive : no_publish).contains(std::string(access.topic));
    if (denied) return {DeliveryRight::kDeny, "rule 3"};
    return {answers_unknown ? DeliveryRight::kUnknown : DeliveryRight::kAllow};
  }

  std::set<std::string> no_filters;
  std::set<std::string> no_publish;
  std::set<std::string> no_receive;
  Subscriptions subscriptions = Subscriptions::kChecked;
  bool answers_unknown = false;
  bool keeps_replies = false;
  bool throws = false;
  mutable std::vector<AuthorizeReply> kept;
  mutable std::map<AccessKind, int> asked;
  mutable std::map<AccessKind, int> asked_at_delivery;
  mutable std::string last_listener;
  mutable std::string last_address;
  mutable std::string last_client;
  mutable std::optional<std::string> last_user;
  mutable SubscribeRule last_rule = SubscribeRule::kOverlap;
};

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool /*session_present*/) override {}
  void on_refused(SimulatedClient&, ReasonCode code) override { refused = code; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override {
    is_closed = true;
    closed = code;
  }
  void on_message(SimulatedClient&, const Received& message) override {
    got += message.payload + ' ';
    identifiers = message.identifiers;
  }
  void on_publish_acknowledged(SimulatedClient&, std::uint64_t /*tag*/, ReasonCode code) override { acked = code; }
  void on_subscribed(SimulatedClient&, std::uint64_t /*tag*/, std::span<const ReasonCode> codes) override {
    granted.assign(codes.begin(), codes.end());
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::optional<ReasonCode> refused;
  std::optional<ReasonCode> closed;
  bool is_closed = false;
  std::optional<ReasonCode> acked;
  std::vector<ReasonCode> granted;
  std::vector<std::uint32_t> identifiers;
  std::string got;
  std::string faults;
};

constexpr QoS kQoS0 = QoS::kAtMostOnce;
constexpr QoS kQoS1 = QoS::kAtLeastOnce;
constexpr QoS kQoS2 = QoS::kExactlyOnce;

}  // namespace

TEST_GROUP(Access) {
  SimulatedRandom random{1};
  std::uint32_t reactors = 2;
  PassthroughPublisher publisher;
  Policy policy;
  Policy second;
  std::optional<SimulatedBroker> broker;
  Notes reader_notes;
  Notes writer_notes;
  std::optional<SimulatedClient> reader;
  std::optional<SimulatedClient> writer;

  void start(ProtocolVersion version = ProtocolVersion::kV5, bool with_second = false,
             const std::function<void(mqloop::broker::BrokerSettings&)>& change = {}) {
    broker.emplace(random, reactors, false);
    broker->log().keep_lines();
    broker->add_plugin("policy", policy);
    if (with_second) broker->add_plugin("second", second);
    if (change) change(broker->settings());
    broker->start(publisher);
    reader.emplace(broker->network(), reader_notes, "reader", version);
    writer.emplace(broker->network(), writer_notes, "writer", version);
    connect(*reader, 0);
    connect(*writer, 0);
  }
  void teardown() override {
    STRCMP_EQUAL("", (reader_notes.faults + writer_notes.faults).c_str());
    policy.kept.clear();
    if (broker) CHECK(broker->stop());
    reader.reset();
    writer.reset();
  }

  void connect(SimulatedClient & client, std::uint32_t expiry_interval, bool clean_start = true,
               std::optional<WillOptions> will = {}) {
    ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = expiry_interval;
    options.will = std::move(will);
    options.user_name = client.id() + "'s user";
    client.connect(options);
    CHECK(broker->settle());
  }
  ReasonCode subscribe(std::string filter, std::uint32_t identifier = 0, QoS qos = kQoS2) {
    const SubscribeEntry entry{std::move(filter), {.maximum_qos = qos}};
    reader->subscribe({&entry, 1}, identifier, 1);
    CHECK(broker->settle());
    return reader_notes.granted.empty() ? ReasonCode::kUnspecifiedError : reader_notes.granted.front();
  }
  void publish(std::string topic, std::string payload, QoS qos = kQoS0, bool retain = false) {
    writer->publish({.topic = std::move(topic), .payload = std::move(payload), .qos = qos, .retain = retain});
    CHECK(broker->settle());
  }
  void wait(seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      broker->pass(seconds(1));
      CHECK(broker->settle());
    }
  }
  std::uint64_t denied() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i != broker->reactors(); ++i) {
      const auto& drops = broker->broker().shard(i).counters().drops;
      sum += drops[static_cast<std::size_t>(mqloop::broker::DropCause::kDenied)].value();
    }
    return sum;
  }
  bool logged(const std::string& part) {
    for (const std::string& line : broker->log().lines()) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  const char* got() const { return reader_notes.got.c_str(); }
};

// ---- live delivery -------------------------------------------------------------------------------------------------

TEST(Access, subscription_allowed_as_a_whole_costs_nothing_at_delivery) {
  policy.subscriptions = Policy::Subscriptions::kWhole;
  policy.no_receive = {"a/secret"};  // never asked about
  start();
  LONGS_EQUAL(2, static_cast<int>(subscribe("a/#")));
  publish("a/secret", "1");
  STRCMP_EQUAL("1 ", got());
  LONGS_EQUAL(0, policy.asked_at_delivery[AccessKind::kReceive]);
}

TEST(Access, checked_subscription_gets_what_each_delivery_is_allowed) {
  policy.no_receive = {"a/secret"};
  start();
  LONGS_EQUAL(2, static_cast<int>(subscribe("a/#")));
  for (const QoS qos : {kQoS0, kQoS1, kQoS2}) {
    publish("a/secret", "no", qos);
    publish("a/open", "yes", qos);
  }
  STRCMP_EQUAL("yes yes yes ", got());
  LONGS_EQUAL(3, denied());
  STRCMP_EQUAL("reader", policy.last_client.c_str());
  STRCMP_EQUAL("reader's user", policy.last_user.value_or("").c_str());
}

TEST(Access, message_that_no_member_of_a_group_may_have_is_counted_once) {
  policy.no_receive = {"a/secret"};
  start();
  LONGS_EQUAL(2, static_cast<int>(subscribe("$share/g/a/#")));
  for (const QoS qos : {kQoS0, kQoS1, kQoS2}) publish("a/secret", "no", qos);
  publish("a/open", "yes");
  STRCMP_EQUAL("yes ", got());
  LONGS_EQUAL(0, denied());
  LONGS_EQUAL(3, broker->broker().total_drops(mqloop::broker::DropCause::kNoMember));
  CHECK(logged("auth deny_delivery client=reader user=reader's user listener=local topic=a/secret by=policy"));
}

TEST(Access, refused_delivery_is_logged_with_plugin_and_rule_and_not_for_each_message) {
  policy.no_receive = {"a/secret"};
  start();
  subscribe("a/#");
  for (int i = 0; i != 5; ++i) publish("a/secret", "no");
  std::size_t lines = 0;
  for (const std::string& line : broker->log().lines()) lines += line.starts_with("auth deny_delivery") ? 1 : 0;
  LONGS_EQUAL(1, lines);
  CHECK(logged(
      "auth deny_delivery client=reader user=reader's user listener=local topic=a/secret by=policy rule=rule 3"));
  wait(seconds(61));
  publish("a/secret", "no");
  CHECK(logged("left_out=4"));
  reader->disconnect();
  CHECK(broker->settle());
  CHECK(logged("drops={denied: 6}"));
}

TEST(Access, nobody_who_may_receive_is_nobody_who_subscribes) {
  reactors = 1;  // another reactor's subscribers are not known to the one that acknowledges
  policy.no_receive = {"a/secret"};
  start();
  subscribe("a/#");
  publish("a/secret", "no", kQoS1);
  CHECK(writer_notes.acked == ReasonCode::kNoMatchingSubscribers);
}

TEST(Access, exception_in_the_hook_of_a_delivery_denies) {
  start();
  subscribe("a/#");
  policy.throws = true;
  publish("a/b", "no");
  policy.throws = false;
  publish("a/b", "yes");
  STRCMP_EQUAL("yes ", got());
  CHECK(logged("rule=the plugin failed"));
}

TEST(Access, unknown_at_delivery_is_no_allow) {
  policy.answers_unknown = true;
  start();
  subscribe("a/#");
  publish("a/b", "no");
  STRCMP_EQUAL("", got());
  CHECK(logged("by=nobody allowed it"));
}

TEST(Access, who_allowed_the_whole_filter_has_allowed_each_delivery) {
  policy.no_receive = {"a/secret"};
  policy.answers_unknown = true;
  second.subscriptions = Policy::Subscriptions::kWhole;
  second.answers_unknown = true;
  start(ProtocolVersion::kV5, true);
  subscribe("a/#");
  publish("a/b", "yes");
  publish("a/secret", "no");
  STRCMP_EQUAL("yes ", got());
}

TEST(Access, home_assistant_4571_any_deny_wins_at_delivery_too) {
  second.no_receive = {"a/secret"};
  start(ProtocolVersion::kV5, true);
  subscribe("a/#");
  publish("a/secret", "no");
  publish("a/b", "yes");
  STRCMP_EQUAL("yes ", got());
}

TEST(Access, copy_of_overlapping_subscriptions_comes_through_those_that_allow_it) {
  policy.no_receive = {"a/secret"};
  start();
  subscribe("a/#", 7, kQoS2);
  policy.subscriptions = Policy::Subscriptions::kWhole;
  subscribe("+/secret", 8, kQoS1);
  publish("a/secret", "yes", kQoS2);
  STRCMP_EQUAL("yes ", got());
  LONGS_EQUAL(1, reader_notes.identifiers.size());
  LONGS_EQUAL(8, reader_notes.identifiers.front());
}

TEST(Access, overlapping_subscriptions_that_are_all_denied_deliver_nothing) {
  policy.no_receive = {"a/secret"};
  start();
  subscribe("a/#", 7);
  subscribe("+/secret", 8);
  publish("a/secret", "no", kQoS2);
  STRCMP_EQUAL("", got());
}

// ---- subscribe and publish -----------------------------------------------------------------------------------------

TEST(Access, refused_filter_is_told_counted_and_logged) {
  policy.no_filters = {"a/#"};
  for (const auto version : {ProtocolVersion::kV5, ProtocolVersion::kV311, ProtocolVersion::kV31}) {
    start(version);
    const ReasonCode told =
        version == ProtocolVersion::kV5 ? ReasonCode::kNotAuthorized : ReasonCode::kUnspecifiedError;
    CHECK(subscribe("a/#") == told);
    CHECK(logged("auth deny_subscribe client=reader"));
    CHECK(logged("topic=a/# by=policy rule=rule 1"));
    std::uint64_t refusals = 0;
    for (std::uint32_t i = 0; i != broker->reactors(); ++i) {
      refusals += broker->broker().shard(i).counters().subscribes_denied.value();
    }
    LONGS_EQUAL(1, refusals);
    publish("a/b", "no");
    STRCMP_EQUAL("", got());
    CHECK(broker->stop());
    reader.reset();
    writer.reset();
    broker.reset();
  }
}

TEST(Access, plugin_knows_which_rule_subscriptions_follow_and_where_the_client_is) {
  start(ProtocolVersion::kV5, false, [](auto& settings) { settings.auth.subscribe = SubscribeRule::kSubset; });
  subscribe("a/b");
  CHECK(policy.last_rule == SubscribeRule::kSubset);
  STRCMP_EQUAL("local", policy.last_listener.c_str());
  CHECK(!policy.last_address.empty());
}

TEST(Access, subset_rule_refuses_what_is_allowed_in_part_only) {
  start(ProtocolVersion::kV5, false, [](auto& settings) { settings.auth.subscribe = SubscribeRule::kSubset; });
  CHECK(subscribe("a/#") == ReasonCode::kNotAuthorized);
  CHECK(logged("rule=allowed for some topics only"));
}

TEST(Access, denied_publish_is_told_to_5_0) {
  policy.no_publish = {"a/b"};
  start();
  subscribe("a/b");
  for (const QoS qos : {kQoS0, kQoS1, kQoS2}) publish("a/b", "no", qos);
  CHECK(writer_notes.acked == ReasonCode::kNotAuthorized);
  CHECK(!writer_notes.is_closed);
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(3, denied());
  CHECK(logged("auth deny_publish client=writer user=writer's user"));
  CHECK(logged("topic=a/b by=policy rule=rule 2"));
}

TEST(Access, denied_publish_of_3_1_1_is_acknowledged_and_dropped) {
  policy.no_publish = {"a/b"};
  start(ProtocolVersion::kV311);
  subscribe("a/b");
  for (const QoS qos : {kQoS1, kQoS2}) publish("a/b", "no", qos);
  CHECK(writer_notes.acked == ReasonCode::kSuccess);
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(2, denied());
}

TEST(Access, denied_publish_ends_the_connection_where_the_configuration_says_so) {
  policy.no_publish = {"a/b"};
  for (const auto version : {ProtocolVersion::kV5, ProtocolVersion::kV311}) {
    for (const QoS qos : {kQoS0, kQoS1, kQoS2}) {
      writer_notes = {};
      start(version, false,
            [](auto& settings) { settings.auth.on_denied_publish = mqloop::broker::OnDeniedPublish::kDisconnect; });
      publish("a/c", "yes", qos);
      CHECK(!writer_notes.is_closed);
      writer_notes.acked.reset();
      publish("a/b", "no", qos);
      CHECK(writer_notes.is_closed);
      CHECK(!writer_notes.acked.has_value());
      if (version == ProtocolVersion::kV5) CHECK(writer_notes.closed == ReasonCode::kNotAuthorized);
      CHECK(broker->stop());
      reader.reset();
      writer.reset();
      broker.reset();
    }
  }
}

TEST(Access, publish_to_the_brokers_own_topics_ends_the_connection_where_the_configuration_says_so) {
  start(ProtocolVersion::kV5, false,
        [](auto& settings) { settings.auth.on_denied_publish = mqloop::broker::OnDeniedPublish::kDisconnect; });
  publish("$SYS/broker/uptime", "no");
  CHECK(writer_notes.closed == ReasonCode::kNotAuthorized);
}

TEST(Access, mosquitto_2_0_12_qos_2_publish_sent_again_after_a_reconnect_is_checked) {
  start();
  subscribe("a/b");
  writer->disconnect();
  CHECK(broker->settle());
  connect(*writer, 3600);
  writer->publish({.topic = "a/b", .payload = "no", .qos = kQoS2});  // the connection breaks before it arrives
  writer->reset();
  CHECK(broker->settle());
  policy.no_publish = {"a/b"};
  connect(*writer, 3600, false);
  STRCMP_EQUAL("", got());
  CHECK(writer_notes.acked == ReasonCode::kNotAuthorized);
  LONGS_EQUAL(1, denied());
}

// ---- retained messages ---------------------------------------------------------------------------------------------

TEST(Access, retained_message_is_held_back_from_whom_may_not_receive_it) {
  policy.no_receive = {"a/secret"};
  start();
  publish("a/secret", "no", kQoS1, true);
  publish("a/open", "yes", kQoS1, true);
  subscribe("a/#");
  STRCMP_EQUAL("yes ", got());
}

TEST(Access, cve_2018_12546_retained_message_goes_with_its_publishers_right) {
  start();
  publish("a/b", "old", kQoS1, true);
  policy.no_publish = {"a/b"};
  subscribe("a/b");
  STRCMP_EQUAL("", got());
  STRCMP_EQUAL("writer", policy.last_client.c_str());
  STRCMP_EQUAL("writer's user", policy.last_user.value_or("").c_str());
  CHECK(logged("auth deny_retained client=writer user=writer's user listener=local topic=a/b by=policy rule=rule 3"));
  LONGS_EQUAL(1, denied());
  policy.no_publish.clear();  // it was held back, not removed
  subscribe("a/b");
  STRCMP_EQUAL("old ", got());
}

TEST(Access, unknown_right_of_a_publisher_is_what_it_was_when_the_message_was_stored) {
  policy.subscriptions = Policy::Subscriptions::kWhole;
  policy.answers_unknown = true;
  start();
  publish("a/b", "old", kQoS1, true);
  subscribe("a/b");
  STRCMP_EQUAL("old ", got());
}

TEST(Access, retained_will_goes_with_its_publishers_right) {
  start();
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, true, 0});
  writer->reset();
  CHECK(broker->settle());
  policy.no_publish = {"a/b"};
  subscribe("a/b");
  STRCMP_EQUAL("", got());
  policy.no_publish.clear();
  subscribe("a/b");
  STRCMP_EQUAL("gone ", got());
}

TEST(Access, only_retained_messages_carry_their_publisher) {
  start();
  publish("a/b", "old", kQoS1, true);
  auto& retained = broker->broker().retained();
  const auto message = retained.get("a/b", 0).message;
  CHECK_TRUE(static_cast<bool>(message));
  CHECK_TRUE(static_cast<bool>(message->principal()));
  STRCMP_EQUAL("default", std::string(message->principal()->chain()).c_str());
  publish("a/c", "old", kQoS1, true);
  POINTERS_EQUAL(message->principal().get(), retained.get("a/c", 0).message->principal().get());
}

// ---- wills ---------------------------------------------------------------------------------------------------------

TEST(Access, cve_2026_85058_will_is_checked_at_connect) {
  policy.no_publish = {"a/b"};
  start();
  subscribe("a/b");
  writer->disconnect();
  CHECK(broker->settle());
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, false, 0});
  CHECK(writer_notes.refused == ReasonCode::kNotAuthorized);
  CHECK(logged("auth deny_will client=writer"));
}

TEST(Access, cve_2026_85058_will_is_checked_again_when_it_is_published) {
  start();
  subscribe("a/b");
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, false, 0});
  LONGS_EQUAL(1, policy.asked[AccessKind::kWill]);
  policy.no_publish = {"a/b"};
  writer->reset();
  CHECK(broker->settle());
  LONGS_EQUAL(2, policy.asked[AccessKind::kWill]);
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(1, denied());
  CHECK(logged("auth deny_will client=writer user=writer's user"));
}

TEST(Access, delayed_will_is_checked_when_its_time_has_come) {
  start();
  subscribe("a/b");
  connect(*writer, 60, true, WillOptions{"a/b", "gone", kQoS1, false, 10});
  writer->reset();
  CHECK(broker->settle());
  LONGS_EQUAL(1, policy.asked[AccessKind::kWill]);
  policy.no_publish = {"a/b"};
  wait(seconds(11));
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(1, denied());
}

TEST(Access, will_waits_for_its_answer_although_its_session_is_gone) {
  start();
  subscribe("a/b");
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, false, 0});
  policy.keeps_replies = true;
  writer->reset();
  CHECK(broker->settle());
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(1, policy.kept.size());
  policy.kept.front().allow();
  CHECK(broker->settle());
  STRCMP_EQUAL("gone ", got());
}

TEST(Access, will_without_an_answer_in_time_is_dropped) {
  start();
  subscribe("a/b");
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, false, 0});
  policy.keeps_replies = true;
  writer->reset();
  CHECK(broker->settle());
  wait(seconds(3));  // longer than a plugin's timeout
  STRCMP_EQUAL("", got());
  LONGS_EQUAL(1, denied());
}

TEST(Access, broker_that_stops_does_not_wait_for_an_answer_about_a_will_for_ever) {
  start(ProtocolVersion::kV5, false, [](auto& settings) { settings.shutdown.drain = std::chrono::milliseconds(500); });
  connect(*writer, 0, true, WillOptions{"a/b", "gone", kQoS1, false, 0});
  policy.keeps_replies = true;
  CHECK(broker->stop());
  LONGS_EQUAL(1, denied());
  CHECK(logged("rule=the broker stopped before there was an answer"));
  reader.reset();
  writer.reset();
  broker.reset();
}

// ---- what is queued, and what has changed --------------------------------------------------------------------------

TEST(Access, queued_message_is_checked_again_when_it_is_sent) {
  start();
  reader->disconnect();
  CHECK(broker->settle());
  connect(*reader, 3600);
  subscribe("a/#");
  reader->disconnect();
  CHECK(broker->settle());
  publish("a/b", "no", kQoS1);
  publish("a/c", "yes", kQoS1);
  policy.no_receive = {"a/b"};
  connect(*reader, 3600, false);
  STRCMP_EQUAL("yes ", got());
  LONGS_EQUAL(1, denied());
}

TEST(Access, message_in_flight_is_not_sent_again_to_whom_may_not_receive_it_any_more) {
  for (const QoS qos : {kQoS1, kQoS2}) {
    policy.no_receive.clear();
    reader_notes = {};
    start();
    reader->disconnect();
    CHECK(broker->settle());
    connect(*reader, 3600);
    subscribe("a/#");
    reader->delay_acks(true);
    publish("a/b", "first", qos);
    reader->reset();
    CHECK(broker->settle());
    policy.no_receive = {"a/b"};
    reader->delay_acks(false);
    reader_notes.got.clear();
    connect(*reader, 3600, false);
    publish("a/c", "yes", qos);
    STRCMP_EQUAL("yes ", got());
    CHECK(broker->stop());
    reader.reset();
    writer.reset();
    broker.reset();
  }
}

TEST(Access, cve_2021_34434_changed_rules_hold_for_subscriptions_that_stand) {
  policy.subscriptions = Policy::Subscriptions::kWhole;
  start();
  reader->disconnect();
  CHECK(broker->settle());
  connect(*reader, 3600);
  subscribe("a/#");
  reader->disconnect();
  CHECK(broker->settle());
  publish("a/b", "queued", kQoS1);
  policy.no_receive = {"a/b"};
  for (std::uint32_t i = 0; i != broker->reactors(); ++i) broker->broker().shard(i).check_all_deliveries();
  publish("a/b", "live", kQoS1);
  publish("a/c", "yes", kQoS1);
  connect(*reader, 3600, false);
  STRCMP_EQUAL("yes ", got());
  LONGS_EQUAL(2, denied());
}

TEST(Access, message_of_a_shared_subscription_goes_to_a_member_who_may_receive_it) {
  policy.no_receive = {"a/secret"};
  start();
  subscribe("$share/g/a/#");
  publish("a/secret", "no", kQoS1);
  publish("a/open", "yes", kQoS1);
  STRCMP_EQUAL("yes ", got());
  // Who may not, returns it: a member whose subscription was allowed as a whole gets all that the reader does not.
  policy.subscriptions = Policy::Subscriptions::kWhole;
  const SubscribeEntry entry{"$share/g/a/#", {.maximum_qos = kQoS1}};
  writer->subscribe({&entry, 1}, 0, 1);
  CHECK(broker->settle());
  for (const char* payload : {"1", "2", "3"}) publish("a/secret", payload, kQoS1);
  STRCMP_EQUAL("1 2 3 ", writer_notes.got.c_str());
  STRCMP_EQUAL("yes ", got());
}

TEST(Access, changed_rules_hold_for_shared_subscriptions_that_stand) {
  policy.subscriptions = Policy::Subscriptions::kWhole;
  start();
  subscribe("$share/g/a/#");
  policy.no_receive = {"a/b"};
  publish("a/b", "before", kQoS1);
  for (std::uint32_t i = 0; i != broker->reactors(); ++i) broker->broker().shard(i).check_all_deliveries();
  publish("a/b", "after", kQoS1);
  publish("a/c", "yes", kQoS1);
  STRCMP_EQUAL("before yes ", got());
}

TEST(Access, subscription_that_is_made_anew_is_judged_anew) {
  policy.no_receive = {"a/b"};
  start();
  subscribe("a/#");
  policy.subscriptions = Policy::Subscriptions::kWhole;
  subscribe("a/#");
  publish("a/b", "yes");
  STRCMP_EQUAL("yes ", got());
}
