// Filters that come and go beside others that stay: SUBSCRIBE and UNSUBSCRIBE in turn, and at the end a message on
// every topic that nobody may want any more.
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

class Churn final : public Counter {
 public:
  Churn(const Options& options, Loop& loop)
      : options_(options), loop_(loop), connections_(static_cast<size_t>(options.clients)) {}

  // A client's filters of the moment are there or gone: the other packet is next.
  void on_suback(Connection& connection, uint32_t codes) override {
    if (!is_churning_) return;
    if (codes != 0) {
      loop_.put(connection, unsubscribe_packet(options_.version, connection.next_packet_id(), batch_of(connection)));
      return;
    }
    cycles_ += static_cast<uint64_t>(options_.batch);
    ++rounds_[connection.index];
    if (begun_ < options_.count) subscribe(connection);
  }
  void on_close(Connection& connection) override { die("connection %u was closed by the broker", connection.index); }

  void run() {
    constexpr double kStalled = 10;
    open();
    Meter meter(options_.pid);
    meter.begin();
    is_churning_ = true;
    for (Connection& connection : connections_) {
      if (begun_ < options_.count) subscribe(connection);
    }
    Patience patience(kStalled);
    while (cycles_ < begun_ && !patience.is_over(cycles_)) {
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
    meter.end();
    is_churning_ = false;
    loop_.settle(.3);
    const uint64_t resident = meter.broker().resident_kib();
    const bool is_quiet = nobody_wants_the_rest();
    report(meter, resident, is_quiet);
    leave_all(loop_, connections_);
    leave_all(loop_, others_);
  }

 private:
  static constexpr std::string_view kEnd = "churn/end";

  void open() {
    std::vector<Client> clients;
    for (size_t i = 0; i < connections_.size(); ++i) {
      clients.push_back({connect_packet(options_.version, client_id("m", i)), {std::string(kEnd)}, 0});
    }
    Client keeper{connect_packet(options_.version, client_id("k", 0)), {}, 0};
    open_all(loop_, connections_, clients, options_.concurrency);
    open_all(loop_, others_, std::vector<Client>{keeper, {connect_packet(options_.version, client_id("x", 0)), {}, 0}},
             2);
    rounds_.resize(connections_.size());
    loop_.set_handler(this);
    keep_filters();
  }

  // The filters that stay, all of one client.
  void keep_filters() {
    constexpr double kStalled = 20;
    Connection& keeper = others_.front();
    std::vector<std::string> batch;
    uint32_t sent = 0;
    for (uint64_t i = 0; i < options_.filters;) {
      batch.clear();
      for (; i < options_.filters && batch.size() < 100; ++i) batch.push_back("stay/" + std::to_string(i) + "/+/v");
      loop_.put(keeper, subscribe_packet(options_.version, keeper.next_packet_id(), batch, 0));
      ++sent;
      Patience patience(kStalled);
      while (keeper.acks < sent) {
        loop_.flush_all();
        loop_.turn(kSecond / 20);
        if (patience.is_over(keeper.acks)) die("no SUBACK");
      }
    }
  }

  std::string filter(const Connection& connection, uint64_t round, int number, std::string_view level) const {
    return "churn/" + std::to_string(connection.index) + "/" + std::to_string(round) + "/" + std::string(level) + "/" +
           std::to_string(number);
  }

  std::vector<std::string> batch_of(const Connection& connection) const {
    std::vector<std::string> batch;
    for (int i = 0; i < options_.batch; ++i) {  // every fifth with a wildcard
      batch.push_back(filter(connection, rounds_[connection.index], i, i % 5 == 4 ? "+" : "d"));
    }
    return batch;
  }

  void subscribe(Connection& connection) {
    begun_ += static_cast<uint64_t>(options_.batch);
    loop_.put(connection, subscribe_packet(options_.version, connection.next_packet_id(), batch_of(connection), 0));
  }

  // A publisher's messages come in order: when the last has reached everybody, what came before it has too.
  bool nobody_wants_the_rest() {
    constexpr double kStalled = 5;
    const uint64_t before = delivered;
    for (const Connection& connection : connections_) {
      for (uint64_t round = 0; round < rounds_[connection.index] && round < 10; ++round) {
        send(filter(connection, round, 4, "d"));
      }
    }
    send(kEnd);
    Patience patience(kStalled);
    while (delivered - before < connections_.size() && !patience.is_over(delivered)) {
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
    loop_.settle(.1);
    return delivered - before == connections_.size();
  }

  void send(std::string_view topic) {
    const Publish publish{.topic = topic, .version = options_.version};
    publish.encode(loop_.room(others_.back(), publish.size()));
  }

  void report(const Meter& meter, uint64_t resident, bool is_quiet) const {
    const auto cycles = static_cast<double>(cycles_);
    Report report(options_);
    report.count("clients", connections_.size());
    report.count("batch", options_.batch);
    report.count("filters", options_.filters);
    report.count("cycles", cycles_);
    report.number("cycles_s", cycles / meter.seconds(), 1);
    if (meter.broker().is_named()) report.number("cycle_us", meter.broker_us_per(cycles));
    if (meter.broker().is_named()) report.number("rss_bytes_per_cycle", meter.bytes_per(resident, cycles), 1);
    report.meter(meter, cycles);
    report.count("unwanted", is_quiet ? 0 : 1);
    report.count("badsub", loop_.counters().refused);
    report.count("ok", cycles_ == begun_ && cycles_ >= options_.count && is_quiet && loop_.counters().refused == 0);
    report.print();
  }

  const Options& options_;
  Loop& loop_;
  std::vector<Connection> connections_;
  std::vector<Connection> others_{2};  // who keeps its filters, and who publishes
  std::vector<uint64_t> rounds_;       // done by each client
  bool is_churning_ = false;
  uint64_t begun_ = 0;   // filters
  uint64_t cycles_ = 0;  // filters that have come and gone
};

}  // namespace

void run_churn(const Options& options, Loop& loop) { Churn(options, loop).run(); }

}  // namespace mqloop::load
