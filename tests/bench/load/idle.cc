// Many connections with a subscription each that do nothing, and what they hold: still, and after one message to each.
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

// One message to each client, 256 in flight.
void touch_all(const Options& options, Loop& loop, Connection& publisher, const std::vector<Client>& clients,
               const Counter& counter) {
  constexpr uint64_t kWindow = 256;
  constexpr double kStalled = 3;
  const std::string payload(64, 'x');
  uint64_t sent = 0;
  Patience patience(kStalled);
  while (counter.delivered < clients.size() && !patience.is_over(counter.delivered)) {
    for (; sent < clients.size() && sent - counter.delivered < kWindow; ++sent) {
      const Publish publish{.topic = clients[sent].filters.front(),
                            .version = options.version,
                            .payload = static_cast<uint32_t>(payload.size())};
      append(publish.encode(loop.room(publisher, publish.size())), payload);
    }
    loop.flush_all();
    loop.turn(kSecond / 20);
  }
}

}  // namespace

void run_idle(const Options& options, Loop& loop) {
  constexpr size_t kPerSource = 15000;
  const auto count = static_cast<size_t>(options.count);
  const auto each = static_cast<double>(count);
  loop.use_sources(count / kPerSource + 1);
  std::vector<Connection> connections(count);
  std::vector<Connection> publisher(1);
  std::vector<Client> clients;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back({connect_packet(options.version, client_id("i", i)), {"idle/" + std::to_string(i) + "/cmd"}, 0});
  }
  Counter counter;
  loop.set_handler(&counter);

  Meter opening(options.pid);
  opening.begin();
  const Opened opened = open_all(loop, connections, clients, options.concurrency);
  opening.end();
  loop.settle(1);
  const uint64_t still_kib = opening.broker().resident_kib();
  Meter still(options.pid);
  still.begin();
  loop.settle(options.hold);
  still.end();
  const std::vector<Client> sender{{connect_packet(options.version, client_id("x", 0)), {}, 0}};
  open_all(loop, publisher, sender, 1);
  Meter touching(options.pid);
  touching.begin();
  touch_all(options, loop, publisher.front(), clients, counter);
  touching.end();
  loop.settle(.5);
  const uint64_t touched_kib = opening.broker().resident_kib();

  Report report(options);
  report.count("n", count);
  report.number("open_s", each / opened.seconds, 1);
  if (opening.broker().is_named()) {
    report.number("rss_bytes_per_conn", opening.bytes_per(still_kib, each), 1);
    report.number("rss_bytes_per_conn_touched", opening.bytes_per(touched_kib, each), 1);
    report.number("open_us_per_conn", opening.broker_us_per(each), 2);
    report.number("idle_cpu_pct", still.broker_cpu_seconds() / still.seconds() * 100, 3);
    report.number("touch_us_per_msg", touching.broker_us_per(each), 3);
    report.count("rss_before_kb", opening.resident_kib_before());
    report.count("rss_idle_kb", still_kib);
    report.count("rss_touched_kb", touched_kib);
    report.count("broker_threads", opening.broker_threads());
  }
  report.number("touch_msgs_s", static_cast<double>(counter.delivered) / touching.seconds(), 1);
  report.count("lost", count - counter.delivered);
  report.count("closed", counter.closed);
  report.count("connfail", loop.counters().connects_failed);
  report.number("load1", load_average(), 2);
  report.count("ok", counter.delivered == count && counter.closed == 0 && loop.counters().refused == 0);
  report.print();
  leave_all(loop, connections);
  leave_all(loop, publisher);
}

}  // namespace mqloop::load
