#include "core/broker/broker.h"

#include <sys/resource.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "core/broker/shard.h"
#include "core/event/post.h"

namespace mqloop::broker {

namespace {

// Descriptors that are not connections: loops, logs, files of plugins. A small limit is shared out.
constexpr rlim_t kReservedDescriptors = 100;
constexpr rlim_t kReservedShare = 4;

std::uint32_t connections_that_fit(std::uint32_t wanted) noexcept {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t reserved = std::min(kReservedDescriptors, files.rlim_cur / kReservedShare);
  return static_cast<std::uint32_t>(std::min<rlim_t>(wanted, files.rlim_cur - reserved));
}

using event::post;

}  // namespace

Broker::Broker(const BrokerSettings& settings, Components& components, Environment environment)
    : settings_(settings),
      components_(components),
      environment_(std::move(environment)),
      client_key_seed_(HashSeed::from(environment_.random)),
      routes_(static_cast<unsigned>(environment_.loops.size()), HashSeed::from(environment_.random)),
      retained_(static_cast<unsigned>(environment_.loops.size()), HashSeed::from(environment_.random)),
      directory_(HashSeed::from(environment_.random)),
      max_connections_(connections_that_fit(settings.limits.max_connections)),
      sys_(*this, client_key_seed_),
      memory_(*this) {
  for (ListenerComponent& component : components_.listeners) {
    gates_.emplace_back(*this, component, client_key_seed_);
  }
  for (event::Loop* loop : environment_.loops) {
    shards_.push_back(std::make_unique<Shard>(*this, *loop, HashSeed::from(environment_.random)));
  }
}

Broker::~Broker() = default;

Status Broker::open_publisher() { return components_.publisher->open(); }

Status Broker::open_listeners() {
  for (ListenerComponent& component : components_.listeners) {
    if (Status status = component.listener->open(); !status.ok()) return status;
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
    sys_.apply_settings();
    start_listeners();
    memory_.apply_settings();
  }
  std::exchange(started_, nullptr)(start_failure_);
}

void Broker::start_listeners() {
  for (ListenerGate& gate : gates_) {
    if (Status status = gate.listener().start(*environment_.loops[0], gate); !status.ok()) {
      start_failure_ = status;
      return;
    }
    environment_.log.write(LogLevel::kInfo, "listener", "listening",
                           {{"listener", gate.settings().name}, {"address", gate.listener().address()}});
  }
}

void Broker::stop(std::function<void()> stopped) {
  post(*environment_.loops[0], [this, stopped = std::move(stopped)]() mutable {
    stopped_ = std::move(stopped);
    to_stop_ = reactors();
    for (ListenerGate& gate : gates_) gate.listener().stop();
    connect_timer_.stop();
    sys_.stop();
    memory_.stop();
    // All wills are on their way before the first good-bye, so that whoever is still connected gets them.
    for (auto& shard : shards_) {
      post(shard->loop(), [this, &shard = *shard] {
        if (settings_.shutdown.publish_wills) shard.publish_wills();
        post(*environment_.loops[0], [this] { stop_shards(); });
      });
    }
  });
}

void Broker::stop_shards() {
  if (--to_stop_ != 0) return;
  to_stop_ = reactors();
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard] {
      shard.stop(settings_.shutdown.drain, [this] { post(*environment_.loops[0], [this] { shard_stopped(); }); });
    });
  }
}

void Broker::shard_stopped() {
  if (--to_stop_ != 0) return;
  components_.publisher->close();
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
  const double rate = settings_.limits.rates.connect;
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
  for (ListenerGate& gate : gates_) gate.pause(reason, on);
}

void Broker::refuse(const Stream& stream, ListenerGate& gate, std::string_view reason) noexcept {
  connections_refused_.add();
  if (!gate.refusal_log().may_log(environment_.loops[0]->now())) return;
  const std::uint64_t left_out = gate.refusal_log().take_left_out();
  const std::string count = std::to_string(left_out);
  const LogField fields[] = {
      {"from", stream.peer_address()}, {"listener", gate.settings().name}, {"reason", reason}, {"left_out", count}};
  environment_.log.write(LogLevel::kWarn, "listener", "refused", std::span(fields, left_out == 0 ? 3 : 4));
}

}  // namespace mqloop::broker
