// Connections that come and go: CONNECT, CONNACK, DISCONNECT, and the broker's end of the stream.
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/histogram.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

class ConnectCycles final : public Handler {
 public:
  ConnectCycles(const Options& options, Loop& loop)
      : options_(options), loop_(loop), connections_(static_cast<size_t>(options.concurrency)) {
    for (Connection& connection : connections_) idle_.push_back(&connection);
  }

  void on_up(Connection& connection, bool) override {
    ++accepted_;
    latency_.add(now_ns() - connection.opened_ns);
    connection.state = Connection::State::kLeaving;
    loop_.put(connection, kDisconnect);
    if (!options_.fast) return;
    loop_.flush(connection);
    loop_.close(connection);
    on_close(connection);
  }
  void on_close(Connection& connection) override {
    ++done_;
    idle_.push_back(&connection);
  }

  void run() {
    constexpr uint64_t kSources = 500;
    constexpr double kStalled = 5;
    loop_.set_handler(this);
    loop_.use_sources(kSources);
    Meter meter(options_.pid);
    meter.begin();
    Patience patience(kStalled);
    while (done_ < options_.count && !patience.is_over(done_)) {
      start_some();
      loop_.turn(kSecond / 20);
      loop_.flush_all();
    }
    meter.end();
    report(meter);
    for (Connection& connection : connections_) loop_.close(connection);
  }

 private:
  void start_some() {
    while (!idle_.empty() && started_ < options_.count) {
      Connection& connection = *idle_.back();
      loop_.open(connection, connect_packet(options_.version, client_id("c", started_)));
      if (connection.fd < 0) return;
      idle_.pop_back();
      ++started_;
    }
  }

  void report(const Meter& meter) const {
    Report report(options_);
    report.count("n", options_.count);
    report.count("concurrency", options_.concurrency);
    report.number("connects_s", static_cast<double>(done_) / meter.seconds(), 1);
    report.number("p50_us", latency_.quantile_us(.5), 1);
    report.number("p99_us", latency_.quantile_us(.99), 1);
    report.number("max_us", latency_.max_us(), 1);
    report.count("connacks", accepted_);
    report.count("completed", done_);
    report.count("failed", loop_.counters().connects_failed);
    report.meter(meter, static_cast<double>(done_));
    report.count("ok", done_ == options_.count && accepted_ == done_ && loop_.counters().connects_failed == 0);
    report.print();
  }

  const Options& options_;
  Loop& loop_;
  std::vector<Connection> connections_;
  std::vector<Connection*> idle_;
  Histogram latency_;
  uint64_t started_ = 0, accepted_ = 0, done_ = 0;
};

}  // namespace

void run_connect(const Options& options, Loop& loop) { ConnectCycles(options, loop).run(); }

}  // namespace mqloop::load
