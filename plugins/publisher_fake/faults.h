// Faults: what happens to each message and each subscription, drawn from the seed. Owned by one shard, one thread.
// Invariants: messages, subscriptions and delays draw from sequences of their own, and each message takes the same
// numbers whatever the options are. So how messages fall into turns decides nothing, and one option changed leaves the
// fate of all else as it was.
#pragma once

#include <chrono>
#include <cstdint>

#include <mqloop/reason_code.h>

namespace publisher_fake {

struct Options {
  bool deliver = false;
  std::uint64_t seed = 1;
  std::chrono::milliseconds delay_least{0};
  std::chrono::milliseconds delay_most{0};
  double lose = 0;
  double duplicate = 0;
  double fail_publish = 0;
  mqloop::ReasonCode publish_reason = mqloop::ReasonCode::kQuotaExceeded;
  double fail_subscribe = 0;
  mqloop::ReasonCode subscribe_reason = mqloop::ReasonCode::kQuotaExceeded;
};

class Faults {
 public:
  // Reactors draw from sequences of their own, too.
  Faults(const Options& options, std::uint32_t reactor) noexcept
      : options_(options),
        messages_{mixed(options.seed + 3ULL * reactor)},
        subscriptions_{mixed(options.seed + 3ULL * reactor + 1)},
        delays_{mixed(options.seed + 3ULL * reactor + 2)} {}

  enum class Fate : std::uint8_t { kArrives, kArrivesTwice, kLost, kRefused };
  [[nodiscard]] Fate of_message() noexcept {
    const double refused = messages_.draw();
    const double lost = messages_.draw();
    const double twice = messages_.draw();
    if (refused < options_.fail_publish) return Fate::kRefused;
    if (!options_.deliver || lost < options_.lose) return Fate::kLost;
    return twice < options_.duplicate ? Fate::kArrivesTwice : Fate::kArrives;
  }
  [[nodiscard]] bool refuses_subscription() noexcept { return subscriptions_.draw() < options_.fail_subscribe; }
  // Of one turn of a reactor.
  [[nodiscard]] std::chrono::milliseconds delay() noexcept {
    const auto range = static_cast<double>((options_.delay_most - options_.delay_least).count() + 1);
    return options_.delay_least + std::chrono::milliseconds(static_cast<std::int64_t>(delays_.draw() * range));
  }

 private:
  static std::uint64_t mixed(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }

  // splitmix64.
  struct Sequence {
    std::uint64_t state;
    // From 0 to less than 1.
    double draw() noexcept {
      state += 0x9E3779B97F4A7C15ULL;
      return static_cast<double>(mixed(state) >> 11) * 0x1.0p-53;
    }
  };

  const Options& options_;
  Sequence messages_;
  Sequence subscriptions_;
  Sequence delays_;
};

}  // namespace publisher_fake
