// Sessions that are away: QoS 1 messages are queued for them, and delivered when they return.
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

class Offline final : public Counter {
 public:
  Offline(const Options& options, Loop& loop)
      : options_(options),
        loop_(loop),
        connections_(static_cast<size_t>(options.sessions)),
        seen_(connections_.size()),
        queueing_(options.pid),
        draining_(options.pid) {}

  void on_publish(Connection& connection, const Delivery& delivery) override {
    Stamp stamp;
    if (delivery.payload.size() < sizeof stamp) return;
    std::memcpy(&stamp, delivery.payload.data(), sizeof stamp);
    uint32_t& last = seen_[connection.index];
    if (stamp.sequence <= last) {
      ++disorder_;
      return;
    }
    gaps_ += stamp.sequence - last - 1;
    last = stamp.sequence;
    ++delivered;
  }

  void run() {
    loop_.set_handler(this);
    const bool is_shared = options_.topics == "shared";
    std::vector<Client> first;
    std::vector<Client> again;
    std::vector<Client> ending;  // discards the session
    std::vector<std::string> topics;
    for (size_t i = 0; i < connections_.size(); ++i) {
      const std::string id = client_id("o", i);
      const std::string topic = "off/" + (is_shared ? std::string("all") : std::to_string(i));
      if (!is_shared || i == 0) topics.push_back(topic);
      first.push_back({connect_packet(options_.version, id, false, 3600), {topic}, 1});
      again.push_back({connect_packet(options_.version, id, false, 3600), {}, 0});
      ending.push_back({connect_packet(options_.version, id, true, 0), {}, 0});
    }
    open_all(loop_, connections_, first, options_.concurrency);
    leave_all(loop_, connections_);
    loop_.settle(.5);
    queue(topics);
    if (options_.leave) {
      leave_all(loop_, publisher_);
      report_left(topics.size());
      return;
    }
    drain(again);
    leave_all(loop_, connections_);
    loop_.settle(.2);
    open_all(loop_, connections_, ending, options_.concurrency);
    report(topics.size());
    leave_all(loop_, connections_);
    leave_all(loop_, publisher_);
  }

 private:
  uint64_t expected() const { return options_.count * connections_.size(); }

  void queue(const std::vector<std::string>& topics) {
    constexpr double kStalled = 10;
    const std::vector<Client> sender{{connect_packet(options_.version, client_id("x", 0)), {}, 0}};
    open_all(loop_, publisher_, sender, 1);
    std::vector<PublishTemplate> publishes;
    for (const std::string& topic : topics) {
      publishes.emplace_back(
          Publish{.topic = topic, .version = options_.version, .qos = 1, .payload = options_.stamped_payload()});
    }
    const uint64_t total = options_.count * topics.size();
    const auto window = static_cast<uint64_t>(options_.window) * 8;
    queueing_.begin();
    Patience patience(kStalled);
    while (acked < total && !patience.is_over(acked)) {
      for (; sent_ < total && sent_ - acked < window; ++sent_) {
        const PublishTemplate& publish = publishes[sent_ % publishes.size()];
        publish.write(loop_.room(publisher_.front(), publish.size()), static_cast<uint16_t>(sent_ % 65535 + 1),
                      {0, static_cast<uint32_t>(sent_ / publishes.size() + 1), 0});
      }
      loop_.flush_all();
      loop_.turn(kSecond / 20);
    }
    queueing_.end();
    loop_.settle(.5);
    queued_kib_ = queueing_.broker().resident_kib();
  }

  void drain(const std::vector<Client>& clients) {
    draining_.begin();
    sessions_present_ = open_all(loop_, connections_, clients, options_.concurrency, this).sessions_present;
    Patience patience(options_.stuck);
    while (delivered < expected() && !patience.is_over(delivered)) {
      loop_.turn(kSecond / 20);
      loop_.flush_all();
    }
    draining_.end();
    loop_.settle(.5);
    drained_kib_ = queueing_.broker().resident_kib();
  }

  void report_left(size_t topics) const {
    Report report(options_);
    report.count("left", expected());
    report.count("acked", acked);
    report.count("ok", acked == options_.count * topics && loop_.counters().negative == 0);
    report.print();
  }

  void report(size_t topics) const {
    const auto all = static_cast<double>(expected());
    const uint64_t total = options_.count * topics;
    Report report(options_);
    report.count("sessions", connections_.size());
    report.count("per_session", options_.count);
    report.text("topics", options_.topics);
    report.count("payload", options_.stamped_payload());
    report.number("queue_s", all / queueing_.seconds(), 1);
    report.number("pub_s", static_cast<double>(total) / queueing_.seconds(), 1);
    report.number("drain_s", static_cast<double>(delivered) / draining_.seconds(), 1);
    if (queueing_.broker().is_named()) {
      report.number("queue_us", queueing_.broker_us_per(all));
      report.number("drain_us", draining_.broker_us_per(static_cast<double>(delivered)));
      report.number("rss_bytes_per_queued", queueing_.bytes_per(queued_kib_, all), 1);
      report.count("rss_before_kb", queueing_.resident_kib_before());
      report.count("rss_queued_kb", queued_kib_);
      report.count("rss_drained_kb", drained_kib_);
    }
    report.count("acked", acked);
    report.count("sent", sent_);
    report.count("delivered", delivered);
    report.count("lost", static_cast<int64_t>(expected()) - static_cast<int64_t>(delivered));
    report.count("disorder", disorder_);
    report.count("gap", gaps_);
    report.count("dupflag", loop_.counters().duplicates);
    report.count("session_present", sessions_present_);
    report.count("nack", loop_.counters().negative);
    report.number("load1", load_average(), 2);
    report.count(
        "ok", delivered == expected() && disorder_ == 0 && acked == total && sessions_present_ == connections_.size());
    report.print();
  }

  const Options& options_;
  Loop& loop_;
  std::vector<Connection> connections_;
  std::vector<Connection> publisher_{1};
  std::vector<uint32_t> seen_;  // the last sequence number of each session
  Meter queueing_, draining_;
  uint64_t sent_ = 0, disorder_ = 0, gaps_ = 0, sessions_present_ = 0;
  uint64_t queued_kib_ = 0, drained_kib_ = 0;
};

}  // namespace

void run_offline(const Options& options, Loop& loop) { Offline(options, loop).run(); }

}  // namespace mqloop::load
