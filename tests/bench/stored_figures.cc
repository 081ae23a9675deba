// Whether a hundred million bytes that lie in the store make a message dearer that has nothing to do with them: queued
// for sessions that are away, or retained. Of pairs of clients: QoS 0, QoS 1 with sessions that are kept, whose
// subscribers acknowledge before anything is written, and the same where all is written.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/support/bare_client.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/sqlite_broker.h"
#include "tests/support/publisher_sqlite.cc"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

constexpr unsigned kPairs = 50;
constexpr unsigned kWindow = 16;
constexpr unsigned kRounds = 4;
constexpr unsigned kWarmUps = 3;
constexpr unsigned kStored = 100'000;  // messages of 1,000 bytes
constexpr unsigned kAway = 100;        // sessions
constexpr unsigned kAtOnce = 2000;

Clients connect(SqliteBroker& broker, const std::string& name, unsigned count, bool kept) {
  Clients clients;
  for (unsigned i = 0; i != count; ++i) {
    clients.push_back(std::make_unique<BareClient>(broker.broker(), name + std::to_string(i)));
    clients.back()->connect(!kept, kept);
  }
  broker.settle();
  for (const auto& client : clients) expect(client->is_connected(), "a client is let in");
  return clients;
}

enum class Stored { kNothing, kQueued, kRetained };

void fill(SqliteBroker& broker, Stored what) {
  if (what == Stored::kNothing) return;
  Clients source = connect(broker, "filler", 1, false);
  Clients away = connect(broker, "away", kAway, true);
  for (unsigned i = 0; i != kAway; ++i) away[i]->subscribe("stored/" + std::to_string(i) + "/#", QoS::kAtLeastOnce);
  broker.settle();
  for (const auto& client : away) client->disconnect();
  broker.settle();
  const std::string payload(1000, 's');
  const std::string first = what == Stored::kQueued ? "stored/" : "retained/";
  for (unsigned i = 0; i != kStored; ++i) {
    const std::string topic = first + std::to_string(i % kAway) + "/" + std::to_string(i / kAway);
    source[0]->publish(topic, payload, QoS::kAtLeastOnce, what == Stored::kRetained);
    if (i % kAtOnce == kAtOnce - 1) broker.settle();
  }
  source[0]->disconnect();
  broker.settle();
}

enum class Way { kQos0, kSpared, kWritten };

void pairs(SqliteBroker& broker, const std::string& name, Way way) {
  const QoS qos = way == Way::kQos0 ? QoS::kAtMostOnce : QoS::kAtLeastOnce;
  const Clients publishers = connect(broker, name + "p", kPairs, way != Way::kQos0);
  const Clients subscribers = connect(broker, name + "s", kPairs, way != Way::kQos0);
  std::vector<std::string> topics;
  for (unsigned i = 0; i != kPairs; ++i) {
    topics.push_back("pairs/" + std::to_string(i) + "/data");
    subscribers[i]->subscribe(topics[i], qos);
  }
  broker.settle();
  const std::string payload(64, 'x');
  const auto round = [&] {
    for (unsigned i = 0; i != kPairs; ++i) {
      for (unsigned j = 0; j != kWindow; ++j) publishers[i]->publish(topics[i], payload, qos);
    }
    if (way == Way::kWritten) {
      broker.broker().step();
      broker.write();
    }
    broker.settle();
  };
  for (unsigned i = 0; i != kWarmUps; ++i) round();
  const std::uint64_t before = messages_of(subscribers);
  const std::uint64_t spared = broker.spared();
  begin_figure();
  for (unsigned i = 0; i != kRounds; ++i) round();
  end_figure(name, "message", kRounds * kPairs * kWindow);
  expect(messages_of(subscribers) - before == kRounds * kPairs * kWindow, "every message is delivered once");
  const bool were_spared = broker.spared() - spared == kRounds * kPairs * kWindow;
  expect(were_spared == (way == Way::kSpared), "messages are written, or not");
  for (const Clients* clients : {&publishers, &subscribers}) {
    for (const auto& client : *clients) client->disconnect();
  }
  broker.settle();
}

}  // namespace

int main() {
  struct {
    Stored what;
    std::string words;
  } const kStores[] = {
      {Stored::kNothing, "nothing stored"}, {Stored::kQueued, "100 MB queued"}, {Stored::kRetained, "100 MB retained"}};
  for (const auto& of : kStores) {
    SqliteBroker broker;
    fill(broker, of.what);
    pairs(broker, "pairs QoS 0, " + of.words, Way::kQos0);
    pairs(broker, "kept pairs QoS 1, spared, " + of.words, Way::kSpared);
    pairs(broker, "kept pairs QoS 1, written, " + of.words, Way::kWritten);
  }
}
