// What the broker needs of its reactor, real or simulated: the time, timers, mail from other threads, memory for input
// and output, and a place in each turn. One thread runs a loop; only what says «any thread» may be called from another.
//
// A turn, in this order: what the descriptors have to say (the derived class) -> time is read -> mailbox -> timers ->
// TurnHandler::on_turn(). Everything in a turn sees the same time. Loop itself knows no libevent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>

#include <mqloop/clock.h>
#include <mqloop/reactor_api.h>

#include "core/base/intrusive_list.h"
#include "core/event/chunk_pool.h"
#include "core/event/mailbox.h"
#include "core/event/timer_wheel.h"

namespace mqloop::event {

class WorkerPool;

// The loop's one user: told at the end of each turn, when all that arrived in it is known.
class TurnHandler {
 public:
  virtual void on_turn() noexcept = 0;

 protected:
  ~TurnHandler() = default;
};

// The references outlive the loop.
struct LoopOptions {
  std::uint32_t index = 0;
  Clock& clock;
  Log& log;
  WorkerPool* workers = nullptr;             // null: submit() refuses
  std::chrono::milliseconds long_turn{100};  // a turn is counted as long from here on
};

struct LoopStatistics {
  std::uint64_t turns = 0;
  std::uint64_t long_turns = 0;
  std::uint64_t mail = 0;
  std::uint64_t timers = 0;
  std::chrono::milliseconds longest_turn{0};
};

class MQLOOP_API Loop : public ReactorApi {
 public:
  static constexpr std::size_t kScratchSize = 65536;

  explicit Loop(const LoopOptions& options);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() override;

  std::uint32_t index() const noexcept final { return options_.index; }
  ::event_base* event_base() noexcept override { return nullptr; }
  MonotonicTime now() const noexcept final;
  WallTime wall_now() const noexcept final;
  void post(void (*run)(void*) noexcept, void* argument) noexcept final;
  void call_after(std::chrono::milliseconds delay, void (*run)(void*) noexcept, void* argument) noexcept final;
  bool submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept override;
  Log& log() noexcept final { return options_.log; }

  // Any thread. Runs in this loop's next turn, after what the same thread posted before.
  void post(std::unique_ptr<MailNode> mail) noexcept;

  TimerWheel& timers() noexcept { return timers_; }
  ChunkPool& chunks() noexcept { return chunks_; }
  // 64 KiB to read into, borrowed until the callback returns.
  std::span<std::uint8_t> scratch() noexcept { return {scratch_.get(), kScratchSize}; }

  // Null for none. The handler outlives the loop or is taken away before.
  void set_turn_handler(TurnHandler* handler) noexcept { handler_ = handler; }
  // Work is left: on_turn() will be called without waiting for anything to happen. Called inside on_turn() it means the
  // next turn, else the turn that has begun.
  void request_turn() noexcept;
  [[nodiscard]] bool turn_requested() const noexcept { return turn_requested_; }

  [[nodiscard]] const LoopStatistics& statistics() const noexcept { return statistics_; }

 protected:
  // Mailbox, timers, handler. What follows counts to the next turn.
  void run_turn() noexcept;
  [[nodiscard]] Clock& clock() const noexcept { return options_.clock; }
  // A wait has passed: the next who asks for the time reads the clock.
  void forget_time() noexcept { time_known_ = false; }

  // Any thread: run_turn() is to be called soon.
  virtual void wake() noexcept = 0;
  // Own thread: a turn has begun (somebody asked for the time or for a turn) and must come to its end.
  virtual void turn_begun() const noexcept {}

 private:
  class Call;
  class LaterCall;
  void read_time() const noexcept;

  LoopOptions options_;
  mutable MonotonicTime now_{};
  mutable WallTime wall_now_{};
  mutable bool time_known_ = false;
  bool turn_requested_ = false;
  TurnHandler* handler_ = nullptr;
  LoopStatistics statistics_;
  Mailbox mailbox_;
  TimerWheel timers_;
  IntrusiveList<LaterCall, LaterCall> later_calls_;
  ChunkPool chunks_;
  std::unique_ptr<std::uint8_t[]> scratch_;
};

}  // namespace mqloop::event
