// What waits because a connection's output is above limits.output.soft goes on by itself once that is written: no other
// packet, no timer is needed. Asked of a whole broker whose time stands still.
#include <string>

#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_message(SimulatedClient&, const Received& message) override {
    if (message.payload.size() < 10) payloads += message.payload + ' ';
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::string payloads;  // the short ones
  std::string faults;
};

// What a client gets that fills its own output and, with the same bytes, asks for more.
template <typename Ask>
void check_arrives_by_itself(const char* expected, Ask ask) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SimulatedRandom random(seed);
    PassthroughPublisher publisher;
    SimulatedBroker broker(random, 1, false);
    broker.settings().limits.output.soft = 1000;
    broker.start(publisher);
    Notes notes;
    SimulatedClient client(broker.network(), notes, "client", ProtocolVersion::kV5);
    client.connect({});
    CHECK(broker.settle());
    client.publish({.topic = "kept", .payload = "kept", .retain = true});
    const SubscribeEntry own{"own/#", {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&own, 1}, 0, 1);
    CHECK(broker.settle());
    for (int i = 0; i != 3; ++i) client.publish({.topic = "own/filler", .payload = std::string(1000, 'x')});
    ask(client);
    CHECK(broker.settle());
    STRCMP_EQUAL(expected, notes.payloads.c_str());
    STRCMP_EQUAL("", notes.faults.c_str());
    CHECK(broker.stop());
  }
}

}  // namespace

TEST_GROUP(OutputLimit){};

TEST(OutputLimit, a_replay_of_retained_messages_goes_on_when_the_output_is_written) {
  check_arrives_by_itself("kept ", [](SimulatedClient& client) {
    const SubscribeEntry kept{"kept", {}};
    client.subscribe({&kept, 1}, 0, 2);
  });
}

TEST(OutputLimit, queued_messages_go_on_when_the_output_is_written) {
  check_arrives_by_itself("1 2 3 ", [](SimulatedClient& client) {
    for (const char* payload : {"1", "2", "3"}) {
      client.publish({.topic = "own/short", .payload = payload, .qos = QoS::kAtLeastOnce});
    }
  });
}
