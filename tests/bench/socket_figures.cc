// What a broker on real sockets asks of the system, and what it holds for a connection that has nothing to say: the
// Connection, the Session, the Stream, libevent's share, one subscription.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/support/counted_calls.h"
#include "tests/bench/support/counted_memory.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/plant.h"
#include "tests/bench/support/socket_broker.h"

namespace {

using namespace mqloop;
using namespace mqloop::bench;

const std::string kPayload(64, 'x');

// Publishers and as many subscribers, each with a topic of its own.
void measure_pairs(const std::string& name, QoS qos, unsigned pairs, unsigned window) {
  SocketBroker broker;
  std::vector<SocketClient*> publishers;
  std::vector<SocketClient*> subscribers;
  for (unsigned i = 0; i != pairs; ++i) {
    publishers.push_back(&broker.add("p" + std::to_string(i)));
    subscribers.push_back(&broker.add("s" + std::to_string(i)));
    publishers.back()->connect();
    subscribers.back()->connect();
    subscribers.back()->subscribe(topic_of(i), qos);
  }
  broker.run_until([&] {
    return std::all_of(subscribers.begin(), subscribers.end(),
                       [](const auto* client) { return client->answers() == 1; });
  });
  constexpr unsigned kRounds = 4;
  const std::uint64_t before = counted_calls();
  for (unsigned round = 1; round <= kRounds; ++round) {
    for (unsigned i = 0; i != pairs; ++i) {
      for (unsigned j = 0; j != window; ++j) publishers[i]->publish(topic_of(i), kPayload, qos);
    }
    const auto has_all = [&](const SocketClient* client) { return client->messages() == round * window; };
    broker.run_until([&] { return std::all_of(subscribers.begin(), subscribers.end(), has_all); });
  }
  print_figure(name, "system calls per message",
               static_cast<double>(counted_calls() - before) / (kRounds * pairs * window));
}

void measure_idle() {
  // Whole pages of the pools that connections and sessions lie in; the first ones make what all share.
  constexpr unsigned kBurst = 64;
  constexpr unsigned kWarmUp = 2 * kBurst;
  constexpr unsigned kClients = 6 * kBurst;
  SocketBroker broker;
  for (unsigned i = 0; i != kClients; ++i) broker.add("client" + std::to_string(i));
  const auto connect = [&](unsigned from, unsigned to) {
    for (unsigned i = from; i != to; ++i) {
      broker.client(i).connect();
      broker.client(i).subscribe(topic_of(i), QoS::kAtMostOnce);
    }
    broker.run_until([&] { return broker.client(to - 1).answers() == 1; });
    for (unsigned i = from; i != to; ++i) expect(broker.client(i).answers() == 1, "every client has its subscription");
  };
  connect(0, kWarmUp);
  const std::uint64_t before = counted_memory().bytes;
  for (unsigned i = kWarmUp; i != kClients; i += kBurst) connect(i, i + kBurst);
  print_figure("idle connection with one subscription", "bytes",
               static_cast<double>(counted_memory().bytes - before) / (kClients - kWarmUp));
}

}  // namespace

int main() {
  if (counts_instructions()) return 0;
  measure_pairs("50 pairs QoS 0, window 32", QoS::kAtMostOnce, 50, 32);
  measure_pairs("50 pairs QoS 1, window 32", QoS::kAtLeastOnce, 50, 32);
  measure_pairs("50 pairs QoS 2, window 32", QoS::kExactlyOnce, 50, 32);
  measure_pairs("50 pairs QoS 0, window 1", QoS::kAtMostOnce, 50, 1);
  measure_idle();
}
