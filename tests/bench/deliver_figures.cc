// What a message costs from the read of the publisher's bytes to the write of the subscriber's, acknowledgements
// included: pairs of clients, one to many, many to one, and a shared subscription. With publisher_sqlite between
// clients whose sessions it does not keep, which are to notice next to nothing of it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/support/bare_broker.h"
#include "tests/bench/support/bare_client.h"
#include "tests/bench/support/idle_sqlite_publisher.h"
#include "tests/bench/support/meter.h"
#include "tests/support/publisher_sqlite.cc"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

const std::string kPayload(64, 'x');
constexpr unsigned kWarmUps = 3;  // rounds: topics are in the cache, pools and buffers have grown

Clients connect(BareBroker& broker, const std::string& name, unsigned count,
                ProtocolVersion version = ProtocolVersion::kV311) {
  Clients clients;
  for (unsigned i = 0; i != count; ++i) {
    clients.push_back(std::make_unique<BareClient>(broker, name + std::to_string(i), version));
    clients.back()->connect();
  }
  broker.settle();
  for (const auto& client : clients) expect(client->is_connected(), "a client is let in");
  return clients;
}

// `publish` sends what makes `expected` deliveries to `subscribers`.
template <typename Publish>
void measure_rounds(const std::string& name, BareBroker& broker, const Clients& subscribers, unsigned rounds,
                    std::uint64_t expected, Publish&& publish) {
  for (unsigned i = 0; i != kWarmUps; ++i) {
    publish();
    broker.settle();
  }
  const std::uint64_t before = messages_of(subscribers);
  begin_figure();
  for (unsigned i = 0; i != rounds; ++i) {
    publish();
    broker.settle();
  }
  end_figure(name, "message", rounds * expected);
  expect(messages_of(subscribers) - before == rounds * expected, "every message is delivered once");
}

enum class Keeper { kMemory, kSqlite };

void start(BareBroker& broker, Publisher& sqlite, Keeper keeper) {
  if (keeper == Keeper::kSqlite) {
    broker.start(sqlite);
  } else {
    broker.start();
  }
}

void pairs(const std::string& name, QoS qos, ProtocolVersion version, std::size_t payload = 64,
           Keeper keeper = Keeper::kMemory) {
  constexpr unsigned kPairs = 50;
  constexpr unsigned kWindow = 16;
  IdleSqlitePublisher sqlite;
  BareBroker broker;
  start(broker, sqlite, keeper);
  const Clients publishers = connect(broker, "p", kPairs, version);
  const Clients subscribers = connect(broker, "s", kPairs, version);
  std::vector<std::string> topics;
  for (unsigned i = 0; i != kPairs; ++i) {
    topics.push_back("pairs/" + std::to_string(i) + "/data");
    subscribers[i]->subscribe(topics[i], qos);
  }
  const std::string content(payload, 'x');
  measure_rounds(name, broker, subscribers, 4, kPairs * kWindow, [&] {
    for (unsigned i = 0; i != kPairs; ++i) {
      for (unsigned j = 0; j != kWindow; ++j) publishers[i]->publish(topics[i], content, qos);
    }
  });
}

void fan_out(const std::string& name, QoS qos, Keeper keeper = Keeper::kMemory) {
  constexpr unsigned kSubscribers = 500;
  IdleSqlitePublisher sqlite;
  BareBroker broker;
  start(broker, sqlite, keeper);
  const Clients publishers = connect(broker, "p", 1);
  const Clients subscribers = connect(broker, "s", kSubscribers);
  for (const auto& client : subscribers) client->subscribe("news/all", qos);
  measure_rounds(name, broker, subscribers, 4, 4 * kSubscribers, [&] {
    for (unsigned i = 0; i != 4; ++i) publishers[0]->publish("news/all", kPayload, qos);
  });
}

// 200 publishers; `members` subscribe to `filter`, and each message reaches one client.
void many_to(const std::string& name, unsigned members, const std::string& filter, QoS qos) {
  constexpr unsigned kPublishers = 200;
  BareBroker broker;
  broker.start();
  const Clients publishers = connect(broker, "p", kPublishers);
  const Clients subscribers = connect(broker, "s", members);
  for (const auto& client : subscribers) client->subscribe(filter, qos);
  std::vector<std::string> topics;
  for (unsigned i = 0; i != kPublishers; ++i) topics.push_back("in/" + std::to_string(i));
  measure_rounds(name, broker, subscribers, 4, 4 * kPublishers, [&] {
    for (unsigned i = 0; i != kPublishers; ++i) {
      for (unsigned j = 0; j != 4; ++j) publishers[i]->publish(topics[i], kPayload, qos);
    }
  });
}

}  // namespace

int main() {
  constexpr auto kV311 = ProtocolVersion::kV311;
  constexpr auto kV5 = ProtocolVersion::kV5;
  pairs("pairs QoS 0", QoS::kAtMostOnce, kV311);
  pairs("pairs QoS 1", QoS::kAtLeastOnce, kV311);
  pairs("pairs QoS 2", QoS::kExactlyOnce, kV311);
  pairs("pairs QoS 0, 5.0", QoS::kAtMostOnce, kV5);
  pairs("pairs QoS 1, 5.0", QoS::kAtLeastOnce, kV5);
  pairs("pairs QoS 0, 4 KiB", QoS::kAtMostOnce, kV311, 4096);
  fan_out("1 to 500 QoS 0", QoS::kAtMostOnce);
  fan_out("1 to 500 QoS 1", QoS::kAtLeastOnce);
  many_to("200 to 1 QoS 0", 1, "in/+", QoS::kAtMostOnce);
  many_to("200 to a group of 4, QoS 1", 4, "$share/group/in/+", QoS::kAtLeastOnce);
  pairs("pairs QoS 0, publisher_sqlite", QoS::kAtMostOnce, kV311, 64, Keeper::kSqlite);
  pairs("pairs QoS 1, publisher_sqlite", QoS::kAtLeastOnce, kV311, 64, Keeper::kSqlite);
  pairs("pairs QoS 2, publisher_sqlite", QoS::kExactlyOnce, kV311, 64, Keeper::kSqlite);
  fan_out("1 to 500 QoS 0, publisher_sqlite", QoS::kAtMostOnce, Keeper::kSqlite);
}
