// The clock and the randomness of the machine itself: what a running broker hands out as Clock and Random. Tests and
// the simulation have their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <mqloop/clock.h>

namespace mqloop {

// Any thread.
class MQLOOP_API SystemClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const noexcept override;
  [[nodiscard]] WallTime wall_now() const noexcept override;
};

// The kernel's random numbers, fetched in blocks; nobody outside can guess them. One thread at a time.
class MQLOOP_API SystemRandom final : public Random {
 public:
  [[nodiscard]] std::uint64_t next() noexcept override;

 private:
  void refill() noexcept;

  std::array<std::uint64_t, 32> block_{};
  std::size_t left_ = 0;
};

}  // namespace mqloop
