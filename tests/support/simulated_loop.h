// The reactor of a simulation: a Loop without descriptors or threads, whose time stands still until the simulation
// moves it. What a reactor would wait for (streams, listeners) registers here as an EventSource; whoever runs the
// simulation calls turn() when something is ready, so several loops share one thread in whatever order it likes. Only
// wake() and post() may come from other threads (those of a publisher that has some).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include <mqloop/clock.h>

#include "core/event/loop.h"
#include "tests/support/simulated_random.h"

namespace mqloop::sim {

class SimulatedClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const noexcept override { return now_; }
  [[nodiscard]] WallTime wall_now() const noexcept override {
    return WallTime(std::chrono::milliseconds(1'700'000'000'000) + now_.time_since_epoch());
  }
  void pass(std::chrono::milliseconds time) noexcept { now_ += time; }

 private:
  MonotonicTime now_{std::chrono::hours(1)};
};

// What stands for a descriptor that a loop watches. `id` is never used twice.
class EventSource {
 public:
  explicit EventSource(std::uint64_t id) noexcept : id_(id) {}
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] virtual bool is_ready() const noexcept = 0;
  // May destroy the source, and others.
  virtual void handle() noexcept = 0;

 protected:
  ~EventSource() = default;

 private:
  std::uint64_t id_;
};

class SimulatedLoop final : public event::Loop {
 public:
  SimulatedLoop(std::uint32_t index, SimulatedClock& clock, Log& log, SimulatedRandom& random);

  void watch(EventSource& source);
  void forget(const EventSource& source) noexcept;

  // Something waits to be done now.
  [[nodiscard]] bool is_ready() noexcept;
  // A timer is due.
  [[nodiscard]] bool has_due_timers() noexcept { return timers().next_deadline() <= clock().now(); }
  // Handles some of what is ready, in random order, then ends the turn.
  void turn() noexcept;

  // There are no worker threads: `work` runs in one of this loop's next turns, then `done`.
  bool submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept override;

  [[nodiscard]] std::uint64_t turns() const noexcept { return statistics().turns; }

 private:
  struct Work {
    void (*work)(void*) noexcept;
    void (*done)(void*) noexcept;
    void* argument;
  };

  void wake() noexcept override { woken_.store(true, std::memory_order_release); }
  void turn_begun() const noexcept override { begun_ = true; }
  [[nodiscard]] EventSource* find(std::uint64_t id) noexcept;

  SimulatedRandom& random_;
  std::atomic<bool> woken_{false};
  mutable bool begun_ = false;
  std::vector<EventSource*> sources_;
  std::vector<Work> work_;
};

}  // namespace mqloop::sim
