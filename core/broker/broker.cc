#include "core/broker/broker.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "core/broker/broker_recovery.h"
#include "core/broker/connection_room.h"
#include "core/broker/shard.h"
#include "core/event/post.h"

namespace mqloop::broker {

namespace {

using event::post;

}  // namespace

Broker::Broker(Ref<BrokerConfiguration> configuration, Environment environment)
    : configuration_(std::move(configuration)),
      environment_(std::move(environment)),
      publisher_(configuration_->components.publisher),
      client_key_seed_(HashSeed::from(environment_.random)),
      routes_(static_cast<unsigned>(environment_.loops.size()), HashSeed::from(environment_.random)),
      retained_(static_cast<unsigned>(environment_.loops.size()), HashSeed::from(environment_.random)),
      directory_(HashSeed::from(environment_.random)),
      max_connections_(connections_that_fit(configuration_->settings.limits.max_connections)),
      sys_(*this, client_key_seed_),
      memory_(*this),
      counted_(configuration_) {
  for (ListenerComponent& component : configuration_->components.listeners) {
    gates_.push_back(std::make_unique<ListenerGate>(
        *this, *environment_.loops[0], static_cast<std::uint32_t>(gates_.size()), component, client_key_seed_));
    views_.push_back({component.settings, component.chain, &limits_of(settings(), *component.settings)});
  }
  for (event::Loop* loop : environment_.loops) {
    shards_.push_back(std::make_unique<Shard>(*this, *loop, HashSeed::from(environment_.random)));
    hooks_.push_back(&shards_.back()->hooks());
  }
}

Broker::~Broker() = default;

Status Broker::open_publisher() {
  if (Status status = publisher_->open(environment_.log); !status.ok()) return status;
  BrokerRecovery recovery(*this, *environment_.loops[0]);
  return publisher_->recover(recovery);
}

Status Broker::open_listeners() {
  for (const auto& gate : gates_) {
    if (Status status = gate->listener().open(); !status.ok()) return status;
  }
  return ok();
}

void Broker::start(std::function<void(Status)> started) {
  started_ = std::move(started);
  to_start_ = reactors();
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard] {
      // Reported to loop 0, where everything that concerns the whole broker is decided.
      post(*environment_.loops[0], [this, status = shard.start()] { report_start(status); });
    });
  }
}

void Broker::report_start(const Status& status) {
  if (!status.ok() && start_failure_.ok()) start_failure_ = status;
  if (--to_start_ != 0) return;
  if (start_failure_.ok()) {
    for (auto& shard : shards_) {
      post(shard->loop(), [&shard = *shard] { shard.begin(); });
    }
    sys_.apply_settings();
    start_listeners();
    memory_.apply_settings();
  }
  std::exchange(started_, nullptr)(start_failure_);
}

void Broker::start_listeners() {
  for (const auto& gate : gates_) {
    if (Status status = gate->listener().start(*environment_.loops[0], *gate); !status.ok()) {
      start_failure_ = status;
      return;
    }
    environment_.log.write(LogLevel::kInfo, "listener", "listening",
                           {{"listener", gate->name()}, {"address", gate->listener().address()}});
  }
}

void Broker::stop(std::function<void()> stopped) {
  post(*environment_.loops[0], [this, stopped = std::move(stopped)]() mutable { begin_stop(std::move(stopped)); });
}

void Broker::begin_stop(std::function<void()> stopped) {
  if (reconfiguration_) {
    stop_when_reconfigured_ = std::move(stopped);
    return;
  }
  stopped_ = std::move(stopped);
  to_stop_ = reactors();
  for (const auto& gate : gates_) {
    if (gate && gate->is_open()) gate->stop();
  }
  connect_timer_.stop();
  sys_.stop();
  memory_.stop();
  // All wills are on their way before the first good-bye, so that whoever is still connected gets them.
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard] {
      if (shard.settings().shutdown.publish_wills) shard.publish_wills();
      post(*environment_.loops[0], [this] { stop_shards(); });
    });
  }
}

std::vector<std::pair<std::string, std::string>> Broker::addresses() const {
  std::vector<std::pair<std::string, std::string>> open;
  for (const auto& [name, listener] : listeners()) open.emplace_back(name, listener->address());
  return open;
}

std::vector<std::pair<std::string, const TransportListener*>> Broker::listeners() const {
  std::vector<std::pair<std::string, const TransportListener*>> open;
  for (const auto& gate : gates_) {
    if (gate && gate->is_open()) open.emplace_back(gate->name(), &gate->listener());
  }
  return open;
}

TransportListener* Broker::listener_named(std::string_view name) noexcept {
  ListenerGate* const gate = open_gate(name);
  return gate == nullptr ? nullptr : &gate->listener();
}

void Broker::stop_shards() {
  if (--to_stop_ != 0) return;
  to_stop_ = reactors();
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard] {
      shard.stop(shard.settings().shutdown.drain,
                 [this] { post(*environment_.loops[0], [this] { shard_stopped(); }); });
    });
  }
}

void Broker::shard_stopped() {
  if (--to_stop_ != 0) return;
  sweep_timer_.stop();
  publisher_->close();
  std::exchange(stopped_, nullptr)();
}

std::uint32_t Broker::connections() const noexcept {
  std::uint32_t sum = 0;
  for (const auto& shard : shards_) sum += shard->load();
  return sum;
}

std::uint64_t Broker::total(Counter Counters::*counter) const noexcept {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += (shard->counters().*counter).value();
  return sum;
}

std::uint64_t Broker::total_drops(DropCause cause) const noexcept {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->counters().drops[static_cast<std::size_t>(cause)].value();
  return sum;
}

std::uint64_t Broker::total(const PluginInstance& instance, Counter HookStatistics::*counter) const noexcept {
  std::uint64_t sum = 0;
  for (const HookChains* hooks : hooks_) sum += (hooks->statistics(instance.index).*counter).value();
  return sum;
}

std::uint32_t Broker::connections_by(std::string_view listener) const noexcept {
  std::uint32_t sum = 0;
  for (const auto& gate : gates_) {
    if (gate && gate->name() == listener) sum += gate->connections();
  }
  return sum;
}

void Broker::hand_out(std::unique_ptr<Stream> stream, ListenerGate& gate) noexcept {
  const auto least = std::min_element(shards_.begin(), shards_.end(),
                                      [](const auto& a, const auto& b) { return a->load() < b->load(); });
  Shard& target = **least;
  target.expect_connection();
  if (target.index() == 0) {
    target.adopt(std::move(stream), gate);
  } else {
    target.post_stream(std::move(stream), gate);
  }
}

void Broker::pace_connects() noexcept {
  const double rate = settings().limits.rates.connect;
  if (rate == 0) return;
  event::Loop& loop = *environment_.loops[0];
  connect_bucket_.take(rate, 1, loop.now());
  const std::chrono::milliseconds wait = connect_bucket_.wait(rate, loop.now());
  if (wait == std::chrono::milliseconds::zero()) return;
  pause_listeners(ListenerGate::Pause::kRate, true);
  loop.timers().start(connect_timer_, loop.now() + wait);
}

void Broker::on_next_connect_due() noexcept { pause_listeners(ListenerGate::Pause::kRate, false); }

void Broker::pause_listeners(ListenerGate::Pause reason, bool on) noexcept {
  for (const auto& gate : gates_) {
    if (gate && gate->is_open()) gate->pause(reason, on);
  }
}

void Broker::refuse(std::string_view peer_address, ListenerGate& gate, std::string_view reason) noexcept {
  connections_refused_.add();
  if (!gate.refusal_log().may_log(environment_.loops[0]->now())) return;
  const std::uint64_t left_out = gate.refusal_log().take_left_out();
  const std::string count = std::to_string(left_out);
  const LogField fields[] = {
      {"from", peer_address}, {"listener", gate.name()}, {"reason", reason}, {"left_out", count}};
  environment_.log.write(LogLevel::kWarn, "listener", "refused", std::span(fields, left_out == 0 ? 3 : 4));
}

}  // namespace mqloop::broker
