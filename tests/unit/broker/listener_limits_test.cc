// listeners[].limits: what a listener says of its clients holds for them in place of `limits`, which in these tests are
// the defaults. One test for each that needs code of its own to be looked at.
#include <string>
#include <utility>
#include <vector>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;
using Id = mqtt::PropertyId;

}  // namespace

TEST_GROUP(ListenerLimits) {
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};
  TranscriptClient other{world.broker.network(), "other"};

  LimitsSettings& own() { return world.broker.listener_settings().limits.emplace(); }
  void start_and_connect(const TranscriptClient::Connect& options = {}) {
    world.start();
    client.connect(options);
    HEARS(client, "CONNACK 00");
  }
  Session& session() {
    Session* session = world.broker.broker().shard(0).sessions().find("sensor7");
    CHECK(session != nullptr);
    return *session;
  }
  void send_publish(TranscriptClient & from, std::string_view topic, std::string_view payload, bool retain = false) {
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    packet.qos = QoS::kAtLeastOnce;
    packet.packet_id = 1;
    packet.retain = retain;
    from.send(packet);
  }
  // What the broker has now is followed by the same with other limits of the listener and of all.
  void reconfigure(std::optional<LimitsSettings> of_listener, const LimitsSettings& of_all = {},
                   std::string_view name = "local") {
    Ref<BrokerConfiguration> next = BrokerConfiguration::create();
    next->settings.listeners[0].limits = std::move(of_listener);
    next->settings.listeners[0].name = name;
    next->settings.limits = of_all;
    next->components.chains.push_back({"default", {}, {}});
    if (name == "local") {
      ListenerComponent listener;
      listener.settings = &next->settings.listeners[0];
      listener.chain = &next->components.chains[0];
      next->components.listeners.push_back(std::move(listener));
    }
    world.broker.forget_configuration();
    bool done = false;
    world.broker.broker().reconfigure(std::move(next), [&done](const Status& status) { done = status.ok(); });
    CHECK(world.broker.settle());
    CHECK(done);
  }
};

// ---- what CONNACK announces ----------------------------------------------------------------------------------------

TEST(ListenerLimits, connack_announces_those_of_the_listener) {
  LimitsSettings& limits = own();
  limits.max_qos = 1;
  limits.receive_maximum = 7;
  limits.maximum_packet_size = 1000;
  limits.topic_alias_maximum = 3;
  limits.retain.enabled = false;
  limits.subscriptions.wildcard = false;
  limits.subscriptions.shared = false;
  limits.session.max_expiry_interval = 10s;
  limits.keep_alive.max = 20s;
  start_and_connect({.keep_alive = 60, .expiry_interval = 100});
  const std::pair<Id, std::uint32_t> announced[] = {
      {Id::kMaximumQoS, 1},
      {Id::kReceiveMaximum, 7},
      {Id::kMaximumPacketSize, 1000},
      {Id::kTopicAliasMaximum, 3},
      {Id::kRetainAvailable, 0},
      {Id::kWildcardSubscriptionAvailable, 0},
      {Id::kSharedSubscriptionAvailable, 0},
      {Id::kSessionExpiryInterval, 10},
      {Id::kServerKeepAlive, 20},
  };
  for (const auto& [id, value] : announced) LONGS_EQUAL(value, client.announced(id).value_or(99));
  client.subscribe("a/#", 1);
  client.subscribe("$share/g/a", 2);
  HEARS(client, "SUBACK a2 | SUBACK 9e");
  send_publish(client, "t", "x", true);
  HEARS(client, "DISCONNECT 9a | closed");
}

TEST(ListenerLimits, will_is_held_to_those_of_the_listener) {
  own().max_qos = 0;
  world.start();
  client.connect({.will_topic = "gone", .will_qos = QoS::kAtLeastOnce});
  HEARS(client, "CONNACK 9b | closed");
}

// ---- what a client sends -------------------------------------------------------------------------------------------

TEST(ListenerLimits, maximum_packet_size) {
  own().maximum_packet_size = 64;
  start_and_connect();
  send_publish(client, "t", std::string(100, 'x'));
  HEARS(client, "DISCONNECT 95 | closed");
}

TEST(ListenerLimits, packet_size_before_connect) {
  own().packet_size_before_connect = 64;
  world.start();
  client.connect({.user_name = std::string(100, 'u')});
  HEARS(client, "closed");
}

TEST(ListenerLimits, topics) {
  own().topics.max_levels = 2;
  start_and_connect();
  client.subscribe("a/b/c", 1);
  HEARS(client, "SUBACK 8f");
  send_publish(client, "a/b/c", "x");
  HEARS(client, "DISCONNECT 90 | closed");
}

TEST(ListenerLimits, subscriptions_max_per_client) {
  own().subscriptions.max_per_client = 1;
  start_and_connect();
  client.subscribe("a", 1);
  client.subscribe("b", 2);
  HEARS(client, "SUBACK 00 | SUBACK 97");
}

TEST(ListenerLimits, no_retained_messages_are_sent_where_there_are_none_for_the_listener) {
  start_and_connect();
  send_publish(client, "kept", "x", true);
  (void)world.heard(client);
  LimitsSettings without;
  without.retain.enabled = false;
  reconfigure(without);
  other.connect();
  other.subscribe("kept", 1);
  HEARS(other, "CONNACK 00 | SUBACK 00");
  client.subscribe("kept", 2);
  HEARS(client, "SUBACK 00");  // of the listener as it is now
}

TEST(ListenerLimits, rates_of_a_client) {
  own().rates.publish_per_client = 1;
  start_and_connect();
  client.subscribe("t", 1);
  HEARS(client, "SUBACK 00");
  for (int i = 0; i != 3; ++i) client.publish("t", "x");
  HEARS(client, "PUBLISH t x");
}

// ---- time ----------------------------------------------------------------------------------------------------------

TEST(ListenerLimits, connect_timeout) {
  own().connect_timeout = 1s;
  world.start();
  client.open();
  CHECK(world.broker.settle());
  world.broker.pass(2s);
  HEARS(client, "closed");
}

TEST(ListenerLimits, keep_alive_grace) {
  own().keep_alive.grace = 5;
  start_and_connect({.keep_alive = 10});
  world.broker.pass(40s);
  HEARS(client, "");
  world.broker.pass(12s);
  HEARS(client, "DISCONNECT 8d | closed");
}

TEST(ListenerLimits, session_expiry_interval_of_disconnect) {
  own().session.max_expiry_interval = 10s;
  start_and_connect({.expiry_interval = 5});
  client.disconnect(ReasonCode::kNormalDisconnection, 1000);
  HEARS(client, "closed");
  world.broker.pass(11s);
  CHECK(world.broker.settle());
  LONGS_EQUAL(0, world.broker.broker().shard(0).sessions().size());
}

// ---- what waits for a client ---------------------------------------------------------------------------------------

TEST(ListenerLimits, output_soft_and_hard) {
  own().output.soft = 1000;
  start_and_connect();
  client.subscribe("t", 1);
  HEARS(client, "SUBACK 00");
  other.connect();
  CHECK(world.broker.settle());
  client.stop_listening();
  for (int i = 0; i != 1000; ++i) other.publish("t", std::string(1000, 'x'));
  CHECK(world.broker.settle());
  CHECK(world.broker.broker().total_drops(DropCause::kBackPressure) > 500);
  CHECK_TRUE(client.is_open_at_broker());
}

TEST(ListenerLimits, queue_of_a_client_that_is_away) {
  LimitsSettings& limits = own();
  limits.session.max_queued_messages = 2;
  limits.session.queue_qos0 = true;
  limits.session.overflow = QueueOverflow::kDropNew;
  start_and_connect({.clean_start = false, .expiry_interval = 100});
  client.subscribe("t", 1);
  HEARS(client, "SUBACK 00");
  client.reset();
  other.connect();
  for (const char* payload : {"1", "2", "3"}) other.publish("t", payload);
  CHECK(world.broker.settle());
  client.connect({.clean_start = false, .expiry_interval = 100});
  HEARS(client, "CONNACK 00 present | PUBLISH t 1 | PUBLISH t 2");
}

// ---- another configuration -----------------------------------------------------------------------------------------

TEST(ListenerLimits, session_of_a_client_that_is_away_goes_by_what_is_said_now_of_its_listener) {
  start_and_connect({.clean_start = false, .expiry_interval = 1000});
  client.reset();
  CHECK(world.broker.settle());
  LONGS_EQUAL(10'000, session().limits().session.max_queued_messages);
  LimitsSettings less;
  less.session.max_queued_messages = 3;
  reconfigure(less);
  LONGS_EQUAL(3, session().limits().session.max_queued_messages);
  LimitsSettings common;
  common.session.max_queued_messages = 5;
  reconfigure(less, common);
  LONGS_EQUAL(3, session().limits().session.max_queued_messages);
  reconfigure({}, common);
  LONGS_EQUAL(5, session().limits().session.max_queued_messages);
  reconfigure(less, common, "elsewhere");  // it is gone
  LONGS_EQUAL(5, session().limits().session.max_queued_messages);
  common.session.max_queued_messages = 6;
  reconfigure(less, common, "elsewhere");
  LONGS_EQUAL(6, session().limits().session.max_queued_messages);
}

TEST(ListenerLimits, connection_that_is_open_is_held_to_what_the_listener_says_now) {
  start_and_connect();
  LimitsSettings flat;
  flat.topics.max_levels = 1;
  reconfigure(flat);
  client.publish("a/b", "x");
  HEARS(client, "DISCONNECT 90 | closed");
}
