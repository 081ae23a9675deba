// Broker: one whole broker, made of components and settings, running on loops that somebody else turns (mqloopd's
// threads, a test, a simulation). It owns what all its reactors share, and one Shard for each. No globals, no signals:
// several brokers in one process are an ordinary case.
//
//   Broker broker(settings, components, environment);
//   broker.open_listeners();       // any thread, no loop runs yet
//   broker.open_publisher();
//   broker.start(told);            // any thread; then turn the loops
//   broker.stop(told);             // any thread; when told, the loops may end
//   (destroy it when no loop runs any more, or on a loop's thread when there is but one)
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/export.h>
#include <mqloop/log.h>
#include <mqloop/status.h>

#include "core/base/seeded_hash.h"
#include "core/base/token_bucket.h"
#include "core/broker/client_directory.h"
#include "core/broker/components.h"
#include "core/broker/counters.h"
#include "core/broker/listener_gate.h"
#include "core/broker/memory_guard.h"
#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/settings.h"
#include "core/broker/sys_tree.h"
#include "core/event/loop.h"

namespace mqloop::broker {

class Shard;

// All of it outlives the broker.
struct Environment {
  Random& random;
  Log& log;
  std::vector<event::Loop*> loops;  // 1 to 64; loops[i]->index() == i
};

class MQLOOP_API Broker {
 public:
  Broker(const BrokerSettings& settings, Components& components, Environment environment);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Each once, in any order, before start(). The message of a failure says which and why.
  [[nodiscard]] Status open_listeners();
  [[nodiscard]] Status open_publisher();
  // Starts every shard on its loop, then the listeners on loop 0. `started` is called on loop 0's thread, with the
  // first failure when there was one.
  void start(std::function<void(Status)> started);
  // Stops accepting, says good-bye, completes what the publisher has, ends every shard. `stopped` is called on loop 0's
  // thread as the last thing that the broker does there.
  void stop(std::function<void()> stopped);

  // ---- for the shards
  [[nodiscard]] const BrokerSettings& settings() const noexcept { return settings_; }
  [[nodiscard]] Components& components() noexcept { return components_; }
  [[nodiscard]] RouteTable& routes() noexcept { return routes_; }
  [[nodiscard]] RetainedStore& retained() noexcept { return retained_; }
  // Of a filter or topic that begins with $SYS: the broker's own, where nobody else's are.
  [[nodiscard]] RetainedStore& own_values() noexcept { return sys_.values(); }
  [[nodiscard]] ClientDirectory& directory() noexcept { return directory_; }
  [[nodiscard]] Shard& shard(std::uint32_t index) noexcept { return *shards_[index]; }
  [[nodiscard]] std::uint32_t reactors() const noexcept {
    return static_cast<std::uint32_t>(environment_.loops.size());
  }
  [[nodiscard]] std::uint64_t next_session_number() noexcept {
    return sessions_made_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  [[nodiscard]] Log& log() noexcept { return environment_.log; }
  // On loop 0.
  [[nodiscard]] const MemoryGuard& memory() const noexcept { return memory_; }
  [[nodiscard]] HashSeed client_key_seed() const noexcept { return client_key_seed_; }

  // ---- for the gates, on the listeners' loop
  // Gives an accepted stream to the reactor with the fewest connections.
  void hand_out(std::unique_ptr<Stream> stream, ListenerGate& gate) noexcept;
  void refuse(const Stream& stream, ListenerGate& gate, std::string_view reason) noexcept;
  // One more was accepted: when they come faster than limits.rates.connect, all listeners pause until the next may.
  void pace_connects() noexcept;
  void pause_listeners(ListenerGate::Pause reason, bool on) noexcept;
  [[nodiscard]] std::uint32_t connections() const noexcept;
  // limits.max_connections, or what the limit of open files leaves.
  [[nodiscard]] std::uint32_t max_connections() const noexcept { return max_connections_; }
  [[nodiscard]] std::uint64_t connections_refused() const noexcept { return connections_refused_.value(); }
  // Any thread: what all reactors counted together.
  [[nodiscard]] std::uint64_t total(Counter Counters::*counter) const noexcept;
  [[nodiscard]] std::uint64_t total_drops(DropCause cause) const noexcept;

 private:
  void start_listeners();
  void on_next_connect_due() noexcept;
  void report_start(const Status& status);
  void stop_shards();
  void shard_stopped();

  const BrokerSettings& settings_;
  Components& components_;
  Environment environment_;
  HashSeed client_key_seed_;
  RouteTable routes_;
  RetainedStore retained_;
  ClientDirectory directory_;
  std::atomic<std::uint64_t> sessions_made_{0};
  std::uint32_t max_connections_;
  Counter connections_refused_;
  std::deque<ListenerGate> gates_;
  TokenBucket connect_bucket_;
  event::MemberTimer<Broker, &Broker::on_next_connect_due> connect_timer_{*this};
  std::vector<std::unique_ptr<Shard>> shards_;
  SysTree sys_;
  MemoryGuard memory_;

  // Touched on loop 0's thread alone, but for the calls before any loop runs.
  std::function<void(Status)> started_;
  std::uint32_t to_start_ = 0;
  Status start_failure_;
  std::function<void()> stopped_;
  std::uint32_t to_stop_ = 0;
};

}  // namespace mqloop::broker
