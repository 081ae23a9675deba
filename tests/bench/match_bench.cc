// What routing costs: ns per match, per add and per remove, the longest single change, and bytes per filter, for tables
// of 1,000 to 1,000,000 filters. Build it with -O2 and run it alone on a quiet machine: match_bench [FILTERS...]
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/subscriber_table.h"
#include "core/broker/topic_cache.h"
#include "tests/bench/support/plant.h"

namespace {

using namespace mqloop::broker;
using mqloop::bench::filter_of;
using mqloop::bench::topic_of;

constexpr mqloop::HashSeed kSeed{0x243f6a8885a308d3, 0x13198a2e03707344};
constexpr unsigned kReactor = 0;

// CPU time of this thread: what else runs on the machine is not counted.
double cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// What a pair of clock readings costs by itself.
double reading_ns() {
  constexpr int kReadings = 10000;
  const double start = cpu_ns();
  for (int i = 0; i < kReadings; ++i) cpu_ns();
  return (cpu_ns() - start) / kReadings;
}

// Mean and longest of many calls.
class Cost {
 public:
  template <typename Call>
  void time(Call&& call) {
    const double start = cpu_ns();
    call();
    const double ns = cpu_ns() - start - reading_;
    total_ += ns;
    longest_ = std::max(longest_, ns);
    ++calls_;
  }
  [[nodiscard]] double mean() const { return total_ / static_cast<double>(calls_); }
  [[nodiscard]] double mean_of(std::size_t things) const { return total_ / static_cast<double>(things); }
  [[nodiscard]] double longest_us() const { return longest_ / 1000; }

 private:
  double reading_ = reading_ns();
  double total_ = 0;
  double longest_ = 0;
  std::size_t calls_ = 0;
};

void bench_routes(std::size_t filters) {
  RouteTable routes(1, kSeed);
  SubscriberTable subscribers;
  const std::size_t routes_empty = routes.footprint();
  const std::size_t subscribers_empty = subscribers.footprint();
  std::vector<FilterId> ids;
  ids.reserve(filters);
  Cost add;
  Cost put;
  for (std::size_t i = 0; i < filters; ++i) {
    const std::string filter = filter_of(i);
    add.time([&] { ids.push_back(routes.add(filter, kReactor).filter); });
    Subscriber subscriber;
    subscriber.session = static_cast<std::uint32_t>(i);
    put.time([&] { subscribers.put(ids.back(), subscriber); });
  }
  const double nodes_per_filter = static_cast<double>(routes.node_count()) / static_cast<double>(filters);
  const double route_bytes = static_cast<double>(routes.footprint() - routes_empty) / static_cast<double>(filters);
  const double subscriber_bytes =
      static_cast<double>(subscribers.footprint() - subscribers_empty) / static_cast<double>(filters);

  std::mt19937_64 random(1);
  std::vector<std::string> topics;
  for (int i = 0; i < 200000; ++i) topics.push_back(topic_of(random() % filters));
  MatchResult found;
  std::size_t matches = 0;
  double start = cpu_ns();
  for (const std::string& topic : topics) {
    routes.match(topic, kReactor, found);
    matches += found.matches.size();
  }
  const double match = (cpu_ns() - start) / static_cast<double>(topics.size());
  std::size_t receivers = 0;
  start = cpu_ns();
  for (const std::string& topic : topics) {
    routes.match(topic, kReactor, found);
    for (const RouteMatch& hit : found.matches) receivers += subscribers.subscribers(hit.filter).size();
  }
  const double match_and_look_up = (cpu_ns() - start) / static_cast<double>(topics.size());

  TopicCache cache(routes, kReactor);
  start = cpu_ns();
  for (std::size_t i = 0; i < topics.size(); ++i) matches += cache.match(topics[i % 500]).matches.size();
  const double cached = (cpu_ns() - start) / static_cast<double>(topics.size());

  Cost remove;
  std::shuffle(ids.begin(), ids.end(), random);
  for (const FilterId id : ids) remove.time([&] { routes.remove(id, kReactor); });
  std::printf(
      "%8zu filters  match %6.0f ns  with subscribers %6.0f ns  cached %4.0f ns  add %5.0f ns (longest %4.0f us)  "
      "put %4.0f ns (longest %4.0f us)  remove %5.0f ns (longest %4.0f us)  %.2f nodes, %.0f + %.0f B per filter\n",
      filters, match, match_and_look_up, cached, add.mean(), add.longest_us(), put.mean(), put.longest_us(),
      remove.mean(), remove.longest_us(), nodes_per_filter, route_bytes, subscriber_bytes);
  if (matches == 0 || receivers == 0) std::abort();
}

void bench_retained(std::size_t topics) {
  RetainedStore store(1, kSeed);
  const std::size_t empty = store.footprint();
  std::vector<mqloop::Ref<const mqloop::Message>> messages;
  const std::vector<std::uint8_t> payload(64);
  for (std::size_t i = 0; i < topics; ++i) {
    const std::string topic = topic_of(i);
    mqloop::Message::Content content;
    content.topic = topic;
    content.payload = payload;
    content.retain = true;
    messages.push_back(mqloop::Message::create(content));
  }
  Cost fresh;
  Cost again;
  for (const auto& message : messages) fresh.time([&] { store.store(message, kReactor); });
  for (const auto& message : messages) again.time([&] { store.store(message, kReactor); });
  const double bytes = static_cast<double>(store.footprint() - empty) / static_cast<double>(topics);
  RetainedCursor cursor(store, "plant/#", kReactor);
  std::vector<Retained> list;
  list.reserve(256);
  Cost slice;
  std::size_t found = 0;
  for (bool more = true; more; found += list.size()) {
    list.clear();
    slice.time([&] { more = cursor.next(256, list); });
  }
  std::printf(
      "%8zu retained  new %5.0f ns (longest %4.0f us)  again %4.0f ns  replay %4.0f ns each (longest slice "
      "%4.0f us)  %.0f B each besides the message\n",
      topics, fresh.mean(), fresh.longest_us(), again.mean(), slice.mean_of(found), slice.longest_us(), bytes);
}

void bench_fan_out(std::uint32_t sessions) {
  SubscriberTable subscribers;
  const FilterId filter{1, 1};
  Cost put;
  Cost remove;
  Subscriber subscriber;
  std::vector<std::uint32_t> order;
  for (std::uint32_t session = 0; session < sessions; ++session) {
    subscriber.session = session;
    order.push_back(session);
    put.time([&] { subscribers.put(filter, subscriber); });
  }
  const double bytes = static_cast<double>(subscribers.footprint()) / sessions;
  std::shuffle(order.begin(), order.end(), std::mt19937(2));
  for (const std::uint32_t session : order) remove.time([&] { subscribers.remove(filter, session); });
  std::printf(
      "%8u subscribers of one filter  put %4.0f ns (longest %4.0f us)  remove %4.0f ns (longest %4.0f us)  "
      "%.0f B each\n",
      sessions, put.mean(), put.longest_us(), remove.mean(), remove.longest_us(), bytes);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {1000, 100000, 1000000};
  for (const std::size_t size : sizes) bench_routes(size);
  for (const std::size_t size : sizes) bench_retained(size);
  for (const std::size_t size : sizes) bench_fan_out(static_cast<std::uint32_t>(size));
}
