// Credit between reactors: how much one may have sent to another that the other has not handled yet. Over the high mark
// (limits.reactor_backlog) the source reads none of those who publish; below the low mark, half of it, it goes on. All
// else that the source has to say goes out at any time (wills, the broker's own values, shared subscriptions), and
// every reactor handles what it gets whether it waits for another or not, so two that wait for each other do not wait
// for ever.
//
//   CreditAccount   one for each (source, target): what was spent and what was given back. The source spends; whoever
//                   has handled something gives back, on any thread. It lives as long as mail that is charged to it,
//                   which may be longer than its broker.
//   Credits         all accounts of one source. Part of a Shard; its thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include <mqloop/ref.h>

#include "core/base/log_brake.h"

namespace mqloop::broker {

class Shard;

class CreditAccount final : public SharedObject {
 public:
  CreditAccount(Shard& source, std::uint32_t target) noexcept : source_(source), target_(target) {}

  // The source's thread.
  void spend(std::uint64_t bytes) noexcept { spent_ += bytes; }
  // What the target has not handled; true as soon as it is no less than `mark`. Looks at what the other threads write
  // only when what it knew does not do.
  [[nodiscard]] bool reaches(std::uint64_t mark) noexcept;
  [[nodiscard]] std::uint64_t outstanding() const noexcept;
  // The source is to be told once when no more than `low` is outstanding. What took it over the mark must not have been
  // sent yet: then whoever handles that sees that somebody waits.
  void wait_for(std::uint64_t low) noexcept { wake_at_.store(spent_ - low, std::memory_order_relaxed); }
  void wait_no_more() noexcept { wake_at_.store(kNever, std::memory_order_relaxed); }

  // Any thread.
  void give_back(std::uint64_t bytes) noexcept;

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  Shard& source_;
  const std::uint32_t target_;
  std::uint64_t spent_ = 0;
  std::uint64_t known_given_back_ = 0;
  // What other threads write, away from what the source alone does.
  alignas(64) std::atomic<std::uint64_t> given_back_{0};
  std::atomic<std::uint64_t> wake_at_{kNever};  // of given_back_
};

class Credits {
 public:
  Credits(Shard& shard, std::uint32_t reactors) noexcept : shard_(shard), accounts_(reactors) {}
  ~Credits() { stop(); }
  Credits(const Credits&) = delete;
  Credits& operator=(const Credits&) = delete;

  [[nodiscard]] const Ref<CreditAccount>& account(std::uint32_t target);
  // For what is to be sent to `target` and has not been yet.
  void spend(std::uint32_t target, std::uint64_t bytes);
  // By mail: `target` has come below the low mark.
  void caught_up(std::uint32_t target);
  // Bytes that others have not handled.
  [[nodiscard]] std::uint64_t outstanding() const noexcept;
  // Waits for nobody any more, and never again.
  void stop() noexcept;

 private:
  void wait_for(std::uint32_t target, std::uint64_t mark);

  Shard& shard_;
  std::vector<Ref<CreditAccount>> accounts_;  // by target; null: nothing was ever sent there
  std::uint64_t behind_ = 0;                  // a bit for each target that is waited for
  bool stopped_ = false;
  LogBrake log_;
};

}  // namespace mqloop::broker
