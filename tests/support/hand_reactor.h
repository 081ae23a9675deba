// A reactor without a loop, by hand: for what hands work to the workers of a reactor.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include <mqloop/plugin.h>

namespace mqloop::test {

// Work and later calls wait until the test does them; it may say that no work is taken.
class HandReactor : public ReactorApi {
 public:
  explicit HandReactor(Log& log) : log_(log) {}
  [[nodiscard]] std::uint32_t index() const noexcept override { return 0; }
  [[nodiscard]] ::event_base* event_base() noexcept override { return nullptr; }
  [[nodiscard]] MonotonicTime now() const noexcept override { return {}; }
  [[nodiscard]] WallTime wall_now() const noexcept override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
  void post(void (*run)(void*) noexcept, void* argument) noexcept override { run(argument); }
  void call_after(std::chrono::milliseconds, void (*run)(void*) noexcept, void* argument) noexcept override {
    later.emplace_back(run, argument);
  }
  bool submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept override {
    if (!takes_work) return false;
    waiting.push_back({work, done, argument});
    ++submitted;
    return true;
  }
  [[nodiscard]] Log& log() noexcept override { return log_; }

  void work_off() {
    while (!waiting.empty()) {
      const Work next = waiting.front();
      waiting.pop_front();
      next.work(next.argument);
      next.done(next.argument);
    }
  }
  void call_later_ones() {
    for (const auto& [run, argument] : std::exchange(later, {})) run(argument);
  }

  struct Work {
    void (*work)(void*) noexcept;
    void (*done)(void*) noexcept;
    void* argument;
  };
  std::deque<Work> waiting;
  std::vector<std::pair<void (*)(void*) noexcept, void*>> later;
  int submitted = 0;
  bool takes_work = true;

 private:
  Log& log_;
};

}  // namespace mqloop::test
