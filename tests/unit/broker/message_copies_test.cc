// Messages that are copied on their way to another reactor: nothing of them is lost, and those that are too large for
// it keep their place among them.
#include "core/broker/message_copies.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string text_of(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

TEST_GROUP(MessageCopies) {
  MessageCopies copies;

  Ref<const Message> made(std::string_view topic, std::string_view payload, bool retain = false) {
    Message::Content content;
    content.topic = topic;
    content.payload = bytes_of(payload);
    content.retain = retain;
    content.qos = QoS::kExactlyOnce;
    content.publisher = topic.size();
    content.expires_at = MonotonicTime{} + std::chrono::seconds(payload.size());
    Principal::Content who;
    who.client_id = topic;
    if (retain) content.principal = Principal::create(who);
    return Message::create(content);
  }
};

TEST(MessageCopies, each_has_all_that_its_message_had) {
  const Ref<const Message> messages[] = {made("a", "one"), made("a/b", "", true), made("a/b/c", "three"),
                                         made("a/b/c/d", "four", true)};
  std::vector<std::uint32_t> places;
  for (const auto& message : messages) places.push_back(copies.add(RoutedMessage(message)));
  for (std::size_t i = 0; i != places.size(); ++i) {
    const Message& message = *messages[i];
    const Message::Content content = copies[places[i]];
    CHECK(content.topic == message.topic());
    CHECK(text_of(content.payload) == text_of(message.payload()));
    CHECK(content.qos == message.qos());
    CHECK(content.retain == message.retain());
    CHECK(content.expires_at == message.expires_at());
    CHECK(content.publisher == message.publisher());
    POINTERS_EQUAL(message.principal().get(), content.principal.get());
    LONGS_EQUAL(message.footprint(), copies.footprint(places[i]));
  }
}

TEST(MessageCopies, properties_are_copied_without_those_of_the_connection) {
  constexpr std::string_view kText{"\x01\x01", 2};                     // Payload Format Indicator
  constexpr std::string_view kAll{"\x01\x01\x02\x00\x00\x00\x09", 7};  // and Message Expiry Interval
  mqtt::PublishPacket packet;
  packet.payload = bytes_of("payload");
  const auto fault = mqtt::Properties::parse(bytes_of(kAll), mqtt::place_of(mqtt::PacketType::kPublish),
                                             mqtt::Role::kServer, {0xFFFFFFFF, 0xFFFF}, packet.properties);
  CHECK(fault == mqtt::Fault::kNone);
  const RoutedMessage message(packet, "t", MonotonicTime{}, 1);
  const Message::Content content = copies[copies.add(message)];
  CHECK(text_of(content.properties) == kText);
  CHECK(text_of(content.payload) == "payload");
  CHECK(content.expires_at == MonotonicTime{} + std::chrono::seconds(9));
}

TEST(MessageCopies, are_for_what_is_copied_when_it_is_written) {
  const std::string large(PublishWriter::kReferenceFrom, 'x');
  CHECK(MessageCopies::are_for(RoutedMessage(made("t", std::string_view(large).substr(1)))));
  CHECK(!MessageCopies::are_for(RoutedMessage(made("t", large))));
}

namespace {

class Payloads final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override {}
  void on_closed(SimulatedClient&, std::optional<ReasonCode>) override {}
  void on_subscribed(SimulatedClient&, std::uint64_t, std::span<const ReasonCode>) override {}
  void on_message(SimulatedClient&, const Received& message) override { received.push_back(message.payload); }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::vector<std::string> received;
  std::string faults;
};

struct Guest {
  Guest(SimulatedNetwork& network, const std::string& id) : client(network, payloads, id, ProtocolVersion::kV5) {}
  Payloads payloads;
  SimulatedClient client;
};

}  // namespace

// Publishes `sent` in one go for subscribers to `filter`, one on each of three reactors, and returns what they got.
static std::vector<std::vector<std::string>> sent_to_three_reactors(const std::string& filter,
                                                                    const std::vector<std::string>& sent, QoS qos) {
  SimulatedRandom random{1};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, 3, false};
  broker.start(publisher);
  std::vector<std::unique_ptr<Guest>> guests;
  for (const char* id : {"a", "b", "c"}) {
    guests.push_back(std::make_unique<Guest>(broker.network(), id));
    guests.back()->client.connect({});
    CHECK(broker.settle());
    const SubscribeEntry entry{filter, {.maximum_qos = qos}};
    guests.back()->client.subscribe({&entry, 1}, 0, 1);
    CHECK(broker.settle());
  }
  for (std::uint32_t i = 0; i != broker.reactors(); ++i) {
    LONGS_EQUAL(1, broker.broker().shard(i).sessions().size());
  }
  for (const std::string& payload : sent) {
    PublishRequest request;
    request.topic = "t/x";
    request.payload = payload;
    request.qos = qos;
    CHECK(guests[0]->client.publish(request) != 0);
  }
  CHECK(broker.settle());
  std::vector<std::vector<std::string>> received;
  for (const auto& guest : guests) {
    STRCMP_EQUAL("", guest->payloads.faults.c_str());
    received.push_back(guest->payloads.received);
  }
  CHECK(broker.stop());
  return received;
}

static std::vector<std::string> small_and_large() {
  std::vector<std::string> payloads;
  for (int i = 0; i != 12; ++i) {
    payloads.push_back(std::to_string(i) + std::string(i % 2 == 0 ? 10 : PublishWriter::kReferenceFrom, 'x'));
  }
  return payloads;
}

TEST(MessageCopies, small_and_large_ones_reach_other_reactors_in_order) {
  const std::vector<std::string> sent = small_and_large();
  for (const QoS qos : {QoS::kAtMostOnce, QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for (const std::vector<std::string>& received : sent_to_three_reactors("t/+", sent, qos)) CHECK(received == sent);
  }
}

TEST(MessageCopies, small_and_large_ones_reach_members_on_other_reactors_in_order) {
  const std::vector<std::string> sent = small_and_large();
  std::vector<std::string> all;
  for (const std::vector<std::string>& received : sent_to_three_reactors("$share/g/t/+", sent, QoS::kAtLeastOnce)) {
    LONGS_EQUAL(4, received.size());
    const auto place = [&](const std::string& payload) { return std::find(sent.begin(), sent.end(), payload); };
    CHECK(std::is_sorted(received.begin(), received.end(),
                         [&](const auto& one, const auto& other) { return place(one) < place(other); }));
    all.insert(all.end(), received.begin(), received.end());
  }
  CHECK(std::is_permutation(all.begin(), all.end(), sent.begin(), sent.end()));
}
