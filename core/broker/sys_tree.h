// SysTree: the broker's figures as messages under $SYS, with the topics that mosquitto's users and their exporters
// know, and some of its own (docs/limits.md). Owned by the Broker, used on loop 0's thread alone; what other reactors
// counted it reads from their Counters. Every sys.interval it makes the values anew and stores and sends those that
// changed, so that a broker at rest wakes up once an interval for them.
//
// The values are kept in a store of their own: they count towards no limit and in no figure, and the publisher plugin
// never sees them. They are of QoS 0: a figure that is late is worth nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/clock.h>

#include "core/base/seeded_hash.h"
#include "core/broker/counters.h"
#include "core/broker/retained_store.h"
#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class Broker;

// What comes a minute, averaged over 1, 5 and 15 minutes as a system's load is: an interval in which `r` a minute came
// moves each average towards r, the further the longer the interval is compared with the average's minutes.
class LoadAverages {
 public:
  static constexpr std::array<int, 3> kMinutes = {1, 5, 15};

  // `total` is the count from the beginning on; `seconds` have passed since the last call. The first call only notes
  // it.
  void update(std::uint64_t total, double seconds) noexcept;
  [[nodiscard]] double over(std::size_t index) const noexcept { return averages_[index]; }

 private:
  std::uint64_t last_ = 0;
  std::array<double, kMinutes.size()> averages_{};
};

class SysTree {
 public:
  explicit SysTree(Broker& broker, HashSeed seed);
  SysTree(const SysTree&) = delete;
  SysTree& operator=(const SysTree&) = delete;

  // Follows settings().sys: begins, goes on with another interval, or takes all values away.
  void apply_settings();
  void stop() noexcept;

  // Any thread, as a RetainedStore's.
  [[nodiscard]] RetainedStore& values() noexcept { return values_; }

 private:
  struct Reported;
  struct Load {
    std::string_view topic;
    std::uint64_t total;
  };

  void on_interval() noexcept;
  void publish_all();
  void publish_clients();
  void publish_traffic();
  void publish_stores();
  void publish_memory();
  void publish_drops();
  void publish_plugins();
  void publish_publisher();
  void publish_listeners();
  void publish_loads(double seconds);
  // Below $SYS/broker/.
  void put(std::string_view topic, std::string_view value);
  void put(std::string_view topic, std::uint64_t value) { put(topic, std::to_string(value)); }
  void clear_all();
  [[nodiscard]] std::uint64_t dropped_by_limits() const noexcept;

  Broker& broker_;
  RetainedStore values_;
  event::MemberTimer<SysTree, &SysTree::on_interval> timer_{*this};
  MonotonicTime started_{};
  MonotonicTime last_{};
  std::vector<LoadAverages> loads_;
  std::uint64_t most_connected_ = 0;
  std::uint64_t most_memory_ = 0;
};

}  // namespace mqloop::broker
