// TokenBucket: lets so many events (or bytes) a second pass, and after a rest as many at once as a second brings. It
// only says how long to wait; whoever is limited waits, so nothing is lost. Owned by what is limited, one thread. It is
// one number: the time at which everything that passed would have passed at an even pace; how far that lies ahead of
// now is what is owed.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <mqloop/clock.h>

namespace mqloop {

class TokenBucket {
 public:
  // How long until one more may pass at `rate` a second; zero: now. Without a rate (0) always now.
  [[nodiscard]] std::chrono::milliseconds wait(double rate, MonotonicTime now) const noexcept {
    if (rate <= 0) return {};
    const Nanoseconds credit = std::max(Nanoseconds::zero(), Nanoseconds(std::chrono::seconds(1)) - time_of(1, rate));
    const Nanoseconds owed = even_ - now.time_since_epoch() - credit;
    return owed <= Nanoseconds::zero() ? std::chrono::milliseconds()
                                       : std::chrono::ceil<std::chrono::milliseconds>(owed);
  }
  // `amount` have passed. More than wait() allowed is owed, and waited for later.
  void take(double rate, std::uint64_t amount, MonotonicTime now) noexcept {
    if (rate <= 0) return;
    even_ = std::max(even_, Nanoseconds(now.time_since_epoch())) + time_of(amount, rate);
  }

 private:
  using Nanoseconds = std::chrono::nanoseconds;
  // At most a year, so that no sum overflows.
  static Nanoseconds time_of(std::uint64_t amount, double rate) noexcept {
    return Nanoseconds(static_cast<std::int64_t>(std::min(static_cast<double>(amount) * 1e9 / rate, 3.2e16)));
  }

  Nanoseconds even_ = Nanoseconds::min() / 2;
};

}  // namespace mqloop
