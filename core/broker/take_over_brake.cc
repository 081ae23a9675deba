#include "core/broker/take_over_brake.h"

#include <algorithm>

namespace mqloop::broker {

namespace {

// Take-overs after which the wait grows no more: 100 ms, doubled seven times, is beyond the longest.
constexpr int kMostRemembered = TakeOverBrake::kFree + 7;
// A full table is searched for what can be forgotten no more often than this.
constexpr std::chrono::milliseconds kSweepPause{1000};

}  // namespace

MonotonicTime TakeOverBrake::due(std::uint64_t client_key) const noexcept {
  const auto found = fights_.find(client_key);
  return found == fights_.end() ? MonotonicTime::min() : found->second.due;
}

void TakeOverBrake::taken_over(std::uint64_t client_key, MonotonicTime now) {
  if (!fights_.contains(client_key) && !make_room(now)) return;
  Fight& fight = fights_[client_key];
  fight.forgotten = std::min(std::max(fight.forgotten, now) + kForgotten, now + kMostRemembered * kForgotten);
  const auto remembered =
      static_cast<int>((fight.forgotten - now + kForgotten - std::chrono::milliseconds(1)) / kForgotten);
  if (remembered < kFree) return;
  fight.due = now + std::min(kLongestWait, kFirstWait * (1 << (remembered - kFree)));
}

bool TakeOverBrake::make_room(MonotonicTime now) {
  if (fights_.size() < kMost) return true;
  if (now < next_sweep_) return false;
  next_sweep_ = now + kSweepPause;
  std::erase_if(fights_, [now](const auto& entry) { return entry.second.forgotten <= now; });
  return fights_.size() < kMost;
}

}  // namespace mqloop::broker
