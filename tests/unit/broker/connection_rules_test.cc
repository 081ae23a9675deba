// Rules of CONNECT, CONNACK, DISCONNECT and Keep Alive that need settings, plugins or a clock of their own; all others
// are proven byte by byte in tests/protocol.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;
using Id = mqtt::PropertyId;

constexpr ProtocolVersion kVersions[] = {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5};

}  // namespace

TEST_GROUP(ConnectionRules) {
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};
};

// ---- what the broker does not offer --------------------------------------------------------------------------------

TEST(ConnectionRules, highest_qos_is_announced_when_it_is_not_2) {
  world.broker.settings().limits.max_qos = 1;
  world.start();
  client.connect();
  HEARS(client, "CONNACK 00");
  LONGS_EQUAL(1, client.announced(Id::kMaximumQoS).value_or(99));  // [MQTT-3.2.2-9]
  client.subscribe("a", 1, QoS::kExactlyOnce);
  HEARS(client, "SUBACK 01");  // [MQTT-3.2.2-10]
}

TEST(ConnectionRules, will_above_the_highest_qos_is_refused) {
  world.broker.settings().limits.max_qos = 1;
  world.start();
  client.connect({.will_topic = "gone", .will_qos = QoS::kExactlyOnce});
  HEARS(client, "CONNACK 9b | closed");  // [MQTT-3.2.2-12]
  client.connect({.will_topic = "gone", .will_qos = QoS::kAtLeastOnce});
  HEARS(client, "CONNACK 00");
}

TEST(ConnectionRules, retained_will_is_refused_where_nothing_is_retained) {
  world.broker.settings().limits.retain.enabled = false;
  world.start();
  client.connect({.will_topic = "gone", .will_retain = true});
  HEARS(client, "CONNACK 9a | closed");  // [MQTT-3.2.2-13]
  client.connect({.will_topic = "gone"});
  HEARS(client, "CONNACK 00");
  LONGS_EQUAL(0, client.announced(Id::kRetainAvailable).value_or(99));
}

TEST(ConnectionRules, longest_session_expiry_is_announced_and_applied) {
  world.broker.settings().limits.session.max_expiry_interval = 10s;
  world.start();
  client.connect({.expiry_interval = 100});
  HEARS(client, "CONNACK 00");
  LONGS_EQUAL(10, client.announced(Id::kSessionExpiryInterval).value_or(0));
  client.reset();
  CHECK(world.broker.settle());
  LONGS_EQUAL(1, world.broker.broker().shard(0).sessions().size());
  world.broker.pass(12s);
  CHECK(world.broker.settle());
  LONGS_EQUAL(0, world.broker.broker().shard(0).sessions().size());
}

TEST(ConnectionRules, session_expiry_of_disconnect_is_held_to_the_limit_too) {
  world.broker.settings().limits.session.max_expiry_interval = 10s;
  world.start();
  client.connect({.expiry_interval = 5});
  HEARS(client, "CONNACK 00");
  client.disconnect(ReasonCode::kNormalDisconnection, 1000);
  HEARS(client, "closed");
  world.broker.pass(7s);
  CHECK(world.broker.settle());
  LONGS_EQUAL(1, world.broker.broker().shard(0).sessions().size());
  world.broker.pass(5s);
  CHECK(world.broker.settle());
  LONGS_EQUAL(0, world.broker.broker().shard(0).sessions().size());
}

// ---- what the client does not take ---------------------------------------------------------------------------------

TEST(ConnectionRules, connack_that_the_client_cannot_take_is_not_sent_and_takes_nobody_over) {
  world.start();
  client.connect({.expiry_interval = 100});
  HEARS(client, "CONNACK 00");
  TranscriptClient small(world.broker.network(), "sensor7");
  small.connect({.maximum_packet_size = 10});
  HEARS(small, "CONNACK 95 | closed");  // [MQTT-3.1.2-24]
  client.ping();
  HEARS(client, "PINGRESP");
  small.connect({.maximum_packet_size = 4});  // too small for any CONNACK of 5.0
  HEARS(small, "closed");
}

TEST(ConnectionRules, suback_that_the_client_cannot_take_ends_the_connection) {
  world.start();
  client.connect({.maximum_packet_size = 60});
  HEARS(client, "CONNACK 00");
  std::vector<std::uint8_t> body = {0, 1, 0};
  for (int i = 0; i != 60; ++i) body.insert(body.end(), {0, 1, static_cast<std::uint8_t>('A' + i % 26), 0});
  std::vector<std::uint8_t> packet = {0x82, static_cast<std::uint8_t>(0x80 | (body.size() & 0x7F)),
                                      static_cast<std::uint8_t>(body.size() >> 7)};
  packet.insert(packet.end(), body.begin(), body.end());
  client.send_bytes(packet);
  HEARS(client, "DISCONNECT 95 | closed");  // [MQTT-3.1.2-24]
}

// ---- time ----------------------------------------------------------------------------------------------------------

TEST(ConnectionRules, cve_2020_13849_connect_byte_by_byte_is_cut_off_in_time) {
  world.broker.settings().limits.connect_timeout = 10s;
  world.start();
  client.open();
  const std::uint8_t bytes[] = {0x10, 60, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 47};
  std::string heard;
  int seconds = 0;
  for (; heard.empty() && seconds != 60; ++seconds) {
    client.send_bytes({seconds < 15 ? &bytes[seconds] : &bytes[3], 1});
    heard = world.heard(client);
    world.broker.pass(1s);
  }
  STRCMP_EQUAL("closed", heard.c_str());
  CHECK(seconds >= 10 && seconds <= 13);
  LONGS_EQUAL(0, world.broker.broker().shard(0).connections());
}

TEST(ConnectionRules, cve_2020_13849_no_keep_alive_is_longer_than_the_ceiling) {
  world.broker.settings().limits.keep_alive.max = 20s;
  world.start();
  client.connect({.keep_alive = 65535});
  HEARS(client, "CONNACK 00");
  LONGS_EQUAL(20, client.announced(Id::kServerKeepAlive).value_or(0));
  world.broker.pass(29s);
  HEARS(client, "");
  world.broker.pass(3s);
  HEARS(client, "DISCONNECT 8d | closed");
}

TEST(ConnectionRules, unfinished_packet_does_not_keep_the_connection_alive) {
  world.start();
  client.connect({.keep_alive = 10});
  HEARS(client, "CONNACK 00");
  const std::uint8_t bytes[] = {0x30, 0x7F, 0};
  for (int second = 0; second != 14; ++second) {
    client.send_bytes({&bytes[std::min(second, 2)], 1});
    HEARS(client, "");
    world.broker.pass(1s);
  }
  world.broker.pass(3s);
  HEARS(client, "DISCONNECT 8d | closed");  // [MQTT-3.1.2-22]
}

// ---- the wrong packet ----------------------------------------------------------------------------------------------

TEST(ConnectionRules, cve_2024_36856_second_connect_in_the_same_segment_ends_its_own_connection_alone) {
  world.start();
  TranscriptClient other(world.broker.network(), "other");
  other.connect();
  HEARS(other, "CONNACK 00");
  for (int count = 1; count != 50; ++count) {
    client.open();
    client.hold();
    mqtt::ConnectPacket packet;
    packet.client_id = "sensor7";
    for (int i = 0; i <= count; ++i) client.send(packet);
    client.release();
    HEARS(client, "CONNACK 00 | DISCONNECT 82 | closed");
  }
  LONGS_EQUAL(1, world.broker.broker().shard(0).sessions().size());
  other.ping();
  HEARS(other, "PINGRESP");
}

TEST(ConnectionRules, cve_2025_56352_refused_connection_is_closed_also_when_the_client_does_not_close) {
  world.broker.settings().limits.max_qos = 0;
  world.start();
  client.connect({.will_topic = "gone", .will_qos = QoS::kExactlyOnce});
  client.stop_listening();
  CHECK(world.broker.settle());
  world.broker.pass(1s);
  CHECK(world.broker.settle());
  world.broker.pass(3s);
  CHECK(world.broker.settle());
  LONGS_EQUAL(0, world.broker.network().streams());
}

// ---- identities ----------------------------------------------------------------------------------------------------

namespace {

// Tells a request in letters: what the client gave of user name and password.
class NotesCredentials final : public AuthenticatorPlugin {
 public:
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    noted += (request.has_user_name ? "user=" + std::string(request.user_name) : std::string("no user")) + ", " +
             (request.has_password ? "password=" + std::string(request.password) : std::string("no password")) + "; ";
    if (request.has_password && request.password == "right") return reply.accept();
    reply.reject(ReasonCode::kBadUserNameOrPassword, "wrong");
  }
  mutable std::string noted;
};

class AcceptsAll final : public AuthenticatorPlugin {
 public:
  void authenticate(const ConnectRequest&, AuthReply reply) const override { reply.accept(); }
};

// Writes down what it is asked, and allows it.
class NotesAccess final : public AuthorizerPlugin {
 public:
  void authorize(const Access& access, AuthorizeReply reply) const override {
    if (access.kind == AccessKind::kWill) {
      noted +=
          std::string(access.client_id) + "/" + std::string(access.user_name) + "/" + std::string(access.topic) + " ";
    }
    if (access.topic == "forbidden") return reply.deny("a rule");
    reply.allow();
  }
  mutable std::string noted;
};

}  // namespace

TEST(ConnectionRules, cve_2016_9877_absent_empty_and_wrong_passwords_are_three_things_and_none_of_them_right) {
  NotesCredentials plugin;
  world.add(plugin);
  world.start();
  for (const ProtocolVersion version : {ProtocolVersion::kV311, ProtocolVersion::kV5}) {
    client.set_version(version);
    for (const std::optional<std::string>& user : {std::optional<std::string>(), {""}, {"bob"}}) {
      for (const std::optional<std::string>& password : {std::optional<std::string>(), {""}, {"wrong"}, {"right"}}) {
        if (version != ProtocolVersion::kV5 && password && !user) continue;  // a packet that 3.1.1 forbids
        client.connect({.user_name = user, .password = password});
        const bool is_right = password == "right";
        HEARS(client, is_right ? "CONNACK 00" : "CONNACK 86 | closed");
        if (!is_right) continue;
        client.disconnect(ReasonCode::kNormalDisconnection);
        HEARS(client, "closed");
      }
    }
  }
  STRCMP_EQUAL(
      "no user, no password; "
      "user=, no password; user=, password=; user=, password=wrong; user=, password=right; "
      "user=bob, no password; user=bob, password=; user=bob, password=wrong; user=bob, password=right; "
      "no user, no password; no user, password=; no user, password=wrong; no user, password=right; "
      "user=, no password; user=, password=; user=, password=wrong; user=, password=right; "
      "user=bob, no password; user=bob, password=; user=bob, password=wrong; user=bob, password=right; ",
      plugin.noted.c_str());
}

TEST(ConnectionRules, cve_2026_6564_session_is_resumed_and_taken_over_by_its_own_identity_alone) {
  AcceptsAll plugin;
  world.add(plugin);
  world.start();
  for (const ProtocolVersion version : kVersions) {
    TranscriptClient owner(world.broker.network(), "of-" + std::to_string(static_cast<int>(version)));
    TranscriptClient thief(world.broker.network(), "of-" + std::to_string(static_cast<int>(version)));
    owner.set_version(version);
    thief.set_version(version);
    const bool clean = version == ProtocolVersion::kV5;
    owner.connect({.user_name = "bob", .clean_start = clean, .expiry_interval = 100});
    HEARS(owner, "CONNACK 00");
    for (const std::optional<std::string>& name : {std::optional<std::string>(), {""}, {"eve"}, {"bob "}, {"Bob"}}) {
      for (const bool clean_start : {false, true}) {
        thief.connect({.user_name = name, .clean_start = clean_start});
        HEARS(thief, "CONNACK 87 | closed");
      }
    }
    owner.ping();
    HEARS(owner, "PINGRESP");
    owner.reset();
    CHECK(world.broker.settle());
    thief.connect({.user_name = "eve", .clean_start = false});
    HEARS(thief, "CONNACK 87 | closed");
    owner.connect({.user_name = "bob", .clean_start = false});
    HEARS(owner, version == ProtocolVersion::kV31 ? "CONNACK 00" : "CONNACK 00 present");
  }
}

TEST(ConnectionRules, mosquitto_3487_right_to_leave_a_will_is_asked_while_the_client_is_known) {
  AcceptsAll authenticator;
  NotesAccess authorizer;
  world.add(authenticator);
  world.add(authorizer);
  world.start();
  TranscriptClient watcher(world.broker.network(), "watcher");
  watcher.connect();
  watcher.subscribe("gone", 1);
  HEARS(watcher, "CONNACK 00 | SUBACK 00");
  const std::function<void()> ends[] = {[this] { client.reset(); },
                                        [this] { client.disconnect(ReasonCode::kDisconnectWithWillMessage); }};
  for (const auto& end : ends) {
    client.connect({.user_name = "bob", .will_topic = "gone"});
    HEARS(client, "CONNACK 00");
    STRCMP_EQUAL("sensor7/bob/gone ", std::exchange(authorizer.noted, {}).c_str());
    end();
    HEARS(watcher, "PUBLISH gone will");
    // Asked once more, about a client whose names are known although its session is gone.
    STRCMP_EQUAL("sensor7/bob/gone ", std::exchange(authorizer.noted, {}).c_str());
  }
  client.connect({.user_name = "bob", .will_topic = "forbidden"});
  CHECK(world.heard(client).ends_with("CONNACK 87 | closed"));
}

// ---- who goes while a plugin thinks --------------------------------------------------------------------------------

namespace {

class KeepsReplies final : public AuthenticatorPlugin {
 public:
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (request.client_id != "sensor7") return reply.accept();
    replies.push_back(std::move(reply));
  }
  mutable std::vector<AuthReply> replies;
};

}  // namespace

TEST_GROUP(GoneMeanwhile) {
  KeepsReplies plugin;
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};
  TranscriptClient watcher{world.broker.network(), "watcher"};

  void setup() override {
    world.add(plugin);
    world.start();
    watcher.connect();
    watcher.subscribe("#", 1);
    HEARS(watcher, "CONNACK 00 | SUBACK 00");
  }
  std::size_t connections() { return world.broker.broker().shard(0).connections(); }
};

TEST(GoneMeanwhile, client_that_has_closed_does_not_hold_its_place) {
  const std::function<void()> ends[] = {[this] { client.reset(); }, [this] { client.finish(); }};
  for (const auto& end : ends) {
    client.connect({.will_topic = "gone"});
    HEARS(client, "");
    LONGS_EQUAL(2, connections());
    end();
    CHECK(world.broker.settle());
    LONGS_EQUAL(1, connections());
    plugin.replies.back().accept();
    HEARS(watcher, "");  // it never was in, so it has no will
  }
}

TEST(GoneMeanwhile, what_it_had_sent_before_it_closed_is_handled) {
  client.hold();
  client.connect({.will_topic = "gone"});
  client.publish("said", "hello");
  client.disconnect(ReasonCode::kNormalDisconnection);
  client.release();
  client.finish();
  HEARS(watcher, "");
  LONGS_EQUAL(2, connections());
  plugin.replies.back().accept();
  HEARS(watcher, "PUBLISH said hello");
  LONGS_EQUAL(1, connections());
}

TEST(GoneMeanwhile, no_more_than_a_little_is_read_of_whoever_is_not_in_yet) {
  client.connect();
  HEARS(client, "");
  const std::uint64_t before = world.broker.broker().shard(0).counters().bytes_received.value();
  for (int i = 0; i != 100; ++i) client.publish("said", std::string(10'000, 'x'));
  CHECK(world.broker.settle());
  CHECK(world.broker.broker().shard(0).counters().bytes_received.value() - before <= 4096);
  plugin.replies.back().accept();
  CHECK(world.broker.settle());
  const std::string heard = watcher.take();
  LONGS_EQUAL(100 * (13 + 10'000 + 3) - 3, heard.size());
}
