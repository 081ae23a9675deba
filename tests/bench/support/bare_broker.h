// A whole broker on one loop, without threads, descriptors or chance, for counting what it does: only turns of the loop
// are counted (see meter.h), and of them neither reading nor writing, which is what the system does. Time stands still.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <mqloop/log.h>
#include <mqloop/transport.h>

#include "core/broker/broker.h"
#include "core/broker/configuration.h"
#include "core/event/loop.h"
#include "tests/bench/support/quiet_log.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_loop.h"
#include "tests/support/simulated_random.h"

namespace mqloop::bench {

class BareClient;

class BareLoop final : public event::Loop {
 public:
  BareLoop(Clock& clock, Log& log) : Loop({.clock = clock, .log = log}) {}

  // What the next turn begins with.
  void readable(BareClient& client) { readable_.push_back(&client); }
  void accepted(StreamSink& sink, std::unique_ptr<Stream> stream) { accepted_.emplace_back(&sink, std::move(stream)); }
  [[nodiscard]] bool is_ready() noexcept;
  void turn() noexcept;

 private:
  void wake() noexcept override { woken_ = true; }
  void turn_begun() const noexcept override { begun_ = true; }

  bool woken_ = false;
  mutable bool begun_ = false;
  std::vector<BareClient*> readable_;
  std::vector<BareClient*> handled_;
  std::vector<std::pair<StreamSink*, std::unique_ptr<Stream>>> accepted_;
};

class BareBroker {
 public:
  BareBroker();
  ~BareBroker();
  BareBroker(const BareBroker&) = delete;
  BareBroker& operator=(const BareBroker&) = delete;

  // Until start().
  [[nodiscard]] broker::BrokerSettings& settings() noexcept { return configuration_->settings; }
  void start();
  // With another than a publisher that keeps nothing.
  void start(Publisher& publisher);
  // One turn, and the clients' answers.
  void step();
  // Turns until there is nothing to do, the clients answering in between.
  void settle();

  [[nodiscard]] BareLoop& loop() noexcept { return loop_; }
  [[nodiscard]] broker::Broker& broker() noexcept { return *broker_; }

  // ---- for the clients
  void connect(BareClient& client);
  void has_output(BareClient& client) { answering_.push_back(&client); }

 private:
  class Listener;

  sim::SimulatedRandom random_{1};
  sim::SimulatedClock clock_;
  QuietLog log_;
  sim::PassthroughPublisher publisher_;
  BareLoop loop_{clock_, log_};
  Listener* listener_ = nullptr;
  Ref<broker::BrokerConfiguration> configuration_ = broker::BrokerConfiguration::create();
  std::optional<broker::Broker> broker_;
  std::vector<BareClient*> answering_;
};

}  // namespace mqloop::bench
