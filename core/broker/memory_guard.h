// MemoryGuard: keeps what the broker holds below limits.memory. Owned by the Broker, used on loop 0's thread alone;
// each reactor publishes what it holds in its Counters, which are added up once a second, and ten times a second above
// half of the limit. Without a limit nothing is added up and no timer runs.
//
//   stage             begins at  ends below  what it adds
//   kNone                                    nothing
//   kStopAccepting       80 %      70 %      listeners pause: who comes waits in the system's queue
//   kHoldPublishers      90 %      80 %      who publishes is read no more, and its Keep Alive stands still
//   kDropQos0            95 %      85 %      QoS 0 is dropped
//   kDisconnect         100 %      90 %      at each look the client with most bytes waiting is disconnected (0x97),
//   and
//                                            what waits for it dropped
//
// Publishers are not held for ever: from kHoldPublishers on, a stage that has not brought relief for kPatience is
// followed by the next.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include <mqloop/clock.h>

#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class Broker;

enum class MemoryStage : std::uint8_t { kNone, kStopAccepting, kHoldPublishers, kDropQos0, kDisconnect };
[[nodiscard]] std::string_view name_of(MemoryStage stage) noexcept;

// Where the stage moves when `held` of `limit` bytes are held. `impatient`: the present one had time enough.
[[nodiscard]] MemoryStage next_stage(MemoryStage stage, std::uint64_t held, std::uint64_t limit,
                                     bool impatient) noexcept;

class MemoryGuard {
 public:
  static constexpr std::chrono::seconds kPatience{5};

  explicit MemoryGuard(Broker& broker) noexcept : broker_(broker) {}
  MemoryGuard(const MemoryGuard&) = delete;
  MemoryGuard& operator=(const MemoryGuard&) = delete;

  // Follows limits.memory: begins to look, or lets go of everything.
  void apply_settings() noexcept { look(); }
  void stop() noexcept { timer_.stop(); }

  [[nodiscard]] MemoryStage stage() const noexcept { return stage_; }
  // What the reactors hold, as they last said. A message that waits for several sessions counts for each, but all of it
  // never for more than the process occupies.
  [[nodiscard]] std::uint64_t held() const noexcept;

  // What one reactor's heaviest session has waiting; 0 when nobody has anything.
  struct Heaviest {
    std::uint32_t reactor = 0;
    std::uint32_t slot = 0;
    std::uint64_t session = 0;
    std::uint64_t bytes = 0;
  };

 private:
  void look() noexcept;
  void enter(MemoryStage stage, std::uint64_t held) noexcept;
  void ask_for_the_heaviest();
  void answer(const Heaviest& heaviest);

  Broker& broker_;
  event::MemberTimer<MemoryGuard, &MemoryGuard::look> timer_{*this};
  MemoryStage stage_ = MemoryStage::kNone;
  MonotonicTime since_{};
  std::uint32_t answers_missing_ = 0;
  Heaviest heaviest_;
};

// What the system says that the process occupies, in bytes; 0 when it does not say.
[[nodiscard]] std::uint64_t resident_bytes() noexcept;

}  // namespace mqloop::broker
