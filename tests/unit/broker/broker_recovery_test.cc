// What a publisher gives back of an earlier run: the broker goes on with it as if it had never been away, and what
// cannot be is left out.
#include <memory>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"
#include "tests/unit/broker/scripted_publisher.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker::test;
using mqtt::PacketType;
using sim::TranscriptClient;
using std::chrono::seconds;

constexpr std::uint64_t kReactors = 64;  // numbers of messages say their reactor

Ref<const Message> message(std::string_view topic, std::string_view payload, std::uint64_t number,
                           QoS qos = QoS::kAtLeastOnce) {
  Message::Content content;
  content.topic = topic;
  content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  content.qos = qos;
  content.number = number * kReactors;
  return Message::create(content);
}

// Gives the parts of a session.
class Given {
 public:
  explicit Given(Recovery& recovery) : recovery_(recovery) {}

  Given& session(std::string_view client_id, std::uint64_t number, seconds remaining = seconds(3600),
                 bool connected = false, const WillState* will = nullptr) {
    SessionState state;
    state.number = number_ = number;
    state.client_id = client_id;
    state.expiry_interval = 3600;
    state.connected = connected;
    state.will = will;
    recovery_.session(state, remaining);
    return *this;
  }
  Given& subscription(std::string_view filter, QoS qos = QoS::kAtLeastOnce) {
    SubscribeOp op;
    op.session = number_;
    op.session_is_durable = true;
    op.filter = filter;
    op.qos = qos;
    op.options = static_cast<std::uint8_t>(qos);
    recovery_.subscription(op);
    return *this;
  }
  Given& delivery(const Message* message, DeliveryState state, std::uint16_t packet_id = 0,
                  QoS qos = QoS::kAtLeastOnce) {
    Recipient recipient;
    recipient.message = message;
    recipient.session = number_;
    recipient.delivery = ++deliveries_;
    recipient.packet_id = packet_id;
    recipient.qos = qos;
    recipient.session_is_durable = true;
    recovery_.delivery(recipient, state);
    return *this;
  }

 private:
  Recovery& recovery_;
  std::uint64_t number_ = 0;
  std::uint64_t deliveries_ = 0;
};

}  // namespace

TEST_GROUP(BrokerRecovery) {
  ScriptedPublisher publisher;
  std::unique_ptr<World> world_;
  std::unique_ptr<TranscriptClient> reader;
  std::unique_ptr<TranscriptClient> source;

  // The recovery is given what `kept` gives, and one for all numbers.
  void start(std::function<void(Recovery&, Given&)> kept, std::uint32_t reactors = 1) {
    publisher.kept = [kept = std::move(kept)](Recovery& recovery) {
      recovery.numbers({1000, 1000 * kReactors, 1000, 1000});
      Given given(recovery);
      kept(recovery, given);
    };
    publisher.prompt = true;
    world_ = std::make_unique<World>(1, reactors);
    world_->broker.log().keep_lines();
    reader = std::make_unique<TranscriptClient>(world_->broker.network(), "reader");
    source = std::make_unique<TranscriptClient>(world_->broker.network(), "source");
    reader->tell_exchanges();
    source->tell_exchanges();
    world_->start(publisher);
  }
  void teardown() override {
    source.reset();
    reader.reset();
    world_.reset();
  }
  void pass(seconds time) {
    for (; time != seconds(0); time -= seconds(1)) {
      world_->broker.pass(seconds(1));
      CHECK(world_->broker.settle());
    }
  }
  void left_out(std::size_t count) {
    const std::string expected = " left_out=" + std::to_string(count);
    const std::vector<std::string> lines = world_->broker.log().lines("publisher recovered");
    CHECK_EQUAL(1U, lines.size());
    STRCMP_CONTAINS(expected.c_str(), lines[0].c_str());
  }
};

#undef HEARS
#define HEARS(client, expected) STRCMP_EQUAL(expected, world_->heard(*(client)).c_str())

TEST(BrokerRecovery, brings_back_a_session_with_window_and_queue_in_their_order) {
  start([](Recovery&, Given& given) {
    const auto received = DeliveryState::kReceived;
    given.session("reader", 7)
        .subscription("t")
        .delivery(message("t", "one", 1).get(), DeliveryState::kSent, 5)
        .delivery(nullptr, received, 3, QoS::kExactlyOnce)
        .delivery(message("t", "two", 2).get(), DeliveryState::kSent, 9, QoS::kExactlyOnce)
        .delivery(message("t", "three", 3).get(), DeliveryState::kQueued);
  });
  left_out(0);
  reader->connect(durable(false));
  HEARS(reader,
        "CONNACK 00 present | PUBLISH t one q1 #5 dup | PUBREL #3 | PUBLISH t two q2 #9 dup | PUBLISH t three q1 #1");
  source->connect();
  source->publish("t", "four", QoS::kAtLeastOnce, 1);
  HEARS(source, "CONNACK 00 | PUBACK #1");
  HEARS(reader, "PUBLISH t four q1 #2");
}

TEST(BrokerRecovery, brings_back_the_same_whatever_the_number_of_reactors) {
  start(
      [](Recovery&, Given& given) {
        for (int i = 0; i != 20; ++i) {
          given.session("s" + std::to_string(i), static_cast<std::uint64_t>(i) + 1).subscription("t");
        }
        given.session("reader", 50).subscription("t/#").delivery(message("t", "one", 1).get(), DeliveryState::kQueued);
      },
      3);
  reader->connect(durable(false));
  HEARS(reader, "CONNACK 00 present | PUBLISH t one q1 #1");
  source->connect();
  source->publish("t", "two", QoS::kAtLeastOnce, 1);
  HEARS(source, "CONNACK 00 | PUBACK #1");
  HEARS(reader, "PUBLISH t two q1 #2");
  for (int i = 0; i != 20; ++i) {
    TranscriptClient other{world_->broker.network(), "s" + std::to_string(i)};
    other.connect(durable(false));
    STRCMP_EQUAL("CONNACK 00 present | PUBLISH t two", world_->heard(other).c_str());
  }
}

TEST(BrokerRecovery, brings_back_identifiers_that_are_not_released) {
  start([](Recovery& recovery, Given& given) {
    given.session("reader", 8).subscription("t", QoS::kExactlyOnce);
    given.session("source", 7);
    recovery.received(4);
  });
  reader->connect(durable(false));
  source->connect(durable(false));
  source->publish("t", "again", QoS::kExactlyOnce, 4);
  source->publish("t", "new", QoS::kExactlyOnce, 5);
  HEARS(source, "CONNACK 00 present | PUBREC #4 | PUBREC #5");
  HEARS(reader, "CONNACK 00 present | PUBLISH t new q2 #1");
  source->acknowledge(PacketType::kPubrel, 4);
  HEARS(source, "PUBCOMP #4");
  source->publish("t", "free", QoS::kExactlyOnce, 4);
  HEARS(source, "PUBREC #4");
  HEARS(reader, "PUBLISH t free q2 #2");
}

TEST(BrokerRecovery, brings_back_retained_values) {
  start([](Recovery& recovery, Given&) {
    Message::Content content;
    const std::uint8_t payload[] = {'v'};
    content.topic = "t";
    content.payload = payload;
    content.qos = QoS::kAtLeastOnce;
    content.retain = true;
    content.number = kReactors;
    recovery.retained(Message::create(content));
  });
  reader->connect(durable(false));
  reader->subscribe("#", 1, QoS::kAtLeastOnce);
  HEARS(reader, "CONNACK 00 | PUBLISH t v q1 #1 retain | SUBACK 01");
}

TEST(BrokerRecovery, brings_back_shared_subscriptions_and_the_messages_of_their_groups) {
  start(
      [](Recovery& recovery, Given& given) {
        given.session("reader", 7).subscription("$share/g/t");
        recovery.group_message("$share/g/t", message("t", "one", 1));
      },
      2);
  left_out(0);
  reader->connect(durable(false));
  HEARS(reader, "CONNACK 00 present | PUBLISH t one q1 #1");
  source->connect();
  source->publish("t", "two", QoS::kAtLeastOnce, 1);
  HEARS(source, "CONNACK 00 | PUBACK #1");
  HEARS(reader, "PUBLISH t two q1 #2");
}

TEST(BrokerRecovery, publishes_the_will_of_a_client_that_was_connected_when_its_delay_is_over) {
  start(
      [](Recovery&, Given& given) {
        const Ref<const Message> at_once = message("w/now", "x", 0);
        const Ref<const Message> later = message("w/later", "y", 0);
        const WillState now_will{at_once.get(), 0, {}};
        const WillState later_will{later.get(), 30, {}};
        given.session("reader", 7).subscription("w/#");
        given.session("a", 8, seconds(3600), true, &now_will);
        given.session("b", 9, seconds(3600), true, &later_will);
      },
      2);
  reader->connect(durable(false));
  HEARS(reader, "CONNACK 00 present | PUBLISH w/now x q1 #1");
  STRCMP_CONTAINS("will_taken a", publisher.take().c_str());
  pass(seconds(28));
  HEARS(reader, "");
  pass(seconds(3));
  HEARS(reader, "PUBLISH w/later y q1 #2");
}

TEST(BrokerRecovery, lets_a_session_expire_when_the_rest_of_its_interval_is_over) {
  start([](Recovery&, Given& given) { given.session("reader", 7, seconds(10)).session("source", 8, seconds(100)); });
  pass(seconds(12));
  STRCMP_CONTAINS("ended reader", publisher.take().c_str());
  reader->connect(durable(false));
  HEARS(reader, "CONNACK 00");
  source->connect(durable(false));
  HEARS(source, "CONNACK 00 present");
}

TEST(BrokerRecovery, numbers_what_is_new_above_what_there_was) {
  start([](Recovery&, Given& given) { given.session("reader", 7).subscription("t"); });
  source->connect(durable(true));
  HEARS(source, "CONNACK 00");
  broker::Session* fresh = world_->broker.broker().shard(0).sessions().find("source");
  CHECK(fresh != nullptr);
  CHECK(fresh->number() > 1000);
  source->publish("t", "m", QoS::kAtLeastOnce, 1);
  HEARS(source, "PUBACK #1");
  broker::Session* away = world_->broker.broker().shard(0).sessions().find("reader");
  CHECK_EQUAL(1U, away->outbound()->queued());
  CHECK(away->outbound()->next().delivery > 1000);
  CHECK(away->outbound()->next().message->number() > 1000 * kReactors);
}

TEST(BrokerRecovery, leaves_out_and_counts_what_cannot_be) {
  start([](Recovery& recovery, Given& given) {
    const Ref<const Message> good = message("t", "good", 1);
    given.session("reader", 7).subscription("t").subscription("t/#/u").subscription("$share//t");  // 2
    given.delivery(good.get(), DeliveryState::kSent, 4)
        .delivery(good.get(), DeliveryState::kSent, 4)                          // an identifier twice
        .delivery(good.get(), DeliveryState::kSent)                             // without one
        .delivery(good.get(), DeliveryState::kQueued, 5)                        // with one
        .delivery(nullptr, DeliveryState::kQueued)                              // no message
        .delivery(nullptr, DeliveryState::kReceived, 6)                         // of QoS 1
        .delivery(good.get(), DeliveryState::kQueued, 0, QoS::kAtMostOnce)      // of QoS 0
        .delivery(good.get(), DeliveryState::kReceived, 7, QoS::kExactlyOnce);  // with a message
    recovery.received(0);
    given.session("reader", 8).subscription("v").delivery(good.get(), DeliveryState::kQueued);  // twice: 1
    recovery.group_message("t", good);
    recovery.retained(message("t/+", "x", 2));
    recovery.retained(message("t", "", 3));
  });
  left_out(2 + 7 + 1 + 1 + 3);
  reader->connect(durable(false));
  HEARS(reader, "CONNACK 00 present | PUBLISH t good q1 #4 dup");
}

TEST(BrokerRecovery, that_has_nothing_to_bring_says_nothing) {
  start([](Recovery&, Given&) {});
  CHECK(world_->broker.log().lines("publisher recovered").empty());
}
