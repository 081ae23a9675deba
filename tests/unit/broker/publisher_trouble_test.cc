// A publisher that cannot keep anything for a while: who is refused, who waits, and who does not notice.
#include "tests/unit/broker/broker_world.h"
#include "tests/unit/broker/scripted_publisher.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker::test;
using sim::TranscriptClient;
using std::chrono::seconds;

TranscriptClient::Connect with_keep_alive(std::uint16_t keep_alive) {
  TranscriptClient::Connect options;
  options.keep_alive = keep_alive;
  return options;
}

}  // namespace

// There is a reader of `t` whose session is kept, one of `u` whose session is not, and a source with such a session.
TEST_GROUP(PublisherTrouble) {
  ScriptedPublisher publisher;
  World world;
  TranscriptClient source{world.broker.network(), "source"};
  TranscriptClient reader{world.broker.network(), "reader"};
  TranscriptClient other{world.broker.network(), "other"};

  void start(ProtocolVersion version, std::uint16_t keep_alive = 0, ProtocolVersion reads = ProtocolVersion::kV5) {
    world.start(publisher);
    publisher.prompt = true;
    for (TranscriptClient* client : {&source, &reader, &other}) client->tell_exchanges();
    source.set_version(version);
    source.connect(with_keep_alive(keep_alive));
    reader.set_version(reads);
    reader.connect(durable(reads == ProtocolVersion::kV5));
    other.connect();
    reader.subscribe("t", 1, QoS::kAtLeastOnce);
    other.subscribe("u", 1, QoS::kAtLeastOnce);
    HEARS(source, "CONNACK 00");
    HEARS(reader, "CONNACK 00 | SUBACK 01");
    HEARS(other, "CONNACK 00 | SUBACK 01");
  }
  void trouble(ReasonCode reason) {
    publisher.set_trouble(reason);
    CHECK(world.broker.settle());
  }
  void pass(seconds time) {
    for (; time != seconds(0); time -= seconds(1)) {
      world.broker.pass(seconds(1));
      CHECK(world.broker.settle());
    }
  }
};

TEST(PublisherTrouble, refuses_what_would_have_to_be_kept_and_nothing_else) {
  start(ProtocolVersion::kV5);
  trouble(ReasonCode::kQuotaExceeded);
  source.publish("t", "one", QoS::kAtLeastOnce, 1);
  source.publish("t", "two", QoS::kExactlyOnce, 2);
  source.publish("v", "three", QoS::kAtLeastOnce, 3, true);
  HEARS(source, "PUBACK #1 97 | PUBREC #2 97 | PUBACK #3 97");
  source.publish("u", "four", QoS::kAtLeastOnce, 4);
  source.publish("t", "five");
  HEARS(source, "PUBACK #4");
  HEARS(other, "PUBLISH u four q1 #1");
  HEARS(reader, "PUBLISH t five q0");
  trouble(ReasonCode::kSuccess);
  source.publish("t", "six", QoS::kAtLeastOnce, 1);
  HEARS(source, "PUBACK #1");
  HEARS(reader, "PUBLISH t six q1 #1");
}

TEST(PublisherTrouble, says_what_kind_it_is) {
  start(ProtocolVersion::kV5);
  trouble(ReasonCode::kImplementationSpecificError);
  source.publish("t", "m", QoS::kAtLeastOnce, 1);
  HEARS(source, "PUBACK #1 83");
}

TEST(PublisherTrouble, refuses_in_the_order_of_acknowledgements) {
  start(ProtocolVersion::kV5);
  publisher.prompt = false;
  source.publish("t", "one", QoS::kAtLeastOnce, 1);
  HEARS(source, "");
  trouble(ReasonCode::kQuotaExceeded);
  source.publish("t", "two", QoS::kAtLeastOnce, 2);
  HEARS(source, "");
  trouble(ReasonCode::kSuccess);
  publisher.complete();
  HEARS(source, "PUBACK #1 | PUBACK #2 97");
}

TEST(PublisherTrouble, leaves_a_client_of_mqtt_3_unread_until_it_is_over) {
  start(ProtocolVersion::kV311);
  trouble(ReasonCode::kQuotaExceeded);
  source.publish("u", "not kept", QoS::kAtLeastOnce, 1);
  source.publish("t", "kept", QoS::kAtLeastOnce, 2);
  source.publish("t", "behind it");
  HEARS(source, "PUBACK #1");
  pass(seconds(9));
  HEARS(source, "");
  HEARS(reader, "");
  trouble(ReasonCode::kSuccess);
  HEARS(source, "PUBACK #2");
  HEARS(reader, "PUBLISH t kept q1 #1 | PUBLISH t behind it q0");
  pass(seconds(20));
  HEARS(source, "");
}

TEST(PublisherTrouble, closes_a_client_of_mqtt_3_without_an_acknowledgement_after_ten_seconds) {
  start(ProtocolVersion::kV311);
  trouble(ReasonCode::kQuotaExceeded);
  source.publish("t", "kept", QoS::kAtLeastOnce, 1);
  pass(seconds(9));
  HEARS(source, "");
  pass(seconds(2));
  HEARS(source, "closed");
  HEARS(reader, "");
}

TEST(PublisherTrouble, does_not_let_the_keep_alive_of_who_is_not_read_run_out) {
  start(ProtocolVersion::kV311, 2);
  trouble(ReasonCode::kQuotaExceeded);
  source.publish("t", "kept", QoS::kAtLeastOnce, 1);
  pass(seconds(8));
  trouble(ReasonCode::kSuccess);
  HEARS(source, "PUBACK #1");
}

TEST(PublisherTrouble, takes_no_session_that_would_have_to_be_kept_and_lets_go_of_none) {
  start(ProtocolVersion::kV5);
  trouble(ReasonCode::kQuotaExceeded);
  TranscriptClient fresh{world.broker.network(), "fresh"};
  fresh.connect(durable());
  HEARS(fresh, "CONNACK 88 | closed");
  fresh.connect();
  HEARS(fresh, "CONNACK 00");
  reader.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(reader, "closed");
  reader.connect(durable());
  HEARS(reader, "CONNACK 88 | closed");
  reader.connect(durable(false));
  HEARS(reader, "CONNACK 00 present");
}

TEST(PublisherTrouble, changes_no_subscription_that_would_have_to_be_kept) {
  start(ProtocolVersion::kV5);
  trouble(ReasonCode::kQuotaExceeded);
  reader.subscribe("new", 2, QoS::kAtLeastOnce);
  HEARS(reader, "SUBACK 97");
  reader.subscribe("$share/group/new", 3, QoS::kAtLeastOnce);
  HEARS(reader, "SUBACK 97");
  reader.unsubscribe("t", 4);
  HEARS(reader, "UNSUBACK 83");
  reader.unsubscribe("no such filter", 5);
  HEARS(reader, "UNSUBACK");
  other.subscribe("w", 2, QoS::kAtLeastOnce);
  HEARS(other, "SUBACK 01");
  other.unsubscribe("u", 3);
  HEARS(other, "UNSUBACK");
  source.publish("new", "one");
  source.publish("t", "two");
  HEARS(reader, "PUBLISH t two q0");
  trouble(ReasonCode::kSuccess);
  reader.subscribe("new", 2, QoS::kAtLeastOnce);
  reader.unsubscribe("t", 4);
  HEARS(reader, "SUBACK 01 | UNSUBACK");
  source.publish("new", "three");
  source.publish("t", "four");
  HEARS(reader, "PUBLISH new three q0");
}

TEST(PublisherTrouble, of_another_kind_refuses_a_subscription_with_the_code_that_suback_has_for_it) {
  start(ProtocolVersion::kV5);
  trouble(ReasonCode::kPayloadFormatInvalid);
  reader.subscribe("new", 2, QoS::kAtLeastOnce);
  HEARS(reader, "SUBACK 83");
}

TEST(PublisherTrouble, refuses_a_subscription_behind_the_answers_that_wait) {
  start(ProtocolVersion::kV5);
  publisher.prompt = false;
  reader.subscribe("first", 2, QoS::kAtLeastOnce);
  HEARS(reader, "");
  trouble(ReasonCode::kQuotaExceeded);
  reader.subscribe("second", 3, QoS::kAtLeastOnce);
  reader.unsubscribe("t", 4);
  HEARS(reader, "");
  trouble(ReasonCode::kSuccess);
  publisher.complete();
  HEARS(reader, "SUBACK 01 | SUBACK 97 | UNSUBACK 83");
}

TEST(PublisherTrouble, refuses_a_subscription_of_mqtt_3_1_1_and_leaves_unsubscribe_unread) {
  start(ProtocolVersion::kV5, 0, ProtocolVersion::kV311);
  trouble(ReasonCode::kQuotaExceeded);
  reader.subscribe("new", 2, QoS::kAtLeastOnce);
  HEARS(reader, "SUBACK 80");
  reader.unsubscribe("t", 3);
  reader.ping();
  HEARS(reader, "");
  source.publish("t", "one");
  HEARS(reader, "PUBLISH t one q0");
  trouble(ReasonCode::kSuccess);
  HEARS(reader, "PINGRESP | UNSUBACK");
  source.publish("t", "two");
  HEARS(reader, "");
}

TEST(PublisherTrouble, leaves_a_subscription_of_mqtt_3_1_unread_and_after_ten_seconds_unanswered) {
  start(ProtocolVersion::kV5, 0, ProtocolVersion::kV31);
  trouble(ReasonCode::kQuotaExceeded);
  reader.subscribe("new", 2, QoS::kAtLeastOnce);
  HEARS(reader, "");
  trouble(ReasonCode::kSuccess);
  HEARS(reader, "SUBACK 01");
  trouble(ReasonCode::kQuotaExceeded);
  reader.subscribe("newer", 3, QoS::kAtLeastOnce);
  pass(seconds(11));
  HEARS(reader, "closed");
}

TEST(PublisherTrouble, backlog_holds_what_the_publisher_is_asked_about_and_lets_qos_0_pass) {
  start(ProtocolVersion::kV5, 2);
  publisher.set_backlog(Backlog::kFull);
  CHECK(world.broker.settle());
  source.publish("t", "first");
  HEARS(reader, "PUBLISH t first q0");
  source.publish("t", "second", QoS::kAtLeastOnce, 1);
  source.publish("t", "third");
  pass(seconds(30));
  HEARS(source, "");
  HEARS(reader, "");
  publisher.set_backlog(Backlog::kNone);
  HEARS(source, "PUBACK #1");
  HEARS(reader, "PUBLISH t second q1 #1 | PUBLISH t third q0");
}
