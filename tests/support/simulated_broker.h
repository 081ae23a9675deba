// A whole broker on one thread: several simulated loops, a simulated network, time that moves when it is told to, and
// any Publisher. step() lets one thing happen, chosen by the seed: a turn of one loop, or bytes that travel. What a
// test owns and steps; nothing here is shared between threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mqloop/log.h>
#include <mqloop/publisher.h>

#include "core/broker/broker.h"
#include "core/broker/configuration.h"
#include "tests/support/simulated_loop.h"
#include "tests/support/simulated_network.h"
#include "tests/support/simulated_random.h"

namespace mqloop::sim {

// What publisher_memory is, without a shared object.
class PassthroughPublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {false, false, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& /*reactor*/, PublishSink& /*sink*/) override {
    return nullptr;
  }
  void close() noexcept override {}
};

// Says nothing, or everything on stderr; keeps what it is asked to keep.
class SimulatedLog final : public Log {
 public:
  SimulatedLog(const SimulatedClock& clock, bool talks) noexcept : clock_(clock), talks_(talks) {}
  [[nodiscard]] bool enabled(LogLevel level, std::string_view /*module*/) const noexcept override {
    return talks_ || (keeps_ && level <= LogLevel::kInfo);
  }
  void write(LogLevel level, std::string_view module, std::string_view event,
             std::span<const LogField> fields) noexcept override;
  using Log::write;
  // From here on lines up to `info` are kept: "module event key=value ...".
  void keep_lines() noexcept { keeps_ = true; }
  // Those that contain `part`.
  [[nodiscard]] std::vector<std::string> lines(std::string_view part = {}) const;

 private:
  const SimulatedClock& clock_;
  bool talks_;
  bool keeps_ = false;
  std::vector<std::string> lines_;
};

class SimulatedBroker {
 public:
  // The settings may be changed until start().
  SimulatedBroker(SimulatedRandom& random, std::uint32_t reactors, bool talks);
  ~SimulatedBroker();
  SimulatedBroker(const SimulatedBroker&) = delete;
  SimulatedBroker& operator=(const SimulatedBroker&) = delete;

  [[nodiscard]] broker::BrokerSettings& settings() noexcept { return configuration_->settings; }
  // The first chain, when there is one, is the listener's.
  [[nodiscard]] broker::Components& components() noexcept { return configuration_->components; }
  // What start() makes the broker of, chains and plugin instances included: to be filled in until then.
  [[nodiscard]] broker::BrokerConfiguration& configuration() noexcept { return *configuration_; }
  // An authenticator, an authorizer or both, next in the chain of the listener; before start(). It outlives the broker.
  // Without any the listener has no chain.
  void add_plugin(std::string name, Plugin& plugin);
  [[nodiscard]] broker::ListenerSettings& listener_settings() noexcept { return configuration_->settings.listeners[0]; }
  // `publisher` outlives the broker.
  void start(Publisher& publisher);
  // The broker alone holds what it was made of; settings() and configuration() are not to be used any more.
  void forget_configuration() { configuration_ = nullptr; }
  // The broker is gone from one moment to the next, with all that it had in memory, and so are its ends of all links.
  // start() makes another of the same settings.
  void crash();
  // Steps until the broker has stopped; false when it does not.
  [[nodiscard]] bool stop();

  // From here on this loop is slow: as long as anything else can happen it mostly does. No reactor has this number:
  // none is.
  void slow_down(std::uint32_t reactor) noexcept { slow_ = reactor; }
  // A reactor that is busy elsewhere: it has no turn, whatever waits for it.
  void halt(std::uint32_t reactor, bool on) { halted_[reactor] = on; }
  // One thing happens; false when there is nothing to do before time passes.
  bool step();
  // Steps while there is something to do; false when that never ends.
  bool settle();
  // Moves the clock, and lets every loop with a due timer have a turn before anything else.
  void pass(std::chrono::milliseconds time);
  // Passes time in small pieces until `done`; false when it takes longer than `most` of simulated time. For publishers
  // with threads of their own it also waits a little of real time with each piece: that of wait_really(), or less.
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds most = std::chrono::seconds(10));

  void wait_really(std::chrono::milliseconds time) noexcept { real_wait_ = time; }

  // Counts steps: a clock for the order of things.
  [[nodiscard]] std::uint64_t now() const noexcept { return steps_; }
  // Since this step every loop has had a whole turn, or had nothing to do: what was in the mailboxes then is done,
  // fan-outs too.
  [[nodiscard]] std::uint64_t settled_through();

  [[nodiscard]] MonotonicTime time() const noexcept { return clock_.now(); }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  [[nodiscard]] SimulatedNetwork& network() noexcept { return network_; }
  [[nodiscard]] SimulatedLog& log() noexcept { return log_; }
  [[nodiscard]] broker::Broker& broker() noexcept { return *broker_; }
  [[nodiscard]] std::uint32_t reactors() const noexcept { return static_cast<std::uint32_t>(loops_.size()); }

 private:
  void turn(SimulatedLoop& loop);

  SimulatedRandom& random_;
  SimulatedClock clock_;
  SimulatedLog log_;
  SimulatedNetwork network_;
  std::vector<std::unique_ptr<SimulatedLoop>> loops_;
  std::vector<bool> halted_;
  Ref<broker::BrokerConfiguration> configuration_ = broker::BrokerConfiguration::create();
  std::optional<broker::Broker> broker_;
  std::chrono::milliseconds drain_{0};
  std::chrono::milliseconds real_wait_{0};
  bool stopped_ = false;
  std::uint64_t steps_ = 1;
  std::vector<std::uint64_t> last_turn_;  // of each loop, as a step
  std::uint64_t settled_ = 0;
  std::uint32_t slow_ = ~std::uint32_t{0};
};

}  // namespace mqloop::sim
