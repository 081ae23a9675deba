// Another configuration while the broker runs; the states are in broker.h.
#include <algorithm>
#include <utility>

#include "core/broker/broker.h"
#include "core/broker/connection_room.h"
#include "core/broker/shard.h"
#include "core/event/post.h"

namespace mqloop::broker {

namespace {

using event::post;

// How often to look whether the last connection of a closed listener is gone.
constexpr std::chrono::milliseconds kGateSweep{500};

}  // namespace

void Broker::reconfigure(Ref<BrokerConfiguration> next, std::function<void(const Status&)> done) {
  post(*environment_.loops[0], [this, next = std::move(next), done = std::move(done)]() mutable {
    begin_reconfigure(std::move(next), std::move(done));
  });
}

void Broker::begin_reconfigure(Ref<BrokerConfiguration> next, std::function<void(const Status&)> done) {
  if (stopped_) return done({StatusCode::kUnavailable, "the broker stops"});
  if (reconfiguration_) return done({StatusCode::kUnavailable, "another reconfiguration is under way"});
  reconfiguration_ = std::make_unique<Reconfiguration>();
  reconfiguration_->next = std::move(next);
  reconfiguration_->done = std::move(done);
  reconfiguration_->failure = start_new_listeners();
  if (!reconfiguration_->failure.ok()) return finish_reconfigure();
  reconfiguration_->to_report = reactors();
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard] {
      post(*environment_.loops[0], [this, status = shard.prepare(reconfiguration_->next)] { prepared(status); });
    });
  }
}

// They are there, so that nothing can fail any more, but accept nobody before every reactor knows them.
Status Broker::start_new_listeners() {
  for (ListenerComponent& component : reconfiguration_->next->components.listeners) {
    if (!component.listener) {
      if (open_gate(component.settings->name) != nullptr) continue;
      return invalid_argument("there is no listener '" + component.settings->name + "' that could go on");
    }
    auto gate = std::make_unique<ListenerGate>(*this, *environment_.loops[0], free_slot(), component, client_key_seed_);
    if (Status status = gate->listener().start(*environment_.loops[0], *gate); !status.ok()) return status;
    gate->pause(ListenerGate::Pause::kOpening, true);
    gate->pause(ListenerGate::Pause::kMemory, memory_.stage() >= MemoryStage::kStopAccepting);
    gate->pause(ListenerGate::Pause::kRate, connect_timer_.armed());
    reconfiguration_->opened.push_back(std::move(gate));
  }
  return ok();
}

void Broker::prepared(const Status& status) {
  if (!status.ok() && reconfiguration_->failure.ok()) reconfiguration_->failure = status;
  if (--reconfiguration_->to_report == 0) switch_over();
}

void Broker::switch_over() {
  reconfiguration_->to_report = reactors();
  reconfiguration_->hooks.resize(reactors());
  if (!reconfiguration_->failure.ok()) {
    for (auto& shard : shards_) {
      post(shard->loop(), [this, &shard = *shard] {
        shard.discard_prepared();
        post(*environment_.loops[0], [this, &shard] { switched(shard.index(), nullptr); });
      });
    }
    return;
  }
  retiring_.push_back({configuration_, reactors(), {}});
  configuration_ = reconfiguration_->next;
  max_connections_ = connections_that_fit(configuration_->settings.limits.max_connections);
  install_gates(std::exchange(reconfiguration_->opened, {}));
  for (auto& shard : shards_) {
    post(shard->loop(), [this, &shard = *shard, views = views_]() mutable {
      shard.switch_to_prepared(std::move(views));
      post(*environment_.loops[0], [this, &shard, hooks = &shard.hooks()] { switched(shard.index(), hooks); });
    });
  }
}

// Which listeners there are, and what the configuration says of each. Those that are gone accept nobody from here on.
void Broker::install_gates(std::vector<std::unique_ptr<ListenerGate>> opened) {
  for (const auto& gate : opened) {
    if (ListenerGate* before = open_gate(gate->name())) close_gate(*before);
  }
  for (auto& gate : opened) {
    const std::uint32_t slot = gate->slot();
    reconfiguration_->new_slots.push_back(slot);
    if (slot >= gates_.size()) gates_.resize(slot + 1);
    gates_[slot] = std::move(gate);
  }
  views_.assign(gates_.size(), {nullptr, nullptr, &settings().limits});
  for (const auto& gate : gates_) {
    if (!gate) continue;
    auto& listeners = reconfiguration_->next->components.listeners;
    const auto found = std::find_if(listeners.begin(), listeners.end(),
                                    [&](const auto& listener) { return listener.settings->name == gate->name(); });
    if (found == listeners.end()) {
      if (gate->is_open()) close_gate(*gate);
      continue;
    }
    if (gate->is_open()) gate->take_settings(*found->settings);
    if (gate->is_open() && found->renewal) gate->listener().renew(*std::exchange(found->renewal, nullptr));
    if (gate->is_open() || gate->transport() == found->transport) {
      views_[gate->slot()] = {found->settings, found->chain, &limits_of(settings(), *found->settings)};
    }
  }
}

void Broker::close_gate(ListenerGate& gate) {
  environment_.log.write(LogLevel::kInfo, "listener", "closed",
                         {{"listener", gate.name()}, {"address", gate.listener().address()}});
  gate.close();
}

void Broker::switched(std::uint32_t reactor, const HookChains* hooks) {
  reconfiguration_->hooks[reactor] = hooks;
  if (--reconfiguration_->to_report == 0) finish_reconfigure();
}

void Broker::finish_reconfigure() {
  const std::unique_ptr<Reconfiguration> done = std::move(reconfiguration_);
  if (done->failure.ok()) {
    for (const std::uint32_t slot : done->new_slots) {
      TransportListener& listener = gates_[slot]->listener();
      gates_[slot]->pause(ListenerGate::Pause::kOpening, false);
      environment_.log.write(LogLevel::kInfo, "listener", "listening",
                             {{"listener", gates_[slot]->name()}, {"address", listener.address()}});
    }
    sweep_gates();
    counted_ = configuration_;
    hooks_ = done->hooks;
    sys_.apply_settings();
    memory_.apply_settings();
  }
  done->opened.clear();
  done->done(done->failure);
  if (stop_when_reconfigured_) begin_stop(std::exchange(stop_when_reconfigured_, nullptr));
}

ListenerGate* Broker::open_gate(std::string_view name) noexcept {
  const auto found = std::find_if(gates_.begin(), gates_.end(),
                                  [name](const auto& gate) { return gate && gate->is_open() && gate->name() == name; });
  return found == gates_.end() ? nullptr : found->get();
}

// Neither in use nor promised to a gate that is being opened.
std::uint32_t Broker::free_slot() {
  std::uint32_t slot = 0;
  const auto is_taken = [this](std::uint32_t wanted) {
    return (wanted < gates_.size() && gates_[wanted]) ||
           std::any_of(reconfiguration_->opened.begin(), reconfiguration_->opened.end(),
                       [wanted](const auto& gate) { return gate->slot() == wanted; });
  };
  while (is_taken(slot)) ++slot;
  return slot;
}

// A closed gate goes when its last connection has gone: nobody can reach it then.
void Broker::sweep_gates() noexcept {
  bool more = false;
  for (auto& gate : gates_) {
    if (!gate || gate->is_open()) continue;
    if (gate->connections() == 0 && !reconfiguration_) {
      gate.reset();
    } else {
      more = true;
    }
  }
  event::Loop& loop = *environment_.loops[0];
  if (more) loop.timers().start(sweep_timer_, loop.now() + kGateSweep);
}

// They go together, when every reactor has let go: until then figures may still be read of their hooks.
void Broker::let_go(std::unique_ptr<Generation> generation) {
  post(*environment_.loops[0], [this, generation = std::move(generation)]() mutable {
    const auto found = std::find_if(retiring_.begin(), retiring_.end(), [&](const Retiring& retiring) {
      return retiring.configuration == generation->configuration;
    });
    found->generations.push_back(std::move(generation));
    if (--found->held_by != 0) return;
    Ref<const BrokerConfiguration> retired = std::move(found->configuration);
    retiring_.erase(found);
    if (environment_.retired) environment_.retired(std::move(retired));
  });
}

}  // namespace mqloop::broker
