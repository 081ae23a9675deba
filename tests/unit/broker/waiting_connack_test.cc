// CONNACK of a session that a durable publisher keeps, or has to let go of: it waits until that is on disk, and with it
// everything that the client asks for.
#include "tests/unit/broker/broker_world.h"
#include "tests/unit/broker/scripted_publisher.h"

using namespace mqloop;
using namespace mqloop::broker::test;
using sim::TranscriptClient;
using std::chrono::seconds;

TEST_GROUP(WaitingConnack) {
  ScriptedPublisher publisher;
  World world;
  TranscriptClient client{world.broker.network(), "a"};
  TranscriptClient again{world.broker.network(), "a"};

  void setup() override { world.start(publisher); }
  void complete() {
    CHECK(world.broker.settle());
    publisher.complete();
    CHECK(world.broker.settle());
  }
};

TEST(WaitingConnack, of_a_new_session_comes_when_its_turn_is_complete) {
  client.connect(durable());
  HEARS(client, "");
  STRCMP_EQUAL("created a", publisher.take().c_str());
  publisher.complete();
  HEARS(client, "CONNACK 00");
}

TEST(WaitingConnack, of_a_session_that_ends_with_its_connection_waits_for_nothing) {
  client.connect();
  HEARS(client, "CONNACK 00");
  STRCMP_EQUAL("", publisher.take().c_str());
}

TEST(WaitingConnack, of_a_session_that_is_resumed_waits_where_its_publisher_says_so_and_can_keep_it) {
  client.connect(durable());
  complete();
  HEARS(client, "CONNACK 00");
  const auto come_back = [&] {
    client.disconnect(ReasonCode::kNormalDisconnection);
    HEARS(client, "closed");
    client.connect(durable(false));
  };
  come_back();
  HEARS(client, "CONNACK 00 present");
  publisher.keeps_resumes = true;
  come_back();
  HEARS(client, "");
  publisher.complete();
  HEARS(client, "CONNACK 00 present");
  publisher.set_trouble(ReasonCode::kQuotaExceeded);
  come_back();
  HEARS(client, "CONNACK 00 present");
}

TEST(WaitingConnack, of_a_session_that_is_resumed_before_it_is_kept_waits_for_that) {
  client.connect(durable());
  HEARS(client, "");
  client.reset();
  CHECK(world.broker.settle());
  again.connect(durable(false));
  HEARS(again, "");
  publisher.complete();
  HEARS(again, "CONNACK 00 present");
}

TEST(WaitingConnack, after_the_end_of_a_session_waits_until_that_is_kept_though_its_own_is_not) {
  client.connect(durable());
  complete();
  HEARS(client, "CONNACK 00");
  client.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(client, "closed");
  client.connect();
  HEARS(client, "");
  client.reset();
  CHECK(world.broker.settle());
  LONGS_EQUAL(1, world.broker.broker().directory().size());  // whoever comes back comes here, where that is known
  again.connect();
  HEARS(again, "");
  complete();
  HEARS(again, "CONNACK 00");
  again.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(again, "closed");
  LONGS_EQUAL(0, world.broker.broker().directory().size());
  client.connect();
  HEARS(client, "CONNACK 00");
}

TEST(WaitingConnack, after_a_disconnect_that_ended_the_session_waits_until_that_is_kept) {
  client.connect(durable());
  complete();
  HEARS(client, "CONNACK 00");
  client.disconnect(ReasonCode::kNormalDisconnection, 0);
  HEARS(client, "closed");
  client.connect();
  HEARS(client, "");
  publisher.complete();
  HEARS(client, "CONNACK 00");
}

TEST(WaitingConnack, is_a_refusal_in_trouble_while_it_is_unknown_which_session_there_is) {
  client.connect(durable());
  HEARS(client, "");
  publisher.set_trouble(ReasonCode::kQuotaExceeded);
  CHECK(world.broker.settle());
  again.connect(durable(false));
  HEARS(again, "CONNACK 88 | closed");
}

TEST(WaitingConnack, waits_for_the_end_of_a_session_that_is_discarded_even_for_one_that_is_not_kept) {
  client.connect(durable());
  complete();
  HEARS(client, "CONNACK 00");
  client.disconnect(ReasonCode::kNormalDisconnection);
  HEARS(client, "closed");
  (void)publisher.take();
  client.connect();
  HEARS(client, "");
  STRCMP_EQUAL("ended a", publisher.take().c_str());
  publisher.complete();
  HEARS(client, "CONNACK 00");
}

TEST(WaitingConnack, keeps_what_came_behind_connect_until_it_is_sent) {
  client.hold();
  client.connect(durable());
  client.ping();
  client.subscribe("t", 1);
  client.publish("t", "m");
  client.release();
  HEARS(client, "");
  STRCMP_EQUAL("created a", publisher.take().c_str());
  client.ping();
  HEARS(client, "");
  publisher.complete();
  HEARS(client, "CONNACK 00 | PINGRESP | PUBLISH t m | PINGRESP");
  publisher.complete();
  HEARS(client, "SUBACK 00");
}

TEST(WaitingConnack, leaves_the_session_of_a_client_that_went_meanwhile) {
  client.connect(durable());
  HEARS(client, "");
  client.reset();
  CHECK(world.broker.settle());
  complete();
  STRCMP_EQUAL("created a, disconnected a", publisher.take().c_str());
  client.connect(durable(false));
  HEARS(client, "CONNACK 00 present");
}

TEST(WaitingConnack, is_a_refusal_to_a_connection_that_was_taken_over_meanwhile) {
  client.connect(durable());
  HEARS(client, "");
  again.connect(durable(false));
  HEARS(client, "CONNACK 80 | closed");
  complete();
  HEARS(again, "CONNACK 00 present");
  HEARS(client, "");
}

TEST(WaitingConnack, is_a_refusal_after_the_time_for_connect) {
  client.connect(durable());
  HEARS(client, "");
  world.broker.pass(seconds(9));
  HEARS(client, "");
  world.broker.pass(seconds(2));
  HEARS(client, "CONNACK 88 | closed");
  publisher.complete();
  HEARS(client, "");
}
