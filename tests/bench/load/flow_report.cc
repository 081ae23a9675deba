#include "tests/bench/load/flow.h"

namespace mqloop::load {

namespace {

// So many of `things` to one of what was counted from `first` to `last`.
double per(double things, uint64_t first, uint64_t last) {
  return last > first ? things / static_cast<double>(last - first) : 0;
}

}  // namespace

void Flow::report_latency(Report& report) const {
  report.number("rate", options_.rate, 0);
  report.number("p50_us", latency_.quantile_us(.5), 1);
  report.number("p90_us", latency_.quantile_us(.9), 1);
  report.number("p99_us", latency_.quantile_us(.99), 1);
  report.number("p999_us", latency_.quantile_us(.999), 1);
  report.number("max_us", latency_.max_us(), 1);
  report.count("samples", latency_.count());
  report.number("send_late_p50_us", lateness_.quantile_us(.5), 1);
  report.number("send_late_p99_us", lateness_.quantile_us(.99), 1);
}

Report Flow::report() const {
  const auto delivered = static_cast<double>(last_.delivered - first_.delivered);
  const auto sent = static_cast<double>(last_.sent - first_.sent);
  uint64_t unacked = 0;
  uint64_t all_sent = 0;
  uint64_t all_delivered = 0;
  for (const Publisher& publisher : publishers_) {
    all_sent += publisher.sent;
    all_delivered += publisher.delivered;
    if (publisher.qos != 0) unacked += publisher.sent - publisher.acked;
  }
  const int64_t lost = static_cast<int64_t>(all_sent * shape_.fan) - static_cast<int64_t>(all_delivered);

  Report report(options_);
  if (is_open_loop_) report.text("shape", shape_.name);
  report.count("pubs", publishers_.size());
  report.count("subs", subscriber_connections_.size());
  report.count("qos", options_.qos);
  if (options_.mix) report.count("mix", 1);
  report.count("payload", options_.stamped_payload());
  if (options_.depth > 0) report.count("depth", options_.depth);
  if (is_open_loop_) {
    report_latency(report);
  } else {
    report.count("window", options_.window);
  }
  if (options_.group > 0) report.count("group", options_.group);
  report.number("msgs_s", delivered / meter_.seconds(), 1);
  report.number("pub_s", sent / meter_.seconds(), 1);
  report.count("delivered", last_.delivered - first_.delivered);
  report.count("delivered_total", all_delivered);
  report.meter(meter_, delivered);
  report.number("gen_msgs_per_read", per(delivered, first_.counters.reads, last_.counters.reads), 2);
  report.number("gen_msgs_per_write", per(sent, first_.counters.writes, last_.counters.writes), 2);
  if (options_.web_socket) {
    report.number("ws_msgs_per_frame_in", per(delivered, first_.counters.frames_in, last_.counters.frames_in), 2);
    report.number("ws_msgs_per_frame_out", per(sent, first_.counters.frames_out, last_.counters.frames_out), 2);
  }
  const Counters& counters = loop_.counters();
  report.count("lost", lost);
  report.count("gaps", gaps_);
  report.count("disorder", disorder_);
  report.count("dupflag", counters.duplicates);
  report.count("bad", bad_);
  report.count("stalls", stalls_);
  report.count("unacked", unacked);
  report.count("nack", counters.negative);
  report.count("ok", lost == 0 && gaps_ == 0 && disorder_ == 0 && bad_ == 0 && stalls_ == 0 && counters.refused == 0);
  return report;
}

}  // namespace mqloop::load
