// What a broker's clients may expect whatever publisher it runs with: every statement here is asked of a whole broker
// with two reactors on simulated time and network, for several seeds each.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/publishers.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

constexpr std::uint64_t kSeeds = 8;

// Notes what one client hears.
class Ear final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool present) override {
    ++connected;
    session_present = present;
  }
  void on_message(SimulatedClient&, const Received& message) override {
    if (!message.again) messages.push_back(message);
  }
  void on_publish_acknowledged(SimulatedClient&, std::uint64_t tag, ReasonCode code) override {
    acknowledged.push_back(tag);
    if (is_error(code)) ++refused;
  }
  void on_subscribed(SimulatedClient&, std::uint64_t, std::span<const ReasonCode> codes) override {
    granted.insert(granted.end(), codes.begin(), codes.end());
  }
  void on_fault(SimulatedClient& client, const std::string& what) override {
    faults += client.id() + ": " + what + "\n";
  }

  [[nodiscard]] std::vector<std::string> payloads() const {
    std::vector<std::string> result;
    for (const Received& message : messages) result.push_back(message.payload);
    return result;
  }

  int connected = 0;
  bool session_present = false;
  int refused = 0;
  std::vector<Received> messages;
  std::vector<std::uint64_t> acknowledged;
  std::vector<ReasonCode> granted;
  std::string faults;
};

// A broker with the publisher under test, and its clients.
class Bench {
 public:
  explicit Bench(std::uint64_t seed)
      : seed_(seed),
        random_(seed),
        under_test_(conformance::make_publisher(conformance::publisher_name(), random_)),
        broker_(random_, 2, false) {
    broker_.start(under_test_->publisher());
  }

  struct Guest {
    Guest(SimulatedNetwork& network, const std::string& id) : client(network, ear, id, ProtocolVersion::kV5) {}
    Ear ear;
    SimulatedClient client;
  };

  Guest& guest(const std::string& id) {
    guests_.push_back(std::make_unique<Guest>(broker_.network(), id));
    return *guests_.back();
  }
  Guest& connected(const std::string& id, std::uint32_t expiry_interval = 0) {
    Guest& guest = this->guest(id);
    connect(guest, expiry_interval);
    return guest;
  }
  void connect(Guest& guest, std::uint32_t expiry_interval = 0, bool clean_start = true) {
    ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = expiry_interval;
    const int before = guest.ear.connected;
    guest.client.connect(options);
    until([&] { return guest.ear.connected == before + 1; }, "a CONNACK");
  }
  void subscribe(Guest& guest, const std::string& filter, QoS qos) {
    const std::size_t before = guest.ear.granted.size();
    const SubscribeEntry entry{filter, {.maximum_qos = qos}};
    guest.client.subscribe({&entry, 1}, 0, 1);
    until([&] { return guest.ear.granted.size() == before + 1; }, "a SUBACK");
    LONGS_EQUAL(static_cast<int>(qos), static_cast<int>(guest.ear.granted.back()));
  }
  void publish(Guest& guest, const std::string& topic, const std::string& payload, QoS qos, bool retain = false) {
    PublishRequest request;
    request.topic = topic;
    request.payload = payload;
    request.qos = qos;
    request.retain = retain;
    request.tag = ++tags_;
    until([&] { return guest.client.publish(request) != 0; }, "room for one more PUBLISH");
  }
  void until(const std::function<bool()>& done, const std::string& what) {
    if (broker_.run_until(done)) return;
    FAIL(("seed " + std::to_string(seed_) + ": never came: " + what).c_str());
  }
  // Lets happen what still would, then looks for complaints of either side.
  void finish() {
    CHECK_TEXT(broker_.stop(), "the broker did not stop");
    for (const auto& guest : guests_) STRCMP_EQUAL("", guest->ear.faults.c_str());
    for (const std::string& complaint : under_test_->complaints()) FAIL(complaint.c_str());
  }

  SimulatedBroker& broker() { return broker_; }

 private:
  std::uint64_t seed_;
  SimulatedRandom random_;
  std::unique_ptr<conformance::PublisherUnderTest> under_test_;
  SimulatedBroker broker_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::uint64_t tags_ = 0;
};

std::vector<std::string> numbered(int count) {
  std::vector<std::string> result;
  for (int i = 0; i != count; ++i) result.push_back(std::to_string(i));
  return result;
}

void check_same(const std::vector<std::string>& expected, const std::vector<std::string>& actual) {
  LONGS_EQUAL(expected.size(), actual.size());
  for (std::size_t i = 0; i != expected.size(); ++i) STRCMP_EQUAL(expected[i].c_str(), actual[i].c_str());
}

template <typename Body>
void for_each_seed(Body body) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Bench bench(seed);
    body(bench);
    bench.finish();
  }
}

}  // namespace

TEST_GROUP(PublisherConformance){};

TEST(PublisherConformance, each_qos_reaches_the_subscriber_in_order_and_once) {
  for (const QoS qos : {QoS::kAtMostOnce, QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      auto& subscriber = bench.connected("subscriber");
      bench.subscribe(subscriber, "t/#", qos);
      auto& publisher = bench.connected("publisher");
      for (const std::string& payload : numbered(40)) bench.publish(publisher, "t/1", payload, qos);
      bench.until([&] { return subscriber.ear.messages.size() >= 40; }, "40 messages");
      CHECK(bench.broker().settle());
      check_same(numbered(40), subscriber.ear.payloads());
    });
  }
}

TEST(PublisherConformance, every_publish_is_acknowledged_in_the_order_of_its_arrival) {
  for (const QoS qos : {QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      auto& publisher = bench.connected("publisher");
      for (const std::string& payload : numbered(40)) bench.publish(publisher, "t/" + payload, payload, qos);
      bench.until([&] { return publisher.ear.acknowledged.size() == 40; }, "40 acknowledgements");
      CHECK(std::is_sorted(publisher.ear.acknowledged.begin(), publisher.ear.acknowledged.end()));
      LONGS_EQUAL(0, publisher.ear.refused);
    });
  }
}

TEST(PublisherConformance, a_message_reaches_subscribers_on_every_reactor) {
  for_each_seed([](Bench& bench) {
    std::vector<Bench::Guest*> subscribers;
    for (int i = 0; i != 6; ++i) {
      subscribers.push_back(&bench.connected("subscriber-" + std::to_string(i)));
      bench.subscribe(*subscribers.back(), i % 2 == 0 ? "t/+" : "#", static_cast<QoS>(i % 3));
    }
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(10)) bench.publish(publisher, "t/1", payload, QoS::kExactlyOnce);
    for (Bench::Guest* subscriber : subscribers) {
      bench.until([&] { return subscriber->ear.messages.size() >= 10; }, "10 messages for each");
      check_same(numbered(10), subscriber->ear.payloads());
    }
  });
}

TEST(PublisherConformance, a_session_gets_what_was_acknowledged_while_its_client_was_away) {
  for_each_seed([](Bench& bench) {
    auto& traveller = bench.connected("traveller", 3600);
    bench.subscribe(traveller, "post/#", QoS::kExactlyOnce);
    traveller.client.disconnect();
    CHECK(bench.broker().settle());
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(20)) {
      bench.publish(publisher, "post/box", payload, QoS::kAtLeastOnce);
    }
    bench.until([&] { return publisher.ear.acknowledged.size() == 20; }, "20 acknowledgements");
    bench.connect(traveller, 3600, false);
    CHECK(traveller.ear.session_present);
    bench.until([&] { return traveller.ear.messages.size() >= 20; }, "what waited");
    check_same(numbered(20), traveller.ear.payloads());
  });
}

TEST(PublisherConformance, the_last_retained_message_of_a_topic_awaits_new_subscribers) {
  for_each_seed([](Bench& bench) {
    auto& publisher = bench.connected("publisher");
    bench.publish(publisher, "kept/a", "old", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/a", "new", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/b", "gone", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/b", "", QoS::kAtLeastOnce, true);
    bench.until([&] { return publisher.ear.acknowledged.size() == 4; }, "4 acknowledgements");
    auto& subscriber = bench.connected("subscriber");
    bench.subscribe(subscriber, "kept/#", QoS::kAtLeastOnce);
    bench.until([&] { return !subscriber.ear.messages.empty(); }, "the retained message");
    CHECK(bench.broker().settle());
    check_same({"new"}, subscriber.ear.payloads());
    CHECK(subscriber.ear.messages[0].retain);
  });
}

TEST(PublisherConformance, what_one_client_publishes_before_it_unsubscribes_still_reaches_it) {
  for_each_seed([](Bench& bench) {
    auto& client = bench.connected("client");
    bench.subscribe(client, "self", QoS::kAtLeastOnce);
    for (const std::string& payload : numbered(5)) bench.publish(client, "self", payload, QoS::kAtLeastOnce);
    const std::string filter = "self";
    client.client.unsubscribe({&filter, 1}, 9);
    bench.until([&] { return client.ear.messages.size() >= 5 && client.ear.acknowledged.size() == 5; }, "5 messages");
    bench.publish(client, "self", "late", QoS::kAtLeastOnce);
    bench.until([&] { return client.ear.acknowledged.size() == 6; }, "the last acknowledgement");
    CHECK(bench.broker().settle());
    check_same(numbered(5), client.ear.payloads());
  });
}

TEST(PublisherConformance, a_stop_under_load_comes_to_an_end) {
  for_each_seed([](Bench& bench) {
    auto& subscriber = bench.connected("subscriber", 3600);
    bench.subscribe(subscriber, "#", QoS::kExactlyOnce);
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(30)) bench.publish(publisher, "t/1", payload, QoS::kExactlyOnce);
  });
}
