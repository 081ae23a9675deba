// Messages whose turn is not complete yet, for clients that are there and for one that is away: in a broker on
// simulated time, with a publisher that holds everything.
#include <string>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"
#include "tests/support/simulated_publisher.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

SimulatedPublisherOptions that_holds_everything() {
  SimulatedPublisherOptions options;
  options.hold_percent = 100;
  options.hold_qos0 = true;
  options.subscribe_later_percent = 0;
  options.longest_delay = std::chrono::milliseconds(100);
  return options;
}

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_message(SimulatedClient&, const Received& message) override { payloads += message.payload + ' '; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::string payloads;
  std::string faults;
};

}  // namespace

TEST_GROUP(HeldDelivery) {
  SimulatedRandom random{3};
  SimulatedPublisher publisher{that_holds_everything(), random};
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes source_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient source{broker.network(), source_notes, "source", ProtocolVersion::kV5};

  void start(bool queue_qos0) {
    broker.settings().limits.session.queue_qos0 = queue_qos0;
    broker.start(publisher);
    source.connect({});
    connect(true);
    const SubscribeEntry entry{"t", {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&entry, 1}, 0, 1);
    settle();
  }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + source_notes.faults).c_str());
    CHECK(broker.stop());
    for (const std::string& fault : publisher.faults()) FAIL(fault.c_str());
  }
  void settle() {
    CHECK(broker.settle());
    broker.pass(std::chrono::milliseconds(200));
    CHECK(broker.settle());
  }
  void connect(bool clean_start) {
    ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = 3600;
    client.connect(options);
    settle();
  }
  void publish(const std::string& payload, QoS qos) {
    PublishRequest request;
    request.topic = "t";
    request.payload = payload;
    request.qos = qos;
    for (int i = 0; source.publish(request) == 0; ++i) {
      CHECK(i != 10);
      settle();  // its window is full
    }
  }
};

TEST(HeldDelivery, comes_when_the_turn_is_complete_and_in_order) {
  start(false);
  std::string expected;
  for (int i = 0; i != 20; ++i) {
    publish(std::to_string(i), QoS::kAtLeastOnce);
    expected += std::to_string(i) + ' ';
    if (i % 3 == 0) CHECK(broker.settle());
  }
  settle();
  STRCMP_EQUAL(expected.c_str(), notes.payloads.c_str());
}

TEST(HeldDelivery, of_qos_0_for_a_client_that_is_away_is_dropped_behind_others_too) {
  start(false);
  client.disconnect();
  settle();
  publish("kept", QoS::kAtLeastOnce);
  publish("one", QoS::kAtMostOnce);
  publish("two", QoS::kAtMostOnce);
  settle();
  connect(false);
  STRCMP_EQUAL("kept ", notes.payloads.c_str());
}

TEST(HeldDelivery, of_qos_0_for_a_client_that_is_away_waits_where_the_configuration_says_so) {
  start(true);
  client.disconnect();
  settle();
  publish("kept", QoS::kAtLeastOnce);
  publish("one", QoS::kAtMostOnce);
  publish("two", QoS::kAtMostOnce);
  settle();
  connect(false);
  STRCMP_EQUAL("kept one two ", notes.payloads.c_str());
}
