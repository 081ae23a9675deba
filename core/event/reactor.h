// A loop on libevent: one thread, one event_base without locks. Either the base is its own and run() turns it, or it is
// lent by an embedding program that turns it itself; then a turn ends in an event that the first work of the turn makes
// active. Installs no signal handlers, has no globals, throws nothing once it is made.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include <event2/event_struct.h>

#include <mqloop/export.h>
#include <mqloop/status.h>

#include "core/event/loop.h"

namespace mqloop::event {

class MQLOOP_API Reactor final : public Loop {
 public:
  // A lent base outlives the reactor, which is made and destroyed on the thread that turns the base, or while none
  // does. While the reactor lives, the base always has an event to wait for.
  static Result<std::unique_ptr<Reactor>> create(const LoopOptions& options, ::event_base* lent = nullptr);
  ~Reactor() override;

  ::event_base* event_base() noexcept override { return base_; }

  // Turns until stop(). Not with a lent base. An error only when libevent cannot wait any more.
  Status run() noexcept;
  // Any thread: run() returns after the turn that is being run. Once for all times.
  void stop() noexcept;

  enum class Wait : bool { kNo, kUntilSomethingHappens };
  // One turn.
  Status run_once(Wait wait) noexcept;

 private:
  Reactor(const LoopOptions& options, ::event_base* base, bool lent, int wake_fd);

  void wake() noexcept override;
  void turn_begun() const noexcept override;
  void finish_turn() noexcept;
  // Sets libevent's one timer to the wheel's next deadline.
  void arm_wheel_event() noexcept;

  static void on_wake(int fd, short what, void* self);
  static void on_wheel(int fd, short what, void* self);
  static void on_turn_end(int fd, short what, void* self);

  ::event_base* base_;
  const bool lent_;
  bool in_turn_ = false;
  const int wake_fd_;
  MonotonicTime wheel_armed_ = kNever;
  std::atomic<bool> stopping_{false};
  std::atomic<std::thread::id> thread_{};
  ::event wake_event_;
  ::event wheel_event_;
  mutable ::event turn_event_;  // lent bases only
};

}  // namespace mqloop::event
