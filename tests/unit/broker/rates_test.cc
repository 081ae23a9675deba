// limits.rates: what comes faster than allowed is read later, nobody is cut off, and time under which it happens is
// that of the simulation.
#include <memory>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override { ++connected; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode>) override { ++closed; }
  void on_message(SimulatedClient&, const Received&) override { ++messages; }
  void on_answered(SimulatedClient&, std::uint64_t request) override { answered = request; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  int connected = 0;
  int closed = 0;
  int messages = 0;
  std::uint64_t answered = 0;
  std::string faults;
};

}  // namespace

TEST_GROUP(Rates) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes other_notes;
  Notes rival_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient other{broker.network(), other_notes, "other", ProtocolVersion::kV311};
  SimulatedClient rival{broker.network(), rival_notes, "client", ProtocolVersion::kV5};
  std::vector<std::unique_ptr<SimulatedClient>> crowd;

  void start_and_connect(std::uint16_t keep_alive = 0) {
    broker.start(publisher);
    client.connect({.keep_alive = keep_alive});
    CHECK(broker.settle());
    const SubscribeEntry own{"own", {}};
    client.subscribe({&own, 1}, 0, 1);
    CHECK(broker.settle());
  }
  void teardown() override {
    STRCMP_EQUAL("", notes.faults.c_str());
    CHECK(broker.stop());
  }
  void pass(milliseconds time) {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(10)) {
      broker.pass(milliseconds(10));
      CHECK(broker.settle());
    }
  }
  // Ten clients come at once: two are let in, then one each half second, and nobody is refused.
  void check_connects_at_two_a_second() {
    broker.start(publisher);
    for (int i = 0; i != 10; ++i) {
      crowd.push_back(std::make_unique<SimulatedClient>(broker.network(), notes, "c" + std::to_string(i),
                                                        i % 2 == 0 ? ProtocolVersion::kV5 : ProtocolVersion::kV311));
      crowd.back()->connect({});
    }
    CHECK(broker.settle());
    LONGS_EQUAL(2, notes.connected);
    for (int more = 1; more <= 8; ++more) {
      pass(milliseconds(490));
      LONGS_EQUAL(1 + more, notes.connected);
      pass(milliseconds(10));
      LONGS_EQUAL(2 + more, notes.connected);
    }
    LONGS_EQUAL(0, notes.closed);
    LONGS_EQUAL(0, broker.broker().connections_refused());
  }
};

TEST(Rates, publish_per_client_lets_a_burst_pass_and_reads_the_rest_at_the_rate) {
  broker.settings().limits.rates.publish_per_client = 10;
  start_and_connect();
  for (int i = 0; i != 30; ++i) client.publish({.topic = "own", .payload = "x"});
  CHECK(broker.settle());
  LONGS_EQUAL(10, notes.messages);
  for (int more = 1; more <= 20; ++more) {
    pass(milliseconds(100));
    LONGS_EQUAL(10 + more, notes.messages);
  }
  LONGS_EQUAL(0, notes.closed);
}

TEST(Rates, one_client_that_pauses_does_not_slow_another) {
  broker.settings().limits.rates.publish_per_client = 1;
  start_and_connect();
  other.connect({});
  for (int i = 0; i != 5; ++i) client.publish({.topic = "own", .payload = "x"});
  CHECK(broker.settle());
  LONGS_EQUAL(1, notes.messages);
  const std::uint64_t ping = other.ping();
  CHECK(broker.settle());
  LONGS_EQUAL(ping, other_notes.answered);
  other.publish({.topic = "own", .payload = "x"});
  CHECK(broker.settle());
  LONGS_EQUAL(2, notes.messages);
}

TEST(Rates, keep_alive_stands_still_while_the_broker_does_not_read) {
  broker.settings().limits.rates.publish_per_client = 1;
  start_and_connect(1);
  for (int i = 0; i != 10; ++i) client.publish({.topic = "own", .payload = "x"});
  CHECK(broker.settle());
  pass(seconds(9));
  LONGS_EQUAL(10, notes.messages);
  LONGS_EQUAL(0, notes.closed);
  // All is read: from here on the client is silent by itself.
  pass(milliseconds(1400));
  LONGS_EQUAL(0, notes.closed);
  pass(milliseconds(200));
  LONGS_EQUAL(1, notes.closed);
}

TEST(Rates, bytes_per_client_hold_up_what_follows_a_large_message) {
  broker.settings().limits.rates.bytes_per_client = 1000;
  start_and_connect();
  broker.pass(seconds(1));
  const MonotonicTime sent = broker.time();
  client.publish({.topic = "own", .payload = std::string(5000, 'x')});
  CHECK(broker.run_until([&] { return notes.messages == 1; }));
  CHECK(broker.time() - sent <= milliseconds(4100));
  const std::uint64_t ping = client.ping();
  CHECK(broker.run_until([&] { return notes.answered == ping; }));
  CHECK(broker.time() - sent >= seconds(4));
  CHECK(broker.time() - sent <= milliseconds(4300));
  LONGS_EQUAL(0, notes.closed);
}

TEST(Rates, who_is_paused_can_still_be_told_to_go) {
  broker.settings().limits.rates.publish_per_client = 0.01;
  start_and_connect();
  for (int i = 0; i != 3; ++i) client.publish({.topic = "own", .payload = "x"});
  CHECK(broker.settle());
  rival.connect({});
  CHECK(broker.settle());
  LONGS_EQUAL(1, rival_notes.connected);
  LONGS_EQUAL(1, notes.closed);
  pass(seconds(200));  // the pause of the one that is gone ends
  LONGS_EQUAL(1, notes.messages);
}

TEST(Rates, connect_takes_a_burst_and_then_one_at_a_time_on_any_reactor) {
  broker.settings().limits.rates.connect = 2;
  check_connects_at_two_a_second();
}

TEST(Rates, a_listener_may_have_a_rate_of_its_own) {
  broker.listener_settings().connect_rate = 2;
  check_connects_at_two_a_second();
}
