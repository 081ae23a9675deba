// What a client costs beside its messages: to come and go, to subscribe, to be away while messages wait, to be sent
// what is retained.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/support/bare_broker.h"
#include "tests/bench/support/bare_client.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/plant.h"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

constexpr auto kV311 = ProtocolVersion::kV311;
constexpr auto kV5 = ProtocolVersion::kV5;
const std::string kPayload(64, 'x');

Clients make_clients(BareBroker& broker, const std::string& name, unsigned count, ProtocolVersion version = kV311) {
  Clients clients;
  for (unsigned i = 0; i != count; ++i) {
    clients.push_back(std::make_unique<BareClient>(broker, name + std::to_string(i), version));
  }
  return clients;
}

void connect(BareBroker& broker, const Clients& clients, bool clean_start = true, bool keep_session = false) {
  for (const auto& client : clients) client->connect(clean_start, keep_session);
  broker.settle();
  for (const auto& client : clients) expect(client->is_connected(), "a client is let in");
}

void disconnect(BareBroker& broker, const Clients& clients) {
  for (const auto& client : clients) client->disconnect();
  broker.settle();
}

// Connect, one subscription, disconnect; with a session that is kept only the first time there is one to make.
void measure_cycles(const std::string& name, ProtocolVersion version, bool keep_session) {
  constexpr unsigned kRounds = 4;
  BareBroker broker;
  broker.start();
  const Clients clients = make_clients(broker, "client", 100, version);
  const auto cycle = [&] {
    connect(broker, clients, !keep_session, keep_session);
    disconnect(broker, clients);
  };
  cycle();
  begin_figure();
  for (unsigned i = 0; i != kRounds; ++i) cycle();
  end_figure(name, "connection", kRounds * clients.size());
}

void measure_take_over() {
  BareBroker broker;
  broker.start();
  const Clients before = make_clients(broker, "client", 100, kV5);
  const Clients after = make_clients(broker, "client", 100, kV5);
  connect(broker, before, true, true);
  begin_figure();
  connect(broker, after, false, true);
  end_figure("take a connected session over", "connection", after.size());
}

void measure_subscriptions(unsigned clients_count, unsigned each) {
  BareBroker broker;
  broker.start();
  const Clients clients = make_clients(broker, "client", clients_count);
  connect(broker, clients);
  const auto all = [&](unsigned from, unsigned to, auto&& request) {
    for (unsigned c = 0; c != clients_count; ++c) {
      for (unsigned i = from; i != to; ++i) request(*clients[c], filter_of(c * each + i));
    }
    broker.settle();
  };
  const auto subscribe = [](BareClient& client, const std::string& filter) {
    client.subscribe(filter, QoS::kAtLeastOnce);
  };
  const auto unsubscribe = [](BareClient& client, const std::string& filter) { client.unsubscribe(filter); };
  all(0, each / 2, subscribe);
  begin_figure();
  all(each / 2, each, subscribe);
  end_figure("subscribe", "filter", clients_count * each / 2);
  begin_figure();
  all(each / 2, each, unsubscribe);
  end_figure("unsubscribe", "filter", clients_count * each / 2);
  for (const auto& client : clients) expect(client->answers() == each + each / 2, "every request is answered");
}

// So many messages for each of the clients that are away: on topics of their own, or the same for all.
void measure_offline(const std::string& name, unsigned clients_count, unsigned messages, bool own_topics) {
  BareBroker broker;
  broker.start();
  const Clients publisher = make_clients(broker, "publisher", 1);
  const Clients clients = make_clients(broker, "client", clients_count);
  connect(broker, publisher);
  connect(broker, clients, true, true);
  for (unsigned i = 0; i != clients_count; ++i) {
    clients[i]->subscribe(own_topics ? "own/" + std::to_string(i) + "/#" : std::string("all/#"), QoS::kAtLeastOnce);
  }
  broker.settle();
  const auto fill = [&] {
    for (unsigned i = 0; i != messages; ++i) {
      for (unsigned c = 0; c != (own_topics ? clients_count : 1); ++c) {
        const std::string first = own_topics ? "own/" + std::to_string(c) : std::string("all");
        publisher[0]->publish(first + "/" + std::to_string(i % 10), kPayload, QoS::kAtLeastOnce);
      }
      broker.settle();
    }
  };
  disconnect(broker, clients);
  fill();
  connect(broker, clients, false, true);
  disconnect(broker, clients);
  const std::uint64_t before = messages_of(clients);
  begin_figure();
  fill();
  end_figure("queue for who is away, " + name, "queued message", std::uint64_t{messages} * clients_count);
  begin_figure();
  connect(broker, clients, false, true);
  end_figure("send what was queued, " + name, "queued message", std::uint64_t{messages} * clients_count);
  expect(messages_of(clients) - before == std::uint64_t{messages} * clients_count, "what was queued is sent");
}

void measure_retained() {
  constexpr unsigned kTopics = 1000;
  BareBroker broker;
  broker.start();
  const Clients publisher = make_clients(broker, "publisher", 1);
  const Clients clients = make_clients(broker, "client", 2);
  connect(broker, publisher);
  connect(broker, clients);
  const auto publish = [&] {
    for (unsigned i = 0; i != kTopics; ++i) publisher[0]->publish(topic_of(i), kPayload, QoS::kAtMostOnce, true);
    broker.settle();
  };
  begin_figure();
  publish();
  end_figure("publish a retained message, new topic", "message", kTopics);
  begin_figure();
  publish();
  end_figure("publish a retained message, known topic", "message", kTopics);
  clients[0]->subscribe("plant/#", QoS::kAtMostOnce);
  broker.settle();
  begin_figure();
  clients[1]->subscribe("plant/#", QoS::kAtMostOnce);
  broker.settle();
  end_figure("replay a retained message", "message", kTopics);
  expect(messages_of(clients) == 2 * kTopics, "every retained message is replayed");
}

void measure_pings() {
  BareBroker broker;
  broker.start();
  const Clients clients = make_clients(broker, "client", 100);
  connect(broker, clients);
  const auto ping = [&] {
    for (const auto& client : clients) client->ping();
    broker.settle();
  };
  ping();
  begin_figure();
  for (int i = 0; i != 4; ++i) ping();
  end_figure("ping", "PINGREQ", 4 * clients.size());
  expect(clients[0]->answers() == 5, "every PINGREQ is answered");
}

}  // namespace

int main() {
  measure_cycles("connect and disconnect, 3.1.1", kV311, false);
  measure_cycles("connect and disconnect, 5.0", kV5, false);
  measure_cycles("resume a session and disconnect, 5.0", kV5, true);
  measure_take_over();
  measure_subscriptions(20, 100);
  measure_offline("own topics", 20, 50, true);
  measure_offline("one topic for 100 sessions", 100, 20, false);
  measure_retained();
  measure_pings();
}
