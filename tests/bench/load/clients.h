// Opening many connections and leaving them again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/bench/load/histogram.h"
#include "tests/bench/load/loop.h"

namespace mqloop::load {

// How a connection begins: its CONNECT and what it subscribes to, if anything.
struct Client {
  ConnectPacket connect;
  std::vector<std::string> filters;
  int qos = 0;
};

struct Opened {
  double seconds = 0;
  uint64_t sessions_present = 0;
};

// Opens connections[i] as clients[i], `concurrency` at a time, and returns once all are up and subscribed. Meanwhile
// `messages` gets what is delivered; the loop's handler is the old one again afterwards.
Opened open_all(Loop& loop, std::span<Connection> connections, std::span<const Client> clients, int concurrency,
                Handler* messages = nullptr);
void leave_all(Loop& loop, std::span<Connection> connections);

// Counts, for scenarios that need no more.
class Counter : public Handler {
 public:
  void on_publish(Connection&, const Delivery&) override { ++delivered; }
  void on_ack(Connection&) override { ++acked; }
  void on_close(Connection&) override { ++closed; }

  uint64_t delivered = 0;
  uint64_t acked = 0;
  uint64_t closed = 0;
};

// Whether something has stood still for too long.
class Patience {
 public:
  explicit Patience(double seconds);
  // Whether `progress` has been the same for all of that time.
  bool is_over(uint64_t progress);

 private:
  uint64_t limit_;
  uint64_t since_;
  uint64_t seen_ = ~uint64_t{0};
};

}  // namespace mqloop::load
