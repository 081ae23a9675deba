// Time and chance as interfaces: the broker asks these and nothing else, so that a test or a simulation can own both.
#pragma once

#include <chrono>
#include <cstdint>

#include <mqloop/export.h>

namespace mqloop {

// Never goes back; for deadlines and intervals.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;
// Civil time; for what is written to disk or to a log. It may jump.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

class MQLOOP_API Clock {
 public:
  virtual ~Clock();
  [[nodiscard]] virtual MonotonicTime now() const noexcept = 0;
  [[nodiscard]] virtual WallTime wall_now() const noexcept = 0;
};

// Random numbers for hash seeds, assigned client identifiers and choices between equals. One thread at a time.
class MQLOOP_API Random {
 public:
  virtual ~Random();
  [[nodiscard]] virtual std::uint64_t next() noexcept = 0;
};

}  // namespace mqloop
