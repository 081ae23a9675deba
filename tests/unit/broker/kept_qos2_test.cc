// QoS 2 with a durable publisher: nothing is sent before what it stands on is on disk, across reconnects too, and
// nobody waits who need not.
#include "tests/unit/broker/broker_world.h"
#include "tests/unit/broker/scripted_publisher.h"

using namespace mqloop;
using namespace mqloop::broker::test;
using mqtt::PacketType;
using sim::TranscriptClient;

TEST_GROUP(KeptQos2) {
  ScriptedPublisher publisher;
  World world;
  TranscriptClient source{world.broker.network(), "source"};
  TranscriptClient reader{world.broker.network(), "reader"};
  TranscriptClient other{world.broker.network(), "other"};

  // `reader` has a session that is kept and a subscription to `t`, the others have sessions as they are given.
  void start(const TranscriptClient::Connect& source_options = durable()) {
    world.start(publisher);
    publisher.prompt = true;
    for (TranscriptClient* client : {&source, &reader, &other}) client->tell_exchanges();
    source.connect(source_options);
    reader.connect(durable());
    other.connect();
    reader.subscribe("t", 1, QoS::kExactlyOnce);
    HEARS(source, "CONNACK 00");
    HEARS(reader, "CONNACK 00 | SUBACK 02");
    HEARS(other, "CONNACK 00");
    (void)publisher.take();
    publisher.prompt = false;
  }
  void complete() {
    CHECK(world.broker.settle());
    publisher.complete();
    CHECK(world.broker.settle());
  }
  void comes_back(TranscriptClient & client) {
    client.reset();
    CHECK(world.broker.settle());
    client.connect(durable(false));
  }
};

#define TOLD(expected) STRCMP_EQUAL(expected, publisher.take().c_str())

TEST(KeptQos2, publish_goes_out_when_its_turn_is_complete_under_the_identifier_of_its_block) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(source, "");
  HEARS(reader, "");
  TOLD("published m, block m #1");
  publisher.complete();
  HEARS(source, "PUBREC #9");
  HEARS(reader, "PUBLISH t m q2 #1");
}

TEST(KeptQos2, cve_2026_8741_publish_of_a_session_that_is_not_kept_waits_too) {
  start({});
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(source, "");
  HEARS(reader, "");
  publisher.complete();
  HEARS(source, "PUBREC #9");
  HEARS(reader, "PUBLISH t m q2 #1");
}

TEST(KeptQos2, publish_goes_first_to_who_comes_back_before_its_turn_is_complete) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(reader, "");
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present");
  publisher.complete();
  HEARS(reader, "PUBLISH t m q2 #1");  // not DUP: it was never sent
}

TEST(KeptQos2, publish_is_sent_again_under_its_identifier_and_in_its_place) {
  start();
  source.publish("t", "one", QoS::kExactlyOnce, 9);
  source.publish("t", "two", QoS::kExactlyOnce, 10);
  complete();
  HEARS(reader, "PUBLISH t one q2 #1 | PUBLISH t two q2 #2");
  source.publish("t", "three", QoS::kExactlyOnce, 11);
  HEARS(reader, "");
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present | PUBLISH t one q2 #1 dup | PUBLISH t two q2 #2 dup");
  publisher.complete();
  HEARS(reader, "PUBLISH t three q2 #3");
}

TEST(KeptQos2, identifier_that_comes_late_is_kept_before_publish_goes) {
  world.broker.settings().limits.max_in_flight = 1;
  start();
  source.publish("t", "one", QoS::kExactlyOnce, 9);
  HEARS(reader, "");
  source.publish("t", "two", QoS::kExactlyOnce, 10);
  complete();
  HEARS(reader, "PUBLISH t one q2 #1");
  TOLD("published one, block one #1, published two, block two");
  reader.acknowledge(PacketType::kPubrec, 1);
  complete();
  HEARS(reader, "PUBREL #1");
  (void)publisher.take();
  reader.acknowledge(PacketType::kPubcomp, 1);
  HEARS(reader, "");
  TOLD("acknowledged - #1, delivered two #2");
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present");
  publisher.complete();
  HEARS(reader, "PUBLISH t two q2 #2");
}

TEST(KeptQos2, pubrel_waits_until_pubrec_is_kept) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  complete();
  HEARS(reader, "PUBLISH t m q2 #1");
  reader.acknowledge(PacketType::kPubrec, 1);
  HEARS(reader, "");
  publisher.complete();
  HEARS(reader, "PUBREL #1");
}

TEST(KeptQos2, pubrel_waits_for_who_comes_back_as_well_and_the_message_is_not_sent_again) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  complete();
  HEARS(reader, "PUBLISH t m q2 #1");
  reader.acknowledge(PacketType::kPubrec, 1);
  HEARS(reader, "");
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present");
  publisher.complete();
  HEARS(reader, "PUBREL #1");
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present | PUBREL #1");
  reader.acknowledge(PacketType::kPubcomp, 1);
  complete();
  comes_back(reader);
  HEARS(reader, "CONNACK 00 present");
}

TEST(KeptQos2, pubcomp_waits_until_the_release_is_kept) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  complete();
  HEARS(source, "PUBREC #9");
  (void)publisher.take();
  source.acknowledge(PacketType::kPubrel, 9);
  HEARS(source, "");
  TOLD("released source");
  publisher.complete();
  HEARS(source, "PUBCOMP #9");
}

TEST(KeptQos2, publish_that_comes_again_on_another_connection_is_answered_there_and_delivered_once) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(source, "");
  comes_back(source);
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(source, "CONNACK 00 present");
  publisher.complete();
  HEARS(source, "PUBREC #9");
  HEARS(reader, "PUBLISH t m q2 #1");
}

TEST(KeptQos2, pubrel_that_comes_again_on_another_connection_is_answered_there) {
  start();
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  complete();
  HEARS(source, "PUBREC #9");
  source.acknowledge(PacketType::kPubrel, 9);
  HEARS(source, "");
  comes_back(source);
  source.acknowledge(PacketType::kPubrel, 9);
  HEARS(source, "CONNACK 00 present");
  publisher.complete();
  HEARS(source, "PUBCOMP #9");
}

TEST(KeptQos2, publish_with_qos_1_is_sent_at_once_and_acknowledged_when_it_is_kept) {
  start();
  source.publish("t", "m", QoS::kAtLeastOnce, 9);
  HEARS(source, "");
  HEARS(reader, "PUBLISH t m q1 #1");
  publisher.complete();
  HEARS(source, "PUBACK #9");
}

TEST(KeptQos2, publish_does_not_wait_for_who_is_not_kept) {
  start({});
  other.subscribe("t", 2, QoS::kExactlyOnce);
  HEARS(other, "SUBACK 02");
  source.publish("t", "m", QoS::kExactlyOnce, 9);
  HEARS(other, "PUBLISH t m q2 #1");
  HEARS(reader, "");
  publisher.complete();
  HEARS(reader, "PUBLISH t m q2 #1");
}

TEST(KeptQos2, acknowledgements_of_one_client_come_in_order_though_the_first_alone_waits) {
  start();
  source.publish("t", "kept", QoS::kAtLeastOnce, 1);
  source.publish("nobody", "not kept", QoS::kAtLeastOnce, 2);
  source.publish("nobody", "nor that", QoS::kAtLeastOnce, 3);
  HEARS(source, "");
  other.publish("nobody", "of another", QoS::kAtLeastOnce, 1);
  HEARS(other, "PUBACK #1 10");
  publisher.complete();
  HEARS(source, "PUBACK #1 | PUBACK #2 10 | PUBACK #3 10");
}

TEST(KeptQos2, acknowledgements_come_turn_by_turn) {
  start();
  source.publish("t", "one", QoS::kAtLeastOnce, 1);
  HEARS(source, "");
  const std::uint64_t first = publisher.flushed();
  source.publish("t", "two", QoS::kAtLeastOnce, 2);
  HEARS(source, "");
  publisher.complete(0, first);
  HEARS(source, "PUBACK #1");
  publisher.complete();
  HEARS(source, "PUBACK #2");
}

TEST(KeptQos2, window_that_comes_back_has_its_quota_before_what_is_queued_behind_it) {
  world.broker.settings().limits.max_in_flight = 1;
  start();
  source.publish("t", "one", QoS::kExactlyOnce, 9);
  source.publish("t", "two", QoS::kExactlyOnce, 10);
  source.publish("t", "three", QoS::kExactlyOnce, 11);
  complete();
  HEARS(reader, "PUBLISH t one q2 #1");
  reader.acknowledge(PacketType::kPubrec, 1);
  complete();
  HEARS(reader, "PUBREL #1");
  reader.acknowledge(PacketType::kPubcomp, 1);
  HEARS(reader, "");  // "two" waits in the window for its identifier, "three" in the queue for room
  comes_back(reader);
  complete();
  HEARS(reader, "CONNACK 00 present | PUBLISH t two q2 #2");
}

TEST(KeptQos2, what_a_displaced_message_held_up_goes_on) {
  world.broker.settings().limits.session.max_queued_messages = 2;
  world.broker.settings().limits.session.overflow = broker::QueueOverflow::kDropOldest;
  world.broker.settings().limits.max_in_flight = 1;
  start();
  source.publish("t", "in flight", QoS::kAtLeastOnce, 1);
  HEARS(reader, "PUBLISH t in flight q1 #1");
  source.publish("t", "displaced", QoS::kExactlyOnce, 2);
  source.publish("t", "second", QoS::kAtLeastOnce, 3);
  reader.acknowledge(PacketType::kPuback, 1);
  HEARS(reader, "");  // the first of the queue waits for its turn
  source.publish("t", "third", QoS::kAtLeastOnce, 4);
  HEARS(reader, "");
  publisher.complete();
  HEARS(reader, "PUBLISH t second q1 #2");
}

TEST(KeptQos2, member_that_leaves_its_group_gives_back_what_it_has_not_been_sent) {
  start();
  reader.subscribe("$share/g/s", 2, QoS::kExactlyOnce);
  complete();
  HEARS(reader, "SUBACK 02");
  source.publish("s", "m", QoS::kExactlyOnce, 9);
  complete();  // the member has its identifier, which is not on disk yet
  HEARS(reader, "");
  other.subscribe("$share/g/s", 2, QoS::kExactlyOnce);
  HEARS(other, "SUBACK 02");
  (void)publisher.take();
  reader.unsubscribe("$share/g/s", 3);
  HEARS(other, "PUBLISH s m q2 #1");
  TOLD("returned m #1 $share/g/s");
  publisher.complete();
  HEARS(reader, "UNSUBACK");
}

// Sent and taken over in one turn of the reactor, and too large for the connection that took over.
TEST(KeptQos2, publisher_hears_of_a_delivery_before_it_hears_what_becomes_of_it) {
  start();
  publisher.holds = false;
  reader.hold();
  TranscriptClient::Connect small = durable(false);
  small.maximum_packet_size = 20;
  reader.connect(small);
  CHECK(world.broker.settle());
  (void)publisher.take();
  world.broker.halt(0, true);
  source.publish("t", "a payload of some size", QoS::kExactlyOnce, 9);
  reader.release();
  CHECK(world.broker.settle());
  world.broker.halt(0, false);
  CHECK(world.broker.step());
  publisher.complete();
  TOLD(
      "disconnected reader, resumed reader, published a payload of some size, block a payload of some size #1, "
      "received a payload of some size #1");
  HEARS(reader, "CONNACK 00 present | PUBREL #1");
}
