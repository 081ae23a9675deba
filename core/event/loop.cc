#include "core/event/loop.h"

#include <utility>

#include "core/event/worker_pool.h"

namespace mqloop::event {

class Loop::Call final : public MailNode {
 public:
  Call(void (*function)(void*) noexcept, void* argument) noexcept : function_(function), argument_(argument) {}
  void run() noexcept override { function_(argument_); }

 private:
  void (*function_)(void*) noexcept;
  void* argument_;
};

class Loop::LaterCall final : public Timer, public ListNode<LaterCall> {
 public:
  LaterCall(void (*function)(void*) noexcept, void* argument) noexcept : function_(function), argument_(argument) {}

 private:
  void fire() noexcept override {
    const std::unique_ptr<LaterCall> self(this);
    function_(argument_);
  }

  void (*function_)(void*) noexcept;
  void* argument_;
};

Loop::Loop(const LoopOptions& options)
    : options_(options),
      timers_(options.clock.now()),
      scratch_(std::make_unique_for_overwrite<std::uint8_t[]>(kScratchSize)) {}

Loop::~Loop() {
  while (LaterCall* call = later_calls_.pop_front()) delete call;
}

void Loop::read_time() const noexcept {
  now_ = options_.clock.now();
  wall_now_ = options_.clock.wall_now();
  time_known_ = true;
  turn_begun();
}

MonotonicTime Loop::now() const noexcept {
  if (!time_known_) read_time();
  return now_;
}

WallTime Loop::wall_now() const noexcept {
  if (!time_known_) read_time();
  return wall_now_;
}

void Loop::post(std::unique_ptr<MailNode> mail) noexcept {
  if (mailbox_.push(std::move(mail))) wake();
}

void Loop::post(void (*run)(void*) noexcept, void* argument) noexcept { post(std::make_unique<Call>(run, argument)); }

void Loop::call_after(std::chrono::milliseconds delay, void (*run)(void*) noexcept, void* argument) noexcept {
  auto call = std::make_unique<LaterCall>(run, argument);
  timers_.start(*call, add_saturating(now(), delay));
  later_calls_.push_back(*call.release());  // which deletes itself when it fires
}

bool Loop::submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept {
  return options_.workers != nullptr && options_.workers->submit(*this, work, done, argument);
}

void Loop::request_turn() noexcept {
  if (turn_requested_) return;
  turn_requested_ = true;
  turn_begun();
}

void Loop::run_turn() noexcept {
  const MonotonicTime began = now();
  statistics_.mail += mailbox_.drain();
  statistics_.timers += timers_.advance(began);
  turn_requested_ = false;
  if (handler_ != nullptr) handler_->on_turn();
  // What was posted or started during the turn and is due already.
  if (!mailbox_.empty() || timers_.next_deadline() <= began) turn_requested_ = true;
  ++statistics_.turns;
  const auto took = options_.clock.now() - began;
  if (took >= options_.long_turn) ++statistics_.long_turns;
  if (took > statistics_.longest_turn) statistics_.longest_turn = took;
  forget_time();
}

}  // namespace mqloop::event
