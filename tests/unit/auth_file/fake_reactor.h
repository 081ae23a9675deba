// A reactor whose worker pool is the test: work waits until the test does it, or the test says that none is taken.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include <mqloop/plugin.h>

#include "core/broker/pending_answer.h"
#include "tests/unit/broker/hook_fixture.h"

namespace mqloop::auth_file_test {

class FakeReactor final : public ReactorApi {
 public:
  [[nodiscard]] std::uint32_t index() const noexcept override { return 0; }
  [[nodiscard]] ::event_base* event_base() noexcept override { return nullptr; }
  [[nodiscard]] MonotonicTime now() const noexcept override { return {}; }
  [[nodiscard]] WallTime wall_now() const noexcept override { return {}; }
  void post(void (*run)(void*) noexcept, void* argument) noexcept override { run(argument); }
  void call_after(std::chrono::milliseconds, void (*)(void*) noexcept, void*) noexcept override {}
  bool submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept override {
    if (!takes_work) return false;
    waiting.push_back({work, done, argument});
    return true;
  }
  [[nodiscard]] Log& log() noexcept override { return lines; }

  void work_off() {
    while (!waiting.empty()) {
      const Work next = waiting.front();
      waiting.pop_front();
      next.work(next.argument);
      next.done(next.argument);
    }
  }

  struct Work {
    void (*work)(void*) noexcept;
    void (*done)(void*) noexcept;
    void* argument;
  };
  std::deque<Work> waiting;
  bool takes_work = true;
  broker::hook_test::RememberingLog lines;
};

// A client that has asked, and what it was answered. In the hook's own way: no mail, so that any thread may answer.
class Asked {
 public:
  Asked() : answer_(new detail::PendingAnswer(Ref<broker::AnswerGate>())) {}
  Asked(Asked&& other) noexcept : answer_(std::exchange(other.answer_, nullptr)) {}
  ~Asked() {
    if (answer_ != nullptr) answer_->drop_ref();
  }
  [[nodiscard]] AuthReply reply() {
    answer_->add_ref();
    return AuthReply(answer_);
  }
  // "waits", "in", or the code, what the client is told and what the log is told.
  [[nodiscard]] std::string answer() const {
    switch (answer_->kind()) {
      case detail::AnswerKind::kNone:
        return "waits";
      case detail::AnswerKind::kAccept:
        return "in";
      case detail::AnswerKind::kReject:
        return std::string(name_of(answer_->code())) + " | " + std::string(answer_->text()) + " | " +
               std::string(answer_->data());
      default:
        return "?";
    }
  }

 private:
  detail::PendingAnswer* answer_;
};

}  // namespace mqloop::auth_file_test
