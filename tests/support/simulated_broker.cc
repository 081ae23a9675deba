#include "tests/support/simulated_broker.h"

#include <algorithm>
#include <cstdio>
#include <thread>
#include <utility>

#include "core/broker/shard.h"

namespace mqloop::sim {

namespace {

// Steps without time passing after which something is taken to go round in circles.
constexpr int kEndless = 2'000'000;

}  // namespace

void SimulatedLog::write(LogLevel level, std::string_view module, std::string_view event,
                         std::span<const LogField> fields) noexcept {
  if (!enabled(level, module)) return;
  std::string line(module);
  line.append(" ").append(event);
  for (const LogField& field : fields) line.append(" ").append(field.key).append("=").append(field.value);
  if (talks_)
    std::fprintf(stderr, "  %lld %s\n", static_cast<long long>(clock_.now().time_since_epoch().count()), line.c_str());
  if (keeps_) lines_.push_back(std::move(line));
}

std::vector<std::string> SimulatedLog::lines(std::string_view part) const {
  std::vector<std::string> found;
  for (const std::string& line : lines_) {
    if (line.find(part) != std::string::npos) found.push_back(line);
  }
  return found;
}

SimulatedBroker::SimulatedBroker(SimulatedRandom& random, std::uint32_t reactors, bool talks)
    : random_(random), log_(clock_, talks), network_(random), halted_(reactors), last_turn_(reactors, 0) {
  for (std::uint32_t index = 0; index != reactors; ++index) {
    loops_.push_back(std::make_unique<SimulatedLoop>(index, clock_, log_, random_));
  }
}

SimulatedBroker::~SimulatedBroker() {
  // Mail may hold connections of the broker, and the broker's connections hold streams of the network.
  broker_.reset();
  if (configuration_) configuration_->components.listeners.clear();
  loops_.clear();
}

void SimulatedBroker::add_plugin(std::string name, Plugin& plugin) {
  broker::Components& components = configuration_->components;
  constexpr std::size_t kMostPlugins = 8;  // the chain points at them
  components.instances.reserve(kMostPlugins);
  broker::PluginInstance& instance = components.instances.emplace_back();
  instance.name = std::move(name);
  instance.plugin = &plugin;
  instance.authenticator = plugin.authenticator();
  instance.authorizer = plugin.authorizer();
  instance.index = static_cast<std::uint32_t>(components.instances.size() - 1);
  if (components.chains.empty()) components.chains.emplace_back().name = "default";
  broker::Chain& chain = components.chains.front();
  if (instance.authenticator != nullptr) chain.authenticate.push_back(&instance);
  if (instance.authorizer != nullptr) chain.authorize.push_back(&instance);
  settings().listeners[0].anonymous = broker::Anonymous::kAlways;
}

void SimulatedBroker::start(Publisher& publisher) {
  drain_ = settings().shutdown.drain;
  broker::Components& components = configuration_->components;
  components.publisher = &publisher;
  broker::ListenerComponent listener;
  listener.settings = &settings().listeners[0];
  if (!components.chains.empty()) listener.chain = &components.chains[0];
  listener.listener = network_.make_listener();
  components.listeners.push_back(std::move(listener));
  broker::Environment environment{random_, log_, {}};
  for (const auto& loop : loops_) environment.loops.push_back(loop.get());
  broker_.emplace(configuration_, std::move(environment));
  (void)broker_->open_listeners();
  (void)broker_->open_publisher();
  bool started = false;
  broker_->start([&started](const Status& status) { started = status.ok(); });
  while (!started && step()) {
  }
}

void SimulatedBroker::crash() {
  broker_.reset();
  configuration_->components.listeners.clear();
  for (auto& loop : loops_) {
    const std::uint32_t index = loop->index();
    loop.reset();
    loop = std::make_unique<SimulatedLoop>(index, clock_, log_, random_);
    last_turn_[index] = steps_;
  }
}

bool SimulatedBroker::stop() {
  if (stopped_) return true;
  broker_->stop([this] { stopped_ = true; });
  return run_until([this] { return stopped_; }, drain_ + std::chrono::seconds(5)) && settle();
}

void SimulatedBroker::turn(SimulatedLoop& loop) {
  ++steps_;
  loop.turn();
  last_turn_[loop.index()] = steps_;
}

bool SimulatedBroker::step() {
  std::vector<SimulatedLoop*> ready;
  for (const auto& loop : loops_) {
    if (!halted_[loop->index()] && loop->is_ready()) ready.push_back(loop.get());
  }
  const std::vector<LinkId> links = network_.links_under_way();
  if (ready.empty() && links.empty()) return false;
  if (slow_ < loops_.size() && ready.size() + links.size() > 1 && !random_.chance(5)) {
    std::erase(ready, loops_[slow_].get());
  }
  if (links.empty() || (!ready.empty() && random_.chance(60))) {
    turn(*random_.pick(ready));
  } else {
    ++steps_;
    network_.deliver_some(random_.pick(links));
  }
  return true;
}

bool SimulatedBroker::settle() {
  for (int i = 0; i != kEndless; ++i) {
    if (!step()) return true;
  }
  return false;
}

void SimulatedBroker::pass(std::chrono::milliseconds time) {
  clock_.pass(time);
  std::vector<SimulatedLoop*> due;
  for (const auto& loop : loops_) {
    if (!halted_[loop->index()] && loop->has_due_timers()) due.push_back(loop.get());
  }
  random_.shuffle(due);
  for (SimulatedLoop* loop : due) turn(*loop);
}

bool SimulatedBroker::run_until(const std::function<bool()>& done, std::chrono::milliseconds most) {
  const MonotonicTime deadline = clock_.now() + most;
  while (!done()) {
    if (step()) continue;
    if (clock_.now() >= deadline) return false;
    // A publisher with threads of its own needs real time; one without loses little by it.
    if (real_wait_.count() == 0) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(real_wait_);
    }
    pass(std::chrono::milliseconds(5));
  }
  return true;
}

std::uint64_t SimulatedBroker::settled_through() {
  std::uint64_t through = steps_;
  for (const auto& loop : loops_) {
    if (loop->is_ready()) through = std::min(through, last_turn_[loop->index()] - 1);
    if (!broker_->shard(loop->index()).fan_outs().empty()) return settled_;
  }
  return settled_ = std::max(settled_, through);
}

}  // namespace mqloop::sim
