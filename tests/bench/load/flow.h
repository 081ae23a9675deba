// Messages from publishers to subscribers, in one of two ways. Closed loop: each publisher has a window of messages,
// each in flight until every subscriber has it and, above QoS 0, until it is acknowledged; so the broker is never
// flooded and nothing has a reason to be dropped. Open loop (latency): a fixed rate, where each message carries the
// time at which it should have been sent, so that a stall of either side shows (no coordinated omission).
#pragma once

#include <cstdint>
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/flow_shape.h"
#include "tests/bench/load/histogram.h"
#include "tests/bench/load/loop.h"
#include "tests/bench/load/meter.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/packets.h"
#include "tests/bench/load/report.h"

namespace mqloop::load {

class Flow final : public Handler {
 public:
  Flow(const Options& options, Loop& loop);

  void run();
  Report report() const;

  void on_publish(Connection& connection, const Delivery& delivery) override;
  void on_ack(Connection& connection) override;
  void on_close(Connection& connection) override { die("connection %u was closed by the broker", connection.index); }

 private:
  struct Publisher {
    PublishTemplate publish;
    int qos = 0;
    uint64_t sent = 0;
    uint64_t acked = 0;
    uint64_t settled = 0;  // deliveries, and those that were written off
    uint64_t delivered = 0;
    bool is_ready = false;  // is in ready_
  };
  // Both ends of the window: the meter has the costs, this the counts.
  struct Tally {
    uint64_t delivered = 0;
    uint64_t sent = 0;
    Counters counters;
  };

  void open();
  void run_closed();
  void run_open();
  void drain();
  bool begin_window_at(uint64_t now);  // whether the window is over
  Tally tally() const;
  void send(uint32_t publisher, uint64_t stamp);
  void top_up(uint32_t publisher);
  void pump();
  void make_ready(uint32_t publisher);
  void write_off();
  bool is_complete() const;
  void report_latency(Report& report) const;

  const Options& options_;
  Loop& loop_;
  const FlowShape shape_;
  const bool is_open_loop_;
  const bool waits_for_delivery_;  // and not for the acknowledgement only
  std::vector<Connection> publisher_connections_, subscriber_connections_;
  std::vector<Publisher> publishers_;
  std::vector<uint32_t> seen_;  // the last sequence number, by subscriber or by subscriber and publisher
  std::vector<uint32_t> ready_;
  bool is_running_ = false;
  uint64_t delivered_ = 0, gaps_ = 0, disorder_ = 0, bad_ = 0, stalls_ = 0;
  uint64_t window_start_ = 0, window_end_ = 0;
  bool has_begun_ = false;
  Meter meter_;
  Tally first_, last_;
  Histogram latency_, lateness_;
};

}  // namespace mqloop::load
