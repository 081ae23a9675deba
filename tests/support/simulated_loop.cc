#include "tests/support/simulated_loop.h"

#include <algorithm>
#include <utility>

namespace mqloop::sim {

SimulatedLoop::SimulatedLoop(std::uint32_t index, SimulatedClock& clock, Log& log, SimulatedRandom& random)
    : Loop(event::LoopOptions{.index = index, .clock = clock, .log = log}), random_(random) {}

void SimulatedLoop::watch(EventSource& source) { sources_.push_back(&source); }

void SimulatedLoop::forget(const EventSource& source) noexcept { std::erase(sources_, &source); }

EventSource* SimulatedLoop::find(std::uint64_t id) noexcept {
  for (EventSource* source : sources_) {
    if (source->id() == id) return source;
  }
  return nullptr;
}

bool SimulatedLoop::is_ready() noexcept {
  if (woken_.load(std::memory_order_acquire) || begun_ || turn_requested() || !work_.empty() || has_due_timers()) {
    return true;
  }
  return std::any_of(sources_.begin(), sources_.end(), [](const EventSource* source) { return source->is_ready(); });
}

void SimulatedLoop::turn() noexcept {
  forget_time();
  woken_.store(false, std::memory_order_release);
  std::vector<std::uint64_t> ready;
  for (const EventSource* source : sources_) {
    if (source->is_ready()) ready.push_back(source->id());
  }
  random_.shuffle(ready);
  // A system hands out events in batches: what is left over is handled in the next turn.
  if (ready.size() > 1 && random_.chance(30)) ready.resize(random_.between(1, ready.size()));
  for (const std::uint64_t id : ready) {
    if (EventSource* source = find(id); source != nullptr && source->is_ready()) source->handle();
  }
  for (const Work& work : std::exchange(work_, {})) {
    work.work(work.argument);
    post(work.done, work.argument);
  }
  run_turn();
  begun_ = false;
}

bool SimulatedLoop::submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept {
  work_.push_back({work, done, argument});
  return true;
}

}  // namespace mqloop::sim
