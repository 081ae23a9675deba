// A broker with the publisher under test: two reactors on simulated time and network, and clients that note what they
// hear. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/conformance/publishers.h"
#include "tests/conformance/witness.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::conformance {

inline constexpr std::uint64_t kSeeds = 8;
// Where a disk is waited for.
inline constexpr std::uint64_t kDurableSeeds = 3;

// Notes what one client hears.
class Ear final : public sim::ClientObserver {
 public:
  void on_connected(sim::SimulatedClient&, bool present) override {
    ++connected;
    session_present = present;
  }
  void on_message(sim::SimulatedClient&, const sim::Received& message) override {
    if (!message.again) messages.push_back(message);
  }
  void on_publish_acknowledged(sim::SimulatedClient&, std::uint64_t tag, ReasonCode code) override {
    acknowledged.push_back(tag);
    if (is_error(code)) ++refused;
  }
  void on_subscribed(sim::SimulatedClient&, std::uint64_t, std::span<const ReasonCode> codes) override {
    granted.insert(granted.end(), codes.begin(), codes.end());
  }
  void on_fault(sim::SimulatedClient& client, const std::string& what) override {
    faults += client.id() + ": " + what + "\n";
  }

  [[nodiscard]] std::vector<std::string> payloads() const {
    std::vector<std::string> result;
    for (const sim::Received& message : messages) result.push_back(message.payload);
    return result;
  }

  int connected = 0;
  bool session_present = false;
  int refused = 0;
  std::vector<sim::Received> messages;
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
        under_test_(make_publisher(publisher_name(), random_)),
        witness_(under_test_->publisher()),
        broker_(random_, 2, false) {
    if (is_durable()) broker_.wait_really(std::chrono::milliseconds(1));
    broker_.start(witness_);
  }

  struct Guest {
    Guest(sim::SimulatedNetwork& network, const std::string& id) : client(network, ear, id, ProtocolVersion::kV5) {}
    Ear ear;
    sim::SimulatedClient client;
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
    sim::ConnectOptions options;
    options.clean_start = clean_start;
    options.expiry_interval = expiry_interval;
    const int before = guest.ear.connected;
    guest.client.connect(options);
    until([&] { return guest.ear.connected == before + 1; }, "a CONNACK");
  }
  void subscribe(Guest& guest, const std::string& filter, QoS qos) {
    const std::size_t before = guest.ear.granted.size();
    const sim::SubscribeEntry entry{filter, {.maximum_qos = qos}};
    guest.client.subscribe({&entry, 1}, 0, 1);
    until([&] { return guest.ear.granted.size() == before + 1; }, "a SUBACK");
    LONGS_EQUAL(static_cast<int>(qos), static_cast<int>(guest.ear.granted.back()));
  }
  void publish(Guest& guest, const std::string& topic, const std::string& payload, QoS qos, bool retain = false) {
    sim::PublishRequest request;
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
  // Time enough for whatever would still happen.
  void calm() {
    (void)broker_.run_until([] { return false; }, std::chrono::milliseconds(500));
  }
  // Lets happen what still would, then looks for complaints of either side.
  void finish() {
    CHECK_TEXT(broker_.stop(), "the broker did not stop");
    for (const auto& guest : guests_) STRCMP_EQUAL("", guest->ear.faults.c_str());
    for (const std::string& complaint : under_test_->complaints()) FAIL(complaint.c_str());
    for (const std::string& fault : witness_.faults()) FAIL(fault.c_str());
  }

  sim::SimulatedBroker& broker() { return broker_; }
  Witness& witness() { return witness_; }
  // Then nothing is told to the publisher, and there are no stories.
  [[nodiscard]] bool passthrough() const { return witness_.capabilities().passthrough; }
  [[nodiscard]] bool is_durable() const { return witness_.capabilities().durable; }

 private:
  std::uint64_t seed_;
  sim::SimulatedRandom random_;
  std::unique_ptr<PublisherUnderTest> under_test_;
  Witness witness_;
  sim::SimulatedBroker broker_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::uint64_t tags_ = 0;
};

inline std::vector<std::string> numbered(int count) {
  std::vector<std::string> result;
  for (int i = 0; i != count; ++i) result.push_back(std::to_string(i));
  return result;
}

inline void check_same(const std::vector<std::string>& expected, const std::vector<std::string>& actual) {
  LONGS_EQUAL(expected.size(), actual.size());
  for (std::size_t i = 0; i != expected.size(); ++i) STRCMP_EQUAL(expected[i].c_str(), actual[i].c_str());
}

template <typename Body>
void for_each_seed(Body body) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Bench bench(seed);
    body(bench);
    bench.finish();
    if (bench.is_durable() && seed == kDurableSeeds) return;
  }
}

}  // namespace mqloop::conformance
