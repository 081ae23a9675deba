// LogBrake: lets one line a minute through, or so many, of a kind that could come a thousand times, and counts those
// that it holds back. Owned by whoever writes the lines; one thread. Invariant: the first line always passes.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include <mqloop/clock.h>

namespace mqloop {

class LogBrake {
 public:
  static constexpr std::chrono::minutes kPause{1};

  explicit LogBrake(std::uint32_t lines_a_minute = 1) noexcept : most_(lines_a_minute) {}

  [[nodiscard]] bool may_log(MonotonicTime now) noexcept {
    if (!holds(now)) {
      next_ = now + kPause;
      passed_ = 0;
    }
    if (passed_ == most_) {
      ++left_out_;
      return false;
    }
    ++passed_;
    return true;
  }
  // Whether a minute that began with a line is still under way.
  [[nodiscard]] bool holds(MonotonicTime now) const noexcept { return now < next_; }
  // How many were held back since the last that passed.
  [[nodiscard]] std::uint64_t take_left_out() noexcept { return std::exchange(left_out_, 0); }

 private:
  MonotonicTime next_ = MonotonicTime::min();
  std::uint32_t most_;
  std::uint32_t passed_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace mqloop
