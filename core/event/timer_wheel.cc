#include "core/event/timer_wheel.h"

#include <bit>

namespace mqloop::event {

TimerWheel::TimerWheel(MonotonicTime origin) noexcept : origin_(origin) {}

std::uint64_t TimerWheel::tick_of(MonotonicTime time) const noexcept {
  if (time <= origin_) return 0;
  // Unsigned, because times far apart may differ by more than a signed number holds.
  const std::uint64_t ticks = static_cast<std::uint64_t>(time.time_since_epoch().count()) -
                              static_cast<std::uint64_t>(origin_.time_since_epoch().count());
  return std::min(ticks, kLastTick);
}

void TimerWheel::start(Timer& timer, MonotonicTime deadline) noexcept {
  timer.stop();
  if (deadline == kNever) return;
  timer.deadline_ = deadline;
  const std::uint64_t tick = tick_of(deadline);
  if (tick <= horizon_) {
    due_.push_back(timer);
  } else {
    place(timer, tick);
  }
}

void TimerWheel::place(Timer& timer, std::uint64_t tick) noexcept {
  const unsigned level = static_cast<unsigned>(std::bit_width(tick ^ position_) - 1) / kBits;
  const unsigned slot = static_cast<unsigned>(tick >> (level * kBits)) % kSlots;
  levels_[level].slots[slot].push_back(timer);
  levels_[level].occupied |= std::uint64_t{1} << slot;
}

bool TimerWheel::find_first(Place& found) noexcept {
  for (unsigned level = 0; level < kLevels; ++level) {
    Level& at = levels_[level];
    while (at.occupied != 0) {
      const auto slot = static_cast<unsigned>(std::countr_zero(at.occupied));
      if (at.slots[slot].empty()) {
        at.occupied &= at.occupied - 1;
        continue;
      }
      const unsigned shift = level * kBits;
      const std::uint64_t above = position_ >> shift >> kBits << kBits << shift;
      found = {level, slot, above | std::uint64_t{slot} << shift};
      return true;
    }
  }
  return false;
}

std::size_t TimerWheel::fire(List& due, std::size_t most) noexcept {
  std::size_t fired = 0;
  while (fired != most) {
    Timer* timer = due.pop_front();
    if (timer == nullptr) break;
    timer->fire();
    ++fired;
  }
  return fired;
}

void TimerWheel::move_down(List& due, std::size_t& most) noexcept {
  for (; most != 0; --most) {
    Timer* timer = moving_.pop_front();
    if (timer == nullptr) return;
    const std::uint64_t tick = tick_of(timer->deadline_);
    if (tick == position_) {
      due.push_back(*timer);
    } else {
      place(*timer, tick);
    }
  }
}

std::size_t TimerWheel::advance(MonotonicTime now) noexcept {
  const std::uint64_t target = std::max(tick_of(now), position_);
  horizon_ = target;
  List due;
  due.splice_back(due_);
  std::size_t to_move = kMostMoved;
  std::size_t fired = fire(due, kMostAtOnce);
  while (fired != kMostAtOnce && to_move != 0) {
    if (moving_.empty()) {
      Place first;
      if (!find_first(first) || first.tick > target) {
        position_ = target;
        return fired;
      }
      position_ = first.tick;
      levels_[first.level].occupied &= ~(std::uint64_t{1} << first.slot);
      (first.level == 0 ? due : moving_).splice_back(levels_[first.level].slots[first.slot]);
    }
    move_down(due, to_move);
    fired += fire(due, kMostAtOnce - fired);
  }
  put_off(due);
  return fired;
}

// What was started meanwhile is later than what is left over, and may be later than what the levels hold.
void TimerWheel::put_off(List& due) noexcept {
  horizon_ = position_;
  while (Timer* timer = due_.pop_front()) {
    const std::uint64_t tick = tick_of(timer->deadline_);
    if (tick <= position_) {
      due.push_back(*timer);
    } else {
      place(*timer, tick);
    }
  }
  due_.splice_back(due);
}

MonotonicTime TimerWheel::next_deadline() noexcept {
  if (!due_.empty() || !moving_.empty()) return origin_ + std::chrono::milliseconds(position_);
  Place first;
  if (!find_first(first)) return kNever;
  return origin_ + std::chrono::milliseconds(first.tick);
}

}  // namespace mqloop::event
