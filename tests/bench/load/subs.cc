// Filters in growing steps, and messages on random topics of them: what a subscription costs, and a match. 80 % of the
// filters are exact, 15 % have one `+`, 5 % end in `#`; every message matches exactly one, which its stamp names.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

enum class Kind { kExact, kPlus, kHash };
Kind kind_of(uint64_t number) {
  const uint64_t rest = number % 20;
  return rest < 16 ? Kind::kExact : rest < 19 ? Kind::kPlus : Kind::kHash;
}

class Name {
 public:
  std::string_view view() const { return {text_, static_cast<size_t>(end_ - text_)}; }

 protected:
  template <typename... Parts>
  void add(Parts... parts) {
    ((end_ = append(end_, parts)), ...);
  }

 private:
  char text_[96];
  char* end_ = text_;
};

struct Filter : Name {
  explicit Filter(uint64_t number) {
    add("s/", number % 1000);
    switch (kind_of(number)) {
      case Kind::kExact:
        add("/d/", number, "/v");
        break;
      case Kind::kPlus:
        add("/+/", number, "/w");
        break;
      case Kind::kHash:
        add("/x", number, "/#");
        break;
    }
  }
};

struct Topic : Name {
  explicit Topic(uint64_t number) {
    add("s/", number % 1000);
    switch (kind_of(number)) {
      case Kind::kExact:
        add("/d/", number, "/v");
        break;
      case Kind::kPlus:
        add("/d/", number, "/w");
        break;
      case Kind::kHash:
        add("/x", number, "/a/b");
        break;
    }
  }
};

class Subscriptions final : public Counter {
 public:
  Subscriptions(const Options& options, Loop& loop)
      : options_(options),
        loop_(loop),
        connections_(static_cast<size_t>(options.clients)),
        next_(connections_.size()),
        seen_(connections_.size()),
        payload_(options.stamped_payload(), 'x') {
    for (size_t i = 0; i < next_.size(); ++i) next_[i] = i;
  }

  void on_suback(Connection&, uint32_t codes) override { granted_ += codes; }
  void on_publish(Connection& connection, const Delivery& delivery) override {
    Stamp stamp;
    if (delivery.payload.size() < sizeof stamp) return;
    std::memcpy(&stamp, delivery.payload.data(), sizeof stamp);
    ++delivered;
    if (stamp.sequence <= seen_[connection.index]) ++disorder_;
    seen_[connection.index] = stamp.sequence;
    const bool is_right =
        stamp.value % connections_.size() == connection.index && Topic(stamp.value).view() == delivery.topic;
    wrong_ += is_right ? 0 : 1;
  }
  void on_close(Connection& connection) override { die("connection %u was closed by the broker", connection.index); }

  void run() {
    std::vector<Client> clients;
    for (size_t i = 0; i < connections_.size(); ++i) {
      clients.push_back({connect_packet(options_.version, client_id("m", i)), {}, 0});
    }
    const std::vector<Client> sender{{connect_packet(options_.version, client_id("x", 0)), {}, 0}};
    Meter whole(options_.pid);
    whole.begin();
    open_all(loop_, connections_, clients, options_.concurrency);
    open_all(loop_, publisher_, sender, 1);
    loop_.set_handler(this);

    Report report(options_);
    report.count("clients", connections_.size());
    report.count("batch", options_.batch);
    report.count("hot", options_.hot);
    report.begin_list("steps");
    bool is_right = true;
    uint64_t before = 0;
    for (const char* at = options_.steps.c_str(); *at != '\0' && is_right;) {
      char* end = nullptr;
      const uint64_t filters = std::strtoull(at, &end, 10);
      if (end == at || filters <= before) die("--steps takes growing numbers with commas between them");
      at = *end == ',' ? end + 1 : end;
      is_right = step(whole, before, filters, report);
      before = filters;
    }
    report.end_list();
    report.count("disorder", disorder_);
    report.count("wrong", wrong_);
    report.count("badsub", loop_.counters().refused);
    report.number("load1", load_average(), 2);
    report.count("ok", is_right && disorder_ == 0 && wrong_ == 0 && loop_.counters().refused == 0);
    report.print();
    leave_all(loop_, connections_);
    leave_all(loop_, publisher_);
  }

 private:
  // Whether all was granted and delivered.
  bool step(const Meter& whole, uint64_t before, uint64_t filters, Report& steps) {
    Meter subscribing(options_.pid);
    subscribing.begin();
    const bool is_stuck = !subscribe_up_to(filters);
    subscribing.end();
    loop_.settle(.3);
    const uint64_t resident = whole.broker().resident_kib();
    const uint64_t delivered_before = delivered;
    Meter matching(options_.pid);
    matching.begin();
    const uint64_t sent = is_stuck ? 0 : publish(filters);
    matching.end();
    const uint64_t in_time = delivered - delivered_before;
    if (in_time < sent) loop_.settle(1);  // let the rest arrive
    const uint64_t lost = sent - std::min(sent, delivered - delivered_before);

    const auto added = static_cast<double>(filters - before);
    Report report;
    report.count("subs", filters);
    report.number("subscribe_s", added / subscribing.seconds(), 1);
    report.number("subscribe_us", subscribing.broker_us_per(added));
    report.number("rss_bytes_per_sub", whole.bytes_per(resident, static_cast<double>(filters)), 1);
    report.number("rss_bytes_per_new_sub", subscribing.bytes_per(resident, added), 1);
    report.number("match_s", static_cast<double>(in_time) / matching.seconds(), 1);
    report.number("match_us", matching.broker_us_per(static_cast<double>(in_time)), 4);
    report.count("lost", lost);
    report.number("gen_cores", matching.own_cpu_seconds() / matching.seconds());
    steps.item(report);
    return !is_stuck && lost == 0 && sent == options_.messages;
  }

  bool subscribe_up_to(uint64_t filters) {
    constexpr uint32_t kInFlight = 8;  // SUBSCRIBE packets of one client
    constexpr double kStalled = 20;
    std::vector<uint32_t> sent(connections_.size());
    std::vector<std::string> batch;
    for (Connection& connection : connections_) connection.acks = 0;
    Patience patience(kStalled);
    while (granted_ < filters) {
      for (size_t i = 0; i < connections_.size(); ++i) {
        while (next_[i] < filters && sent[i] - connections_[i].acks < kInFlight) {
          batch.clear();
          for (; next_[i] < filters && batch.size() < static_cast<size_t>(options_.batch);
               next_[i] += connections_.size()) {
            batch.emplace_back(Filter(next_[i]).view());
          }
          loop_.put(connections_[i], subscribe_packet(options_.version, connections_[i].next_packet_id(), batch, 0));
          ++sent[i];
        }
      }
      loop_.flush_all();
      loop_.turn(kSecond / 20);
      if (patience.is_over(granted_)) return false;
    }
    return true;
  }

  // On random topics of the first --hot filters, or of all; how many it has sent.
  uint64_t publish(uint64_t filters) {
    constexpr double kStalled = 3;
    constexpr uint64_t kLongest = 20 * kSecond;
    const auto window = static_cast<uint64_t>(options_.window) * 8;
    const uint64_t topics = options_.hot != 0 ? std::min(options_.hot, filters) : filters;
    const uint64_t end = now_ns() + kLongest;
    const uint64_t before = delivered;
    uint64_t sent = 0;
    Patience patience(kStalled);
    while (delivered - before < options_.messages && now_ns() < end && !patience.is_over(delivered)) {
      for (; sent < options_.messages && sent - (delivered - before) < window; ++sent) send(random_() % topics);
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
    return sent;
  }

  void send(uint64_t number) {
    const Topic topic(number);
    const Publish publish{
        .topic = topic.view(), .version = options_.version, .payload = static_cast<uint32_t>(payload_.size())};
    char* out = publish.encode(loop_.room(publisher_.front(), publish.size()));
    const Stamp stamp{0, ++sequence_, number};
    append(out, payload_);
    std::memcpy(out, &stamp, sizeof stamp);
  }

  const Options& options_;
  Loop& loop_;
  std::vector<Connection> connections_;
  std::vector<Connection> publisher_{1};
  std::vector<uint64_t> next_;  // filter of each client; they take turns
  std::vector<uint32_t> seen_;
  const std::string payload_;
  std::minstd_rand random_;  // always the same topics
  uint32_t sequence_ = 0;
  uint64_t granted_ = 0, disorder_ = 0, wrong_ = 0;
};

}  // namespace

void run_subs(const Options& options, Loop& loop) { Subscriptions(options, loop).run(); }

}  // namespace mqloop::load
