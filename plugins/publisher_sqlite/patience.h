// Patience: how long the writer waits for acknowledgements that would spare it a batch. A message that has been sent to
// subscribers who are there is acknowledged by all of them in a moment, as a rule, and then need not be written at all;
// that is sooner than the disk would have it. Where it does not turn out so, the wait is in vain: after a batch of
// which more was written than spared a few are written at once, and ever more of them until waiting pays again. Owned
// by the writer.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace mqloop::publisher_sqlite {

class Patience {
 public:
  // Half of what a commit takes and a little more, so that a wait in vain costs less than the commit after it.
  [[nodiscard]] std::chrono::microseconds time() const noexcept {
    return left_out_ != 0 ? std::chrono::microseconds{0}
                          : std::min(kMost, std::chrono::microseconds(commit_us_ / 2) + kLeast);
  }

  // A batch is on disk, which took so long: so many deliveries that might have been spared are in it, and so many were
  // since the last one.
  void batch(std::uint64_t took_us, std::uint64_t in_vain, std::uint64_t spared) noexcept {
    commit_us_ = (commit_us_ * 7 + took_us) / 8;
    if (left_out_ != 0) {
      --left_out_;
    } else if (in_vain <= spared) {
      pause_ = 0;
    } else {
      left_out_ = pause_ = std::clamp<std::uint32_t>(pause_ * 2, 1, kLongestPause);
    }
  }

 private:
  static constexpr std::chrono::microseconds kLeast{250};
  static constexpr std::chrono::microseconds kMost{2500};
  static constexpr std::uint32_t kLongestPause = 64;

  std::uint64_t commit_us_ = 1000;
  std::uint32_t pause_ = 0;     // batches without a wait, when there is one
  std::uint32_t left_out_ = 0;  // of these to come
};

}  // namespace mqloop::publisher_sqlite
