// Broker: one whole broker, made of a configuration, running on loops that somebody else turns (mqloopd's threads, a
// test, a simulation). It owns what all its reactors share, and one Shard for each. No globals, no signals: several
// brokers in one process are an ordinary case.
//
//   Broker broker(configuration, environment);
//   broker.open_listeners();              // any thread, no loop runs yet
//   broker.open_publisher();
//   broker.start(told);                   // any thread; then turn the loops
//   broker.reconfigure(another, told);    // any thread, while it runs; one at a time
//   broker.stop(told);                    // any thread; when told, the loops may end
//   (destroy it when no loop runs any more, or on a loop's thread when there is but one)
//
// reconfigure() goes through these states, all of it decided on loop 0 (broker_reconfigure.cc):
//
//   state       meaning                                                     goes to
//   none        the configuration that runs is all there is                 preparing
//   preparing   every reactor starts the plugins of the new configuration;  switching; or none, when one of them or
//               new listeners are open but accept nobody yet                a listener failed: nothing has changed
//   switching   every reactor changes over at the end of a turn             none
//
// Reactors change over one by one, microseconds apart: each works by one configuration at a time, whole, but a message
// from one that has changed to one that has not is nothing unusual.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/export.h>
#include <mqloop/log.h>
#include <mqloop/status.h>

#include "core/base/seeded_hash.h"
#include "core/base/token_bucket.h"
#include "core/broker/client_directory.h"
#include "core/broker/components.h"
#include "core/broker/configuration.h"
#include "core/broker/counters.h"
#include "core/broker/hook_chain.h"
#include "core/broker/listener_gate.h"
#include "core/broker/memory_guard.h"
#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/settings.h"
#include "core/broker/sys_tree.h"
#include "core/event/loop.h"
#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class Shard;
struct Generation;

// All of it outlives the broker.
struct Environment {
  Random& random;
  Log& log;
  std::vector<event::Loop*> loops;  // 1 to 64; loops[i]->index() == i
  // Told, on loop 0's thread, that no reactor works by this configuration any more. Letting go of it stops and destroys
  // the plugins that nothing else keeps, which may take them a while: hand it to a thread that may wait. Without this
  // the broker lets go of it there and then.
  std::function<void(Ref<const BrokerConfiguration>)> retired = {};
};

class MQLOOP_API Broker {
 public:
  // Takes the listeners and the publisher over from `configuration`.
  Broker(Ref<BrokerConfiguration> configuration, Environment environment);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Each once, in any order, before start(). The message of a failure says which and why.
  [[nodiscard]] Status open_listeners();
  // Brings back what the publisher kept of an earlier run, which may take a while when that is much.
  [[nodiscard]] Status open_publisher();
  // Starts every shard on its loop, then the listeners on loop 0. `started` is called on loop 0's thread, with the
  // first failure when there was one.
  void start(std::function<void(Status)> started);
  // Works by `next` from now on: the settings, the plugin instances and their chains, the listeners. All of it or, with
  // a failure told to `done`, nothing. `done` is called on loop 0's thread when every reactor has changed over. Any
  // thread, after start() has reported success and before stop(); not again before `done`.
  //
  // A listener in `next` that has its TransportListener, opened by the caller, is a new one, and replaces the one of
  // the same name where there is one. One without goes on under its name. Those that `next` does not name are closed.
  // Connections stay and are judged by the new chain of their listener, but for those of a listener that is closed, or
  // replaced by one of another transport: they are closed (0x98). The publisher and node.threads stay what they are.
  // A plugin instance of the same name and the same Plugin object goes on; any other is started.
  void reconfigure(Ref<BrokerConfiguration> next, std::function<void(const Status&)> done);
  // Stops accepting, says good-bye, completes what the publisher has, ends every shard. `stopped` is called on loop 0's
  // thread as the last thing that the broker does there. A reconfigure() under way comes to its end first.
  void stop(std::function<void()> stopped);
  // Of each open listener its name and its address. On loop 0's thread.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> addresses() const;
  // The open listener of this name; null: there is none. It goes with the next reconfigure(). On loop 0's thread.
  [[nodiscard]] TransportListener* listener_named(std::string_view name) noexcept;

  // ---- for the shards
  // The first; after start(), loop 0 alone knows the current one, and each shard its own.
  [[nodiscard]] const Ref<BrokerConfiguration>& configuration() const noexcept { return configuration_; }
  [[nodiscard]] const std::vector<ListenerView>& listener_views() const noexcept { return views_; }
  [[nodiscard]] Publisher& publisher() noexcept { return *publisher_; }
  [[nodiscard]] RouteTable& routes() noexcept { return routes_; }
  [[nodiscard]] RetainedStore& retained() noexcept { return retained_; }
  // Of a filter or topic that begins with $SYS: the broker's own, where nobody else's are.
  [[nodiscard]] RetainedStore& own_values() noexcept { return sys_.values(); }
  [[nodiscard]] ClientDirectory& directory() noexcept { return directory_; }
  [[nodiscard]] Shard& shard(std::uint32_t index) noexcept { return *shards_[index]; }
  [[nodiscard]] std::uint32_t reactors() const noexcept {
    return static_cast<std::uint32_t>(environment_.loops.size());
  }
  // Before start().
  void start_sessions_above(std::uint64_t number) noexcept { sessions_made_.store(number, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t next_session_number() noexcept {
    return sessions_made_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  [[nodiscard]] Log& log() noexcept { return environment_.log; }
  // On loop 0.
  [[nodiscard]] const MemoryGuard& memory() const noexcept { return memory_; }
  [[nodiscard]] HashSeed client_key_seed() const noexcept { return client_key_seed_; }
  // Any thread: one reactor has let go of this configuration for good.
  void let_go(std::unique_ptr<Generation> generation);

  // ---- loop 0
  [[nodiscard]] const BrokerSettings& settings() const noexcept { return configuration_->settings; }
  // The plugin instances of the configuration that every reactor works by, or did until a change that is under way, and
  // what one of them did on all reactors.
  [[nodiscard]] const std::vector<PluginInstance>& instances() const noexcept { return counted_->components.instances; }
  [[nodiscard]] std::uint64_t total(const PluginInstance& instance, Counter HookStatistics::*counter) const noexcept;

  // ---- for the gates, on the listeners' loop
  // Gives an accepted stream to the reactor with the fewest connections.
  void hand_out(std::unique_ptr<Stream> stream, ListenerGate& gate) noexcept;
  void refuse(std::string_view peer_address, ListenerGate& gate, std::string_view reason) noexcept;
  // One more was accepted: when they come faster than limits.rates.connect, all listeners pause until the next may.
  void pace_connects() noexcept;
  void pause_listeners(ListenerGate::Pause reason, bool on) noexcept;
  [[nodiscard]] std::uint32_t connections() const noexcept;
  // Those that came by the listener of this name, also before it was opened again.
  [[nodiscard]] std::uint32_t connections_by(std::string_view listener) const noexcept;
  // limits.max_connections, or what the limit of open files leaves.
  [[nodiscard]] std::uint32_t max_connections() const noexcept { return max_connections_; }
  [[nodiscard]] std::uint64_t connections_refused() const noexcept { return connections_refused_.value(); }
  // Any thread: what all reactors counted together.
  [[nodiscard]] std::uint64_t total(Counter Counters::*counter) const noexcept;
  [[nodiscard]] std::uint64_t total_drops(DropCause cause) const noexcept;
  // On loop 0: each open listener with its name.
  [[nodiscard]] std::vector<std::pair<std::string, const TransportListener*>> listeners() const;

 private:
  struct Reconfiguration {
    Ref<BrokerConfiguration> next;
    std::function<void(const Status&)> done;
    Status failure;
    std::uint32_t to_report = 0;                        // reactors
    std::vector<std::unique_ptr<ListenerGate>> opened;  // not among gates_ yet
    std::vector<std::uint32_t> new_slots;               // where they are then
    std::vector<const HookChains*> hooks;               // by reactor
  };
  struct Retiring {
    Ref<const BrokerConfiguration> configuration;
    std::uint32_t held_by;                                 // reactors
    std::vector<std::unique_ptr<Generation>> generations;  // of those that have let go
  };

  void start_listeners();
  void on_next_connect_due() noexcept;
  void report_start(const Status& status);
  void begin_stop(std::function<void()> stopped);
  void stop_shards();
  void shard_stopped();

  // broker_reconfigure.cc
  void begin_reconfigure(Ref<BrokerConfiguration> next, std::function<void(const Status&)> done);
  [[nodiscard]] Status start_new_listeners();
  void prepared(const Status& status);
  void switch_over();
  void switched(std::uint32_t reactor, const HookChains* hooks);
  void finish_reconfigure();
  void install_gates(std::vector<std::unique_ptr<ListenerGate>> opened);
  void close_gate(ListenerGate& gate);
  [[nodiscard]] ListenerGate* open_gate(std::string_view name) noexcept;
  [[nodiscard]] std::uint32_t free_slot();
  void sweep_gates() noexcept;

  // Touched on loop 0's thread alone, but for the calls before any loop runs.
  Ref<BrokerConfiguration> configuration_;
  Environment environment_;
  Publisher* publisher_;
  HashSeed client_key_seed_;
  RouteTable routes_;
  RetainedStore retained_;
  ClientDirectory directory_;
  std::atomic<std::uint64_t> sessions_made_{0};
  std::uint32_t max_connections_;
  Counter connections_refused_;
  std::vector<std::unique_ptr<ListenerGate>> gates_;  // by slot; null: free
  std::vector<ListenerView> views_;                   // by slot
  TokenBucket connect_bucket_;
  event::MemberTimer<Broker, &Broker::on_next_connect_due> connect_timer_{*this};
  std::vector<std::unique_ptr<Shard>> shards_;
  SysTree sys_;
  MemoryGuard memory_;

  // For figures: the configuration and the reactors' hooks of which the shards let go only through let_go().
  Ref<const BrokerConfiguration> counted_;
  std::vector<const HookChains*> hooks_;  // by reactor

  std::unique_ptr<Reconfiguration> reconfiguration_;
  std::vector<Retiring> retiring_;
  event::MemberTimer<Broker, &Broker::sweep_gates> sweep_timer_{*this};

  std::function<void(Status)> started_;
  std::uint32_t to_start_ = 0;
  Status start_failure_;
  std::function<void()> stopped_;
  std::function<void()> stop_when_reconfigured_;
  std::uint32_t to_stop_ = 0;
};

}  // namespace mqloop::broker
