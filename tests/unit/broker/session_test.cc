// The life of a session, row by row of the table in session.h, and what its will does meanwhile: asked of a whole
// broker on simulated time.
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
using std::chrono::seconds;

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool session_present) override { present.push_back(session_present); }
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override { closed = code; }
  void on_message(SimulatedClient&, const Received& message) override { payloads += message.payload + ' '; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::vector<bool> present;
  std::optional<ReasonCode> closed;
  std::string payloads;
  std::string faults;
};

}  // namespace

TEST_GROUP(Session) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes watcher_notes;
  Notes rival_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient rival{broker.network(), rival_notes, "client", ProtocolVersion::kV5};  // of the same name
  SimulatedClient watcher{broker.network(), watcher_notes, "watcher", ProtocolVersion::kV5};

  void setup() override {
    broker.start(publisher);
    watcher.connect({});
    CHECK(broker.settle());
    const SubscribeEntry wills{"will", {}};
    watcher.subscribe({&wills, 1}, 0, 1);
    CHECK(broker.settle());
  }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + rival_notes.faults + watcher_notes.faults).c_str());
    CHECK(broker.stop());
  }

  void connect(SimulatedClient & who, bool clean_start, std::uint32_t expiry_interval, int will_delay = -1) {
    ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = expiry_interval;
    if (will_delay >= 0) {
      options.will = {"will", "gone", QoS::kAtMostOnce, false, static_cast<std::uint32_t>(will_delay)};
    }
    who.connect(options);
    CHECK(broker.settle());
  }
  void subscribe() {
    const SubscribeEntry entry{"t", {.maximum_qos = QoS::kAtLeastOnce}};
    client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
  }
  void wait(seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      broker.pass(seconds(1));
      CHECK(broker.settle());
    }
  }
  // Besides the watcher's.
  std::uint64_t sessions() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i != broker.reactors(); ++i) sum += broker.broker().shard(i).counters().sessions.value();
    LONGS_EQUAL(sum, broker.broker().directory().size());
    return sum - 1;
  }
  std::uint64_t subscriptions() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
      sum += broker.broker().shard(i).counters().subscriptions.value();
    }
    return sum - 1;
  }
  const char* wills() const { return watcher_notes.payloads.c_str(); }
};

TEST(Session, without_an_expiry_interval_it_ends_with_its_connection) {
  connect(client, true, 0);
  LONGS_EQUAL(1, sessions());
  subscribe();
  client.disconnect();
  CHECK(broker.settle());
  LONGS_EQUAL(0, sessions());
  LONGS_EQUAL(0, subscriptions());
  connect(client, false, 0);
  CHECK(!notes.present.back());
}

TEST(Session, with_an_expiry_interval_it_waits_for_its_client) {
  connect(client, true, 60);
  subscribe();
  client.reset();
  wait(seconds(59));
  LONGS_EQUAL(1, sessions());
  connect(client, false, 60);
  CHECK(notes.present.back());
  LONGS_EQUAL(1, subscriptions());
}

TEST(Session, ends_when_the_expiry_interval_has_passed) {
  connect(client, true, 60);
  subscribe();
  client.disconnect();
  wait(seconds(62));
  LONGS_EQUAL(0, sessions());
  LONGS_EQUAL(0, subscriptions());
  connect(client, false, 60);
  CHECK(!notes.present.back());
}

TEST(Session, the_expiry_interval_counts_from_the_latest_disconnection) {
  connect(client, true, 60);
  for (int i = 0; i != 3; ++i) {
    client.disconnect();
    wait(seconds(40));
    connect(client, false, 60);
    CHECK(notes.present.back());
  }
  wait(seconds(120));  // connected, it does not expire
  LONGS_EQUAL(1, sessions());
}

TEST(Session, never_expires_when_the_client_says_so) {
  connect(client, true, 0xFFFFFFFF);
  client.disconnect();
  broker.pass(std::chrono::hours(24 * 365 * 200));
  CHECK(broker.settle());
  LONGS_EQUAL(1, sessions());
}

TEST(Session, disconnect_may_shorten_its_life) {
  connect(client, true, 3600);
  client.disconnect(ReasonCode::kNormalDisconnection, 0);
  CHECK(broker.settle());
  LONGS_EQUAL(0, sessions());
}

TEST(Session, clean_start_ends_the_one_that_waits_and_begins_another) {
  connect(client, true, 60);
  subscribe();
  client.disconnect();
  CHECK(broker.settle());
  connect(client, true, 60);
  CHECK(!notes.present.back());
  LONGS_EQUAL(1, sessions());
  LONGS_EQUAL(0, subscriptions());
}

TEST(Session, is_taken_over_by_a_second_connection_of_its_client) {
  connect(client, true, 60);
  subscribe();
  connect(rival, false, 60);
  CHECK(rival_notes.present.back());
  CHECK(ReasonCode::kSessionTakenOver == notes.closed);
  LONGS_EQUAL(1, sessions());
  LONGS_EQUAL(1, subscriptions());
}

TEST(Session, without_an_expiry_interval_is_not_there_any_more_for_who_takes_over) {
  connect(client, true, 0);
  subscribe();
  connect(rival, false, 0);
  CHECK(!rival_notes.present.back());
  CHECK(ReasonCode::kSessionTakenOver == notes.closed);
  LONGS_EQUAL(1, sessions());
  LONGS_EQUAL(0, subscriptions());
}

TEST(Session, clean_start_ends_one_that_is_connected) {
  connect(client, true, 60);
  subscribe();
  connect(rival, true, 60);
  CHECK(!rival_notes.present.back());
  LONGS_EQUAL(1, sessions());
  LONGS_EQUAL(0, subscriptions());
}

TEST(Session, publishes_its_will_when_the_connection_breaks_and_only_once) {
  connect(client, true, 60, 0);
  client.reset();
  wait(seconds(61));
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, publishes_no_will_after_disconnect) {
  connect(client, true, 60, 0);
  client.disconnect();
  wait(seconds(61));
  STRCMP_EQUAL("", wills());
}

TEST(Session, publishes_its_will_after_disconnect_with_will) {
  connect(client, true, 60, 0);
  client.disconnect(ReasonCode::kDisconnectWithWillMessage);
  CHECK(broker.settle());
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, holds_a_delayed_will_back_until_the_delay_has_passed) {
  connect(client, true, 60, 10);
  client.reset();
  wait(seconds(9));
  STRCMP_EQUAL("", wills());
  wait(seconds(3));
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, drops_a_delayed_will_when_the_client_comes_back_in_time) {
  connect(client, true, 60, 10);
  client.reset();
  wait(seconds(9));
  connect(client, false, 60);
  wait(seconds(20));
  STRCMP_EQUAL("", wills());
}

TEST(Session, publishes_a_delayed_will_when_it_ends_before_the_delay) {
  connect(client, true, 5, 30);
  client.reset();
  wait(seconds(4));
  STRCMP_EQUAL("", wills());
  wait(seconds(3));
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, publishes_a_delayed_will_when_clean_start_ends_it) {
  connect(client, true, 60, 30);
  client.reset();
  CHECK(broker.settle());
  connect(client, true, 60);
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, publishes_its_will_when_it_is_taken_over) {
  connect(client, true, 60, 0);
  connect(rival, false, 60);
  STRCMP_EQUAL("gone ", wills());
}

TEST(Session, keeps_what_comes_while_its_client_is_away) {
  connect(client, true, 60);
  subscribe();
  client.disconnect();
  CHECK(broker.settle());
  for (const char* payload : {"1", "2", "3"}) {
    PublishRequest request;
    request.topic = "t";
    request.payload = payload;
    request.qos = QoS::kAtLeastOnce;
    watcher.publish(request);
  }
  CHECK(broker.settle());
  connect(client, false, 60);
  STRCMP_EQUAL("1 2 3 ", notes.payloads.c_str());
}
