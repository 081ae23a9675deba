// Replays of retained messages to new subscriptions, when there are many of them: in a broker on simulated time.
#include <algorithm>
#include <string>
#include <vector>

#include "core/broker/shard.h"
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
    ++messages;
    last = message.payload;
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::size_t messages = 0;
  std::string last;
  std::string faults;
};

constexpr std::size_t kMany = 20'000;

std::string topic(std::size_t i) { return "r/" + std::to_string(i); }

}  // namespace

TEST_GROUP(RetainedReplays) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 2, false};
  Notes notes;
  Notes sender_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient sender{broker.network(), sender_notes, "sender", ProtocolVersion::kV5};

  void setup() override {
    broker.start(publisher);
    client.connect({});
    sender.connect({});
    CHECK(broker.settle());
  }
  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + sender_notes.faults).c_str());
    CHECK(broker.stop());
  }

  void retain(std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      sender.publish({.topic = topic(i), .payload = std::to_string(i), .retain = true});
    }
    CHECK(broker.settle());
  }
  void subscribe(std::size_t count, mqtt::SubscriptionOptions options = {}) {
    std::vector<SubscribeEntry> entries;
    for (std::size_t i = 0; i != count; ++i) entries.push_back({topic(i), options});
    client.subscribe(entries, 0, 1);
  }
  std::size_t replays() {
    return broker.broker().shard(0).replays().size() + broker.broker().shard(1).replays().size();
  }
};

TEST(RetainedReplays, of_many_subscriptions_share_a_turn_and_all_come_to_their_end) {
  retain(kMany);
  subscribe(kMany);
  std::size_t most = 0;
  for (std::size_t before = 0; broker.step(); before = replays()) {
    if (replays() < before) most = std::max(most, before - replays());
  }
  LONGS_EQUAL(kMany, notes.messages);
  LONGS_EQUAL(0, replays());
  CHECK(most <= 1100);
}

TEST(RetainedReplays, one_that_is_subscribed_again_begins_anew_and_the_old_one_ends) {
  retain(1);
  client.set_reading(false);
  for (int i = 0; i != 3; ++i) subscribe(1);
  client.set_reading(true);
  CHECK(broker.settle());
  CHECK(notes.messages >= 1);
  CHECK(notes.messages <= 3);
  STRCMP_EQUAL("0", notes.last.c_str());
  LONGS_EQUAL(0, replays());
}

// The replay has begun and is not at its end: the messages of the second half would come although nobody asked.
TEST(RetainedReplays, ends_with_its_subscription_although_the_filter_is_subscribed_again) {
  retain(kMany);
  const SubscribeEntry all{"r/#", {}};
  client.subscribe({&all, 1}, 0, 1);
  while (notes.messages == 0) CHECK(broker.step());
  const std::string filter = "r/#";
  const SubscribeEntry none{"r/#", {.retain_handling = mqtt::RetainHandling::kDoNotSend}};
  sender.subscribe({&none, 1}, 0, 2);  // so that the filter itself stays
  client.unsubscribe({&filter, 1}, 3);
  client.subscribe({&none, 1}, 0, 4);
  CHECK(broker.settle());
  CHECK(notes.messages < kMany);
  LONGS_EQUAL(0, replays());
  LONGS_EQUAL(0, sender_notes.messages);
}

// A session that has many subscriptions and replays: live copies are neither lost nor sent twice.
TEST(RetainedReplays, what_is_published_afterwards_comes_once) {
  retain(100);
  subscribe(100);
  CHECK(broker.settle());
  LONGS_EQUAL(100, notes.messages);
  sender.publish({.topic = topic(7), .payload = "new", .retain = true});
  CHECK(broker.settle());
  LONGS_EQUAL(101, notes.messages);
  STRCMP_EQUAL("new", notes.last.c_str());
}
