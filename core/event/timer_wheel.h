// The timers of one loop: a hierarchical wheel of 8 levels with 64 slots and a tick of one millisecond. It knows
// nothing of clocks or threads: whoever owns it says what time it is. Start, stop and restart cost a few pointer
// writes; a timer is moved at most once per level before it fires. The wheel does not own its timers; a timer that is
// destroyed takes itself out.
//
// Invariant: a timer that is linked in level L differs from position_ first in the L-th group of six bits (counted from
// below), and is later there. So every timer of a level fires before every timer of the level above it.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <mqloop/clock.h>

#include "core/base/intrusive_list.h"

namespace mqloop::event {

// Never: a timer that is started with it is not armed.
inline constexpr MonotonicTime kNever = MonotonicTime::max();

// `time` + `delay`, or kNever when that is beyond all time. A negative delay counts as none.
constexpr MonotonicTime add_saturating(MonotonicTime time, std::chrono::milliseconds delay) noexcept {
  if (delay <= std::chrono::milliseconds::zero()) return time;
  return delay > kNever - std::max(time, MonotonicTime{}) ? kNever : time + delay;
}

class Timer : private ListNode<Timer> {
 public:
  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  [[nodiscard]] bool armed() const noexcept { return linked(); }
  // As it was asked for. Only while armed.
  [[nodiscard]] MonotonicTime deadline() const noexcept { return deadline_; }
  void stop() noexcept { unlink(); }

 protected:
  ~Timer() = default;

 private:
  friend class TimerWheel;
  friend class IntrusiveList<Timer, Timer>;
  // The timer is not armed any more: it may be started again, or destroyed.
  virtual void fire() noexcept = 0;

  MonotonicTime deadline_{};
};

// A timer that calls a member function of what it is part of: MemberTimer<Connection, &Connection::on_keep_alive>.
template <typename T, void (T::*kFire)() noexcept>
class MemberTimer final : public Timer {
 public:
  explicit MemberTimer(T& owner) noexcept : owner_(owner) {}

 private:
  void fire() noexcept override { (owner_.*kFire)(); }
  T& owner_;
};

class TimerWheel {
 public:
  explicit TimerWheel(MonotonicTime origin) noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms `timer`, or moves it when it is armed. A deadline that has passed counts as now: it fires in the next
  // advance(), never inside this call. kNever stops it.
  void start(Timer& timer, MonotonicTime deadline) noexcept;

  // The most that one advance() fires, and the most that it moves from a coarse level to finer ones: a million sessions
  // that expire in the same minutes, or at once, have many turns to do it in.
  static constexpr std::size_t kMostAtOnce = 1024;
  static constexpr std::size_t kMostMoved = 4096;

  // Fires, in the order of their deadlines, what was due at `now` when the call began; equal deadlines in the order in
  // which they were started. Never earlier than asked. A timer that fires may start, stop and destroy any timer, itself
  // included; what it starts for `now` or earlier waits for the next call, so that this one ends. What is too much for
  // one call comes first in the next, and next_deadline() has passed until then. Returns how many fired.
  std::size_t advance(MonotonicTime now) noexcept;

  // When advance() has something to do: never after the earliest deadline, and not before that by more than the
  // coarseness of the level where it waits. kNever when nothing is armed.
  [[nodiscard]] MonotonicTime next_deadline() noexcept;

 private:
  using List = IntrusiveList<Timer, Timer>;
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1U << kBits;
  static constexpr unsigned kLevels = 8;
  static constexpr std::uint64_t kLastTick = (std::uint64_t{1} << (kBits * kLevels)) - 1;  // in 8,900 years

  struct Level {
    std::uint64_t occupied = 0;  // a bit may outlive the last timer of its slot; found() clears it
    std::array<List, kSlots> slots;
  };
  struct Place {
    unsigned level;
    unsigned slot;
    std::uint64_t tick;  // where the slot begins
  };

  [[nodiscard]] std::uint64_t tick_of(MonotonicTime time) const noexcept;
  // Links a timer that is later than position_.
  void place(Timer& timer, std::uint64_t tick) noexcept;
  // Takes what is due at once out of moving_ to `due` and the rest to lower levels, as far as `most` goes.
  void move_down(List& due, std::size_t& most) noexcept;
  // The next call begins with `due`.
  void put_off(List& due) noexcept;
  // The first slot that has a timer; false when there is none.
  bool find_first(Place& found) noexcept;
  // Returns how many fired, at most `most`; the others stay in `due`.
  static std::size_t fire(List& due, std::size_t most) noexcept;

  MonotonicTime origin_;
  std::uint64_t position_ = 0;  // everything up to here has fired, or is in due_ or moving_
  std::uint64_t horizon_ = 0;   // starts up to here go to due_; ahead of position_ only inside advance()
  List due_;
  List moving_;  // of a slot whose time has begun: still to be moved down, before anything else fires
  std::array<Level, kLevels> levels_;
};

}  // namespace mqloop::event
