#include "core/base/clock.h"

#include <cerrno>
#include <cstdlib>

#include <sys/random.h>

namespace mqloop {

Clock::~Clock() = default;
Random::~Random() = default;

MonotonicTime SystemClock::now() const noexcept {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now());
}

WallTime SystemClock::wall_now() const noexcept {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::uint64_t SystemRandom::next() noexcept {
  if (left_ == 0) refill();
  // A number that was given is not kept: a dump of memory tells nothing of the past.
  const std::uint64_t number = block_[--left_];
  block_[left_] = 0;
  return number;
}

void SystemRandom::refill() noexcept {
  // Up to 256 bytes come whole (getrandom(2)); only a signal before the pool is ready can interrupt.
  static_assert(sizeof(block_) <= 256);
  ssize_t got = -1;
  do {
    got = ::getrandom(block_.data(), sizeof(block_), 0);
  } while (got < 0 && errno == EINTR);
  // Guessable identifiers and hash seeds would be worse than no broker.
  if (got != static_cast<ssize_t>(sizeof(block_))) std::abort();
  left_ = block_.size();
}

}  // namespace mqloop
