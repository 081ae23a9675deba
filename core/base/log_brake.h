// LogBrake: lets one line a minute through of a kind that could come a thousand times, and counts those that it holds
// back. Owned by whoever writes the lines; one thread. Invariant: the first line always passes.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include <mqloop/clock.h>

namespace mqloop {

class LogBrake {
 public:
  static constexpr std::chrono::minutes kPause{1};

  [[nodiscard]] bool may_log(MonotonicTime now) noexcept {
    if (now < next_) {
      ++left_out_;
      return false;
    }
    next_ = now + kPause;
    return true;
  }
  // How many were held back since the last that passed.
  [[nodiscard]] std::uint64_t take_left_out() noexcept { return std::exchange(left_out_, 0); }

 private:
  MonotonicTime next_ = MonotonicTime::min();
  std::uint64_t left_out_ = 0;
};

}  // namespace mqloop
