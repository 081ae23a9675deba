// Retained messages: stored, replayed to a new subscriber of all, found by one wildcard in the middle, and cleared.
#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

namespace {

std::string_view write_topic(char* out, uint64_t number) {
  char* end = append(append(out, "r/"), number / 1000);
  end = append(append(append(end, "/"), number % 1000), "/t");
  return {out, static_cast<size_t>(end - out)};
}

class Retained final : public Counter {
 public:
  Retained(const Options& options, Loop& loop)
      : options_(options),
        loop_(loop),
        publishers_(static_cast<size_t>(options.publishers > 0 ? options.publishers : 4)),
        has_come_(options.retained),
        storing_(options.pid),
        replaying_(options.pid),
        finding_(options.pid),
        clearing_(options.pid) {}

  void on_publish(Connection&, const Delivery& delivery) override {
    if (!delivery.topic.starts_with("r/")) return;
    ++delivered;
    flagged_ += delivery.first & 1;
    Stamp stamp;
    if (delivery.payload.size() < sizeof stamp) return;
    std::memcpy(&stamp, delivery.payload.data(), sizeof stamp);
    if (stamp.sequence >= has_come_.size() || has_come_[stamp.sequence]) return;
    has_come_[stamp.sequence] = true;
    ++distinct_;
  }

  void run() {
    std::vector<Client> clients;
    for (size_t i = 0; i < publishers_.size(); ++i) {
      clients.push_back({connect_packet(options_.version, client_id("x", i)), {}, 0});
    }
    open_all(loop_, publishers_, clients, options_.concurrency);
    loop_.set_handler(this);
    storing_.begin();
    stored_ = store(options_.stamped_payload());
    storing_.end();
    if (options_.leave) {
      leave_all(loop_, publishers_);
      report_left();
      return;
    }
    loop_.settle(1);
    stored_kib_ = storing_.broker().resident_kib();
    with_new_subscriber([this](Connection& subscriber) {
      replaying_.begin();
      replay(subscriber, options_.filter, options_.retained);
      replaying_.end();
      replayed_ = delivered;
      replayed_distinct_ = distinct_;
    });
    with_new_subscriber([this](Connection& subscriber) { find(subscriber); });
    clearing_.begin();
    cleared_ = store(0);
    clearing_.end();
    loop_.settle(1);
    report();
    leave_all(loop_, publishers_);
  }

 private:
  template <typename Use>
  void with_new_subscriber(Use&& use) {
    std::vector<Connection> subscriber(1);
    const std::vector<Client> client{{connect_packet(options_.version, client_id("y", subscribers_++)), {}, 0}};
    open_all(loop_, subscriber, client, 1);
    use(subscriber.front());
    loop_.leave(subscriber.front());
    loop_.settle(.3);
  }

  // One message on each topic at QoS 1, 256 in flight a publisher; how many were acknowledged.
  uint64_t store(uint32_t payload_size) {
    constexpr double kStalled = 10;
    const std::string payload(payload_size, 'r');
    const uint64_t before = acked;
    uint64_t sent = 0;
    Patience patience(kStalled);
    while (acked - before < options_.retained && !patience.is_over(acked)) {
      for (; sent < options_.retained && sent - (acked - before) < 256 * publishers_.size(); ++sent) {
        send(sent, payload);
      }
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
    return acked - before;
  }

  void send(uint64_t number, std::string_view payload) {
    Connection& publisher = publishers_[number % publishers_.size()];
    char topic[64];
    const Publish publish{.topic = write_topic(topic, number),
                          .version = options_.version,
                          .qos = 1,
                          .retain = true,
                          .packet_id = publisher.next_packet_id(),
                          .payload = static_cast<uint32_t>(payload.size())};
    char* out = publish.encode(loop_.room(publisher, publish.size()));
    append(out, payload);
    const Stamp stamp{0, static_cast<uint32_t>(number), 0};
    if (!payload.empty()) std::memcpy(out, &stamp, sizeof stamp);
  }

  // Subscribes, and waits for so many messages; how many came.
  uint64_t replay(Connection& subscriber, const std::string& filter, uint64_t expected) {
    constexpr double kStalled = 5;
    const uint64_t before = delivered;
    loop_.put(subscriber, subscribe_packet(options_.version, subscriber.next_packet_id(), {filter},
                                           std::max(0, options_.subscriber_qos)));
    loop_.flush_all();
    Patience patience(kStalled);
    while (delivered - before < expected && !patience.is_over(delivered)) {
      loop_.turn(kSecond / 50);
      loop_.flush_all();
    }
    return delivered - before;
  }

  void find(Connection& subscriber) {
    finding_.begin();
    for (; finds_ < options_.finds; ++finds_) {
      const uint64_t level = static_cast<uint64_t>(finds_) * 7 % 1000;
      const uint64_t expected = options_.retained / 1000 + (level < options_.retained % 1000 ? 1 : 0);
      if (expected == 0) break;
      const uint64_t found = replay(subscriber, "r/+/" + std::to_string(level) + "/t", expected);
      find_expected_ += expected;
      found_ += found;
      if (found != expected) break;
    }
    finding_.end();
  }

  void report_left() const {
    Report report(options_);
    report.count("left", stored_);
    report.count("ok", stored_ == options_.retained && loop_.counters().negative == 0);
    report.print();
  }

  void report() const {
    const uint64_t count = options_.retained;
    const auto rate = [](uint64_t done, const Meter& meter) { return static_cast<double>(done) / meter.seconds(); };
    Report report(options_);
    report.count("retained", count);
    report.count("payload", options_.stamped_payload());
    report.count("subqos", std::max(0, options_.subscriber_qos));
    report.number("store_s", rate(stored_, storing_), 1);
    report.number("replay_s", rate(replayed_, replaying_), 1);
    report.number("find_msgs_s", rate(found_, finding_), 1);
    report.number("find_ms", finds_ > 0 ? finding_.seconds() * 1000 / finds_ : 0);
    report.number("clear_s", rate(cleared_, clearing_), 1);
    if (storing_.broker().is_named()) {
      report.number("store_us", storing_.broker_us_per(static_cast<double>(stored_)));
      report.number("replay_us", replaying_.broker_us_per(static_cast<double>(replayed_)));
      report.number("find_us", finding_.broker_us_per(static_cast<double>(found_)));
      report.number("clear_us", clearing_.broker_us_per(static_cast<double>(cleared_)));
      report.number("rss_bytes_per_msg", storing_.bytes_per(stored_kib_, static_cast<double>(count)), 1);
      report.count("rss_before_kb", storing_.resident_kib_before());
      report.count("rss_stored_kb", stored_kib_);
      report.count("rss_replay_peak_kb", replaying_.peak_kib());
      report.count("rss_cleared_kb", storing_.broker().resident_kib());
    }
    report.count("stored", stored_);
    report.count("replayed", replayed_);
    report.count("replayed_distinct", replayed_distinct_);
    report.count("found", found_);
    report.count("find_expected", find_expected_);
    report.count("flagged", flagged_);
    report.number("load1", load_average(), 2);
    report.count("ok", stored_ == count && replayed_ == count && replayed_distinct_ == count &&
                           found_ == find_expected_ && flagged_ == delivered && loop_.counters().refused == 0);
    report.print();
  }

  const Options& options_;
  Loop& loop_;
  std::vector<Connection> publishers_;
  std::vector<bool> has_come_;  // by number
  Meter storing_, replaying_, finding_, clearing_;
  int finds_ = 0;
  uint64_t subscribers_ = 0;
  uint64_t flagged_ = 0, distinct_ = 0, stored_ = 0, stored_kib_ = 0, replayed_ = 0, replayed_distinct_ = 0;
  uint64_t found_ = 0, find_expected_ = 0, cleared_ = 0;
};

}  // namespace

void run_retained(const Options& options, Loop& loop) { Retained(options, loop).run(); }

}  // namespace mqloop::load
