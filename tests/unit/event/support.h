// What the tests of the event layer share: a clock that a test sets, a log that it reads, and the two ends of a
// connection.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/log.h>

#include "core/base/clock.h"
#include "core/event/loop.h"
#include "core/event/reactor.h"

namespace mqloop::event::testing {

class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const noexcept override { return MonotonicTime(std::chrono::milliseconds(time)); }
  [[nodiscard]] WallTime wall_now() const noexcept override {
    return WallTime(std::chrono::milliseconds(time + 1'000'000));
  }
  std::int64_t time = 1000;
};

// One line per event, "event key=value ...".
class LineLog final : public Log {
 public:
  using Log::write;
  [[nodiscard]] bool enabled(LogLevel /*level*/, std::string_view /*module*/) const noexcept override { return true; }
  void write(LogLevel /*level*/, std::string_view /*module*/, std::string_view event,
             std::span<const LogField> fields) noexcept override {
    std::string line(event);
    for (const LogField& field : fields) line += ' ' + std::string(field.key) + '=' + std::string(field.value);
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Mail that runs a lambda.
template <typename Function>
class FunctionMail final : public MailNode {
 public:
  explicit FunctionMail(Function function) : function_(std::move(function)) {}
  void run() noexcept override { function_(); }

 private:
  Function function_;
};

template <typename Function>
std::unique_ptr<MailNode> mail(Function function) {
  return std::make_unique<FunctionMail<Function>>(std::move(function));
}

// A real reactor with the system's clock.
struct TestReactor {
  explicit TestReactor(::event_base* lent = nullptr, WorkerPool* workers = nullptr) {
    auto made = Reactor::create({.index = 0, .clock = clock, .log = log, .workers = workers}, lent);
    reactor = std::move(made).value();
  }
  Reactor* operator->() { return reactor.get(); }
  Reactor& operator*() { return *reactor; }

  // Turns until `condition` holds; false when it does not within five seconds.
  template <typename Condition>
  bool turn_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    bool late = false;
    while (!condition() && !late) {
      reactor->call_after(
          std::chrono::milliseconds(20), [](void*) noexcept {}, nullptr);
      if (!reactor->run_once(Reactor::Wait::kUntilSomethingHappens).ok()) return false;
      late = std::chrono::steady_clock::now() > deadline;
    }
    return !late;
  }

  SystemClock clock;
  LineLog log;
  std::unique_ptr<Reactor> reactor;
};

}  // namespace mqloop::event::testing
