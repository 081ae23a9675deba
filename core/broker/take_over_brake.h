// TakeOverBrake: clients that fight for one identifier, each taking the session from the other and coming back at once,
// do so ever more slowly. Owned by a Shard, whose thread alone uses it; a session's home sees all take-overs of it.
//
// A few take-overs of an identifier are free; each is forgotten ten seconds later. When they come faster, who comes
// next waits before it takes over, twice as long each time. Nobody else waits, and who holds the session is served
// meanwhile. Invariant: at most kMost identifiers are remembered; beyond, a further one is not braked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include <mqloop/clock.h>

#include "core/base/log_brake.h"

namespace mqloop::broker {

class TakeOverBrake {
 public:
  static constexpr int kFree = 5;
  static constexpr std::chrono::milliseconds kForgotten{10'000};  // each
  static constexpr std::chrono::milliseconds kFirstWait{100};
  static constexpr std::chrono::milliseconds kLongestWait{5'000};
  static constexpr std::size_t kMost = 4096;

  // When the session of this client may be taken over; `now` or earlier: at once.
  [[nodiscard]] MonotonicTime due(std::uint64_t client_key) const noexcept;
  // It has been taken over.
  void taken_over(std::uint64_t client_key, MonotonicTime now);
  // Of the lines that say that this client waits, which is remembered.
  [[nodiscard]] LogBrake& log(std::uint64_t client_key) noexcept { return fights_.find(client_key)->second.log; }

 private:
  struct Fight {
    MonotonicTime forgotten{};  // when all take-overs so far will be
    MonotonicTime due{};
    LogBrake log;
  };

  [[nodiscard]] bool make_room(MonotonicTime now);

  std::unordered_map<std::uint64_t, Fight> fights_;  // by Session::client_key(), which is a keyed hash
  MonotonicTime next_sweep_{};
};

}  // namespace mqloop::broker
