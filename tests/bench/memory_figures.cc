// What a whole broker holds in memory for each thing that it keeps: subscriptions, retained messages, queued messages,
// and sessions whose client is away. Bytes as the allocator gives them out, its own eight for each block included.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/support/bare_broker.h"
#include "tests/bench/support/bare_client.h"
#include "tests/bench/support/counted_memory.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/plant.h"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

const std::string kPayload(64, 'x');

// Bytes that `work` leaves behind, for each of so many things. What the clients hold besides is not the broker's: they
// are made before, and what they collected is gone when they have answered.
template <typename Work>
void measure_bytes(const std::string& name, std::uint64_t things, Work&& work) {
  const std::uint64_t before = counted_memory().bytes;
  work();
  print_figure(name, "bytes", static_cast<double>(counted_memory().bytes - before) / static_cast<double>(things));
}

Clients connect(BareBroker& broker, const std::string& name, unsigned count, bool keep_session) {
  Clients clients;
  for (unsigned i = 0; i != count; ++i) {
    clients.push_back(std::make_unique<BareClient>(broker, name + std::to_string(i), ProtocolVersion::kV5));
    clients.back()->connect(true, keep_session);
  }
  broker.settle();
  for (const auto& client : clients) expect(client->is_connected(), "a client is let in");
  return clients;
}

void measure_subscriptions(const std::string& size, unsigned filters) {
  constexpr unsigned kClients = 100;
  BareBroker broker;
  broker.start();
  const Clients clients = connect(broker, "client", kClients, false);
  measure_bytes("subscription to a filter of its own, " + size, filters, [&] {
    for (unsigned i = 0; i != filters; ++i) {
      clients[i % kClients]->subscribe(filter_of(i), QoS::kAtLeastOnce);
      if (i % 1000 == 999) broker.settle();
    }
  });
  expect(broker.broker().routes().filter_count() == filters, "every filter is in the table");
}

void measure_same_filter() {
  constexpr unsigned kClients = 10'000;
  BareBroker broker;
  broker.start();
  const Clients clients = connect(broker, "client", kClients, false);
  measure_bytes("subscription to a filter that all have", kClients, [&] {
    for (const auto& client : clients) client->subscribe("news/all", QoS::kAtLeastOnce);
    broker.settle();
  });
}

void measure_retained(unsigned topics) {
  BareBroker broker;
  broker.start();
  const Clients publisher = connect(broker, "publisher", 1, false);
  measure_bytes("retained message of 64 bytes", topics, [&] {
    for (unsigned i = 0; i != topics; ++i) {
      publisher[0]->publish(topic_of(i), kPayload, QoS::kAtMostOnce, true);
      if (i % 100 == 99) broker.settle();
    }
  });
  expect(broker.broker().retained().count() == topics, "every message is retained");
}

void measure_queued(const std::string& name, bool own_topics) {
  constexpr unsigned kClients = 100;
  constexpr unsigned kMessages = 100;  // for each
  BareBroker broker;
  broker.start();
  const Clients publisher = connect(broker, "publisher", 1, false);
  const Clients clients = connect(broker, "client", kClients, true);
  for (unsigned i = 0; i != kClients; ++i) {
    clients[i]->subscribe(own_topics ? topic_of(i) : std::string("news/all"), QoS::kAtLeastOnce);
  }
  broker.settle();
  for (const auto& client : clients) client->disconnect();
  broker.settle();
  measure_bytes(name, kClients * kMessages, [&] {
    for (unsigned i = 0; i != kMessages; ++i) {
      for (unsigned c = 0; c != (own_topics ? kClients : 1); ++c) {
        publisher[0]->publish(own_topics ? topic_of(c) : std::string("news/all"), kPayload, QoS::kAtLeastOnce);
      }
      broker.settle();
    }
  });
  expect(broker.broker().total(&broker::Counters::messages_waiting) == kClients * kMessages, "every message waits");
}

void measure_sessions() {
  constexpr unsigned kClients = 10'000;
  BareBroker broker;
  broker.start();
  std::vector<std::unique_ptr<BareClient>> clients;
  for (unsigned i = 0; i != kClients; ++i) {
    clients.push_back(std::make_unique<BareClient>(broker, "client" + std::to_string(i), ProtocolVersion::kV5));
  }
  const auto come_and_go = [&](unsigned from, unsigned to) {
    for (unsigned i = from; i != to; ++i) clients[i]->connect(true, true);
    broker.settle();
    for (unsigned i = from; i != to; ++i) clients[i]->disconnect();
    broker.settle();
  };
  // The first hundred make what all share.
  come_and_go(0, 100);
  measure_bytes("session whose client is away", kClients - 100, [&] {
    for (unsigned i = 100; i != kClients; i += 100) come_and_go(i, i + 100);
  });
}

}  // namespace

int main() {
  if (counts_instructions()) return 0;
  measure_subscriptions("100 k", 100'000);
  measure_subscriptions("1 M", 1'000'000);
  measure_same_filter();
  measure_retained(100'000);
  measure_queued("queued message, own topics", true);
  measure_queued("queued message, one topic for 100 sessions", false);
  measure_sessions();
}
