// What those notice who have nothing to do with it: latency of a few pairs (bystander.h) while the broker is at rest,
// and while one of three disturbances goes on beside them.
//
//   fanout   a QoS 1 message to each of --n clients that are connected and --sessions that are away; when all who are
//            there have it, the next
//   flood    one client that publishes as fast as its connection takes it, to one subscriber
//   replay   one client that subscribes to `#` again and again, with --retained messages to be had
//
// The clients of the disturbance have the lowest priority, since they stand for other machines.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/bystander.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

constexpr double kStalled = 15;

// One of the three. Steps until `end` and a little longer, until what has begun is complete.
class Disturbance : public Counter {
 public:
  Disturbance(const Options& options, Loop& loop) : options_(options), loop_(loop) {}

  virtual void prepare() = 0;
  virtual void begin_one() = 0;
  virtual bool is_one_done() = 0;
  virtual void leave() = 0;

  void run(double seconds) {
    const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    do {
      begin_one();
      loop_.flush_all();
      Patience patience(kStalled);
      while (!is_one_done()) {
        if (patience.is_over(delivered + acked)) die("a %s has not come to its end", options_.by.c_str());
        loop_.turn(kSecond / 50);
        loop_.flush_all();
      }
      ++done;
    } while (now_ns() < end);
  }

  uint64_t done = 0;

 protected:
  Client client(const char* tag, uint64_t number, std::vector<std::string> filters = {}, int qos = 0) const {
    return {connect_packet(options_.version, client_id(tag, number)), std::move(filters), qos};
  }
  void open(std::vector<Connection>& connections, const std::vector<Client>& clients) {
    constexpr int kConcurrency = 200;
    open_all(loop_, connections, clients, kConcurrency);
  }

  const Options& options_;
  Loop& loop_;
};

class FanOut final : public Disturbance {
 public:
  using Disturbance::Disturbance;

  void prepare() override {
    constexpr size_t kPerSource = 15000;
    loop_.use_sources((options_.count + static_cast<size_t>(options_.sessions)) / kPerSource + 1);
    // Those who are away first, so that those who are there follow each other: the most writing in a row.
    visit_absent(false);
    std::vector<Client> clients;
    for (size_t i = 0; i < options_.count; ++i) clients.push_back(client("s", i, {kTopic}, 1));
    connections_ = std::vector<Connection>(options_.count);
    open(connections_, clients);
    open(publisher_, {client("x", 0)});
  }
  void begin_one() override {
    const Publish publish{.topic = kTopic,
                          .version = options_.version,
                          .qos = 1,
                          .packet_id = publisher_.front().next_packet_id(),
                          .payload = options_.stamped_payload()};
    append(publish.encode(loop_.room(publisher_.front(), publish.size())), std::string(publish.payload, 'f'));
  }
  bool is_one_done() override { return delivered >= (done + 1) * options_.count && acked > done; }
  void leave() override {
    leave_all(loop_, publisher_);
    leave_all(loop_, connections_);
    visit_absent(true);
  }

 private:
  static constexpr const char* kTopic = "wide";
  static constexpr size_t kAtOnce = 5000;

  // Begins their sessions, or ends them.
  void visit_absent(bool is_last) {
    const auto away = static_cast<size_t>(options_.sessions);
    for (size_t from = 0; from < away; from += kAtOnce) {
      std::vector<Client> clients;
      for (size_t i = from; i < std::min(away, from + kAtOnce); ++i) {
        clients.push_back(
            {connect_packet(options_.version, client_id("o", i), is_last, is_last ? 0 : 3600), {kTopic}, 1});
      }
      std::vector<Connection> connections(clients.size());
      open(connections, clients);
      leave_all(loop_, connections);
      loop_.flush_all();  // it knows them no more
    }
  }

  std::vector<Connection> connections_;
  std::vector<Connection> publisher_{1};
};

class Flood final : public Disturbance {
 public:
  using Disturbance::Disturbance;

  void prepare() override {
    open(clients_, {client("s", 0, {"flood"}), client("x", 0)});
    const PublishTemplate publish(
        {.topic = "flood", .version = options_.version, .payload = options_.stamped_payload()});
    packets_.resize(size_t{publish.size()} * kAtOnce);
    for (size_t i = 0; i < kAtOnce; ++i) publish.write(packets_.data() + i * publish.size(), 0, {});
  }
  // So much is always ready to go that the connection is full.
  void begin_one() override { loop_.put(clients_[1], packets_); }
  bool is_one_done() override { return delivered != 0 && clients_[1].out.sendable() < packets_.size(); }
  void leave() override { leave_all(loop_, clients_); }

 private:
  static constexpr size_t kAtOnce = 10000;

  std::vector<Connection> clients_{2};
  std::string packets_;
};

class Replay final : public Disturbance {
 public:
  using Disturbance::Disturbance;

  void prepare() override {
    open(clients_, {client("s", 0), client("x", 0)});
    store(options_.stamped_payload());
  }
  void begin_one() override {
    loop_.put(clients_[0], subscribe_packet(options_.version, clients_[0].next_packet_id(), {"#"}, 0));
  }
  // Of what the pairs publish meanwhile some comes too.
  void on_publish(Connection&, const Delivery& delivery) override { delivered += delivery.topic.starts_with("r/"); }
  bool is_one_done() override { return delivered >= (done + 1) * options_.retained; }
  void leave() override {
    loop_.put(clients_[0], unsubscribe_packet(options_.version, clients_[0].next_packet_id(), {"#"}));
    loop_.flush_all();
    store(0);
    leave_all(loop_, clients_);
  }

 private:
  void store(uint32_t payload) {
    constexpr uint64_t kWindow = 1000;
    const std::string filling(payload, 'r');
    const uint64_t before = acked;
    uint64_t sent = 0;
    Patience patience(kStalled);
    while (acked - before < options_.retained) {
      if (patience.is_over(acked)) die("retained messages are not acknowledged");
      for (; sent < options_.retained && sent - (acked - before) < kWindow; ++sent) {
        const std::string topic = "r/" + std::to_string(sent / 1000) + '/' + std::to_string(sent % 1000);
        const Publish publish{.topic = topic,
                              .version = options_.version,
                              .qos = 1,
                              .retain = true,
                              .packet_id = clients_[1].next_packet_id(),
                              .payload = payload};
        append(publish.encode(loop_.room(clients_[1], publish.size())), filling);
      }
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
  }

  std::vector<Connection> clients_{2};
};

std::unique_ptr<Disturbance> disturbance(const Options& options, Loop& loop) {
  if (options.by == "fanout") return std::make_unique<FanOut>(options, loop);
  if (options.by == "flood") return std::make_unique<Flood>(options, loop);
  if (options.by == "replay") return std::make_unique<Replay>(options, loop);
  print_usage();
}

}  // namespace

void run_beside(const Options& options, Loop& loop) {
  const std::unique_ptr<Disturbance> others = disturbance(options, loop);
  Bystander bystander(options);
  constexpr int kLowest = 19;
  (void)!nice(kLowest);
  loop.set_handler(others.get());
  others->prepare();
  loop.settle(1);
  bystander.enter(Bystander::Phase::kIdle);
  const uint64_t end = now_ns() + static_cast<uint64_t>(options.seconds * 1e9);
  while (now_ns() < end) {
    loop.turn(kSecond / 20);
    loop.flush_all();
  }
  Meter meter(options.pid);
  const uint64_t before = others->delivered;
  meter.begin();
  bystander.enter(Bystander::Phase::kBusy);
  others->run(options.seconds);
  bystander.enter(Bystander::Phase::kWaiting);
  meter.end();
  const auto delivered = static_cast<double>(others->delivered - before);
  others->leave();
  bystander.end();

  Report report(options);
  report.text("by", options.by);
  report.number("rate", options.rate, 0);
  report.count("pairs", options.pairs);
  report.count("done", others->done);
  report.number("seconds", meter.seconds());
  report.number("msgs_s", delivered / meter.seconds(), 1);
  bystander.report(report);
  report.meter(meter, delivered);
  report.count("closed", others->closed);
  report.count("nack", loop.counters().negative);
  report.count("ok", bystander.is_right() && others->closed == 0 && loop.counters().negative == 0 &&
                         loop.counters().refused == 0);
  report.print();
}

}  // namespace mqloop::load
