// A reactor whose mail the test delivers, and what the broker was told by way of its sink.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include <mqloop/publisher.h>

#include "tests/unit/broker/hook_fixture.h"

namespace mqloop::publisher_sqlite_test {

class FakeReactor final : public ReactorApi {
 public:
  explicit FakeReactor(std::uint32_t index = 0) noexcept : index_(index) {}

  [[nodiscard]] std::uint32_t index() const noexcept override { return index_; }
  [[nodiscard]] ::event_base* event_base() noexcept override { return nullptr; }
  [[nodiscard]] MonotonicTime now() const noexcept override { return MonotonicTime(std::chrono::seconds(100)); }
  [[nodiscard]] WallTime wall_now() const noexcept override { return WallTime(std::chrono::hours(500000)); }
  void post(void (*run)(void*) noexcept, void* argument) noexcept override {
    const std::lock_guard lock(mutex_);
    mail_.push_back({run, argument});
  }
  void call_after(std::chrono::milliseconds, void (*)(void*) noexcept, void*) noexcept override {}
  bool submit(void (*)(void*) noexcept, void (*)(void*) noexcept, void*) noexcept override { return false; }
  [[nodiscard]] Log& log() noexcept override { return lines; }

  // How much there was.
  std::size_t read_mail() {
    std::vector<Letter> mail;
    {
      const std::lock_guard lock(mutex_);
      mail.swap(mail_);
    }
    for (const Letter& letter : mail) letter.run(letter.argument);
    return mail.size();
  }

  broker::hook_test::RememberingLog lines;

 private:
  struct Letter {
    void (*run)(void*) noexcept;
    void* argument;
  };
  const std::uint32_t index_;
  std::mutex mutex_;
  std::vector<Letter> mail_;
};

class FakeSink final : public PublishSink {
 public:
  void deliver(Ref<const Message>) noexcept override {}
  void complete_through(std::uint32_t source, std::uint64_t number) noexcept override { complete[source] = number; }
  void set_backlog(Backlog level) noexcept override { backlog = level; }
  void set_trouble(ReasonCode reason) noexcept override { trouble = reason; }

  std::map<std::uint32_t, std::uint64_t> complete;
  Backlog backlog = Backlog::kNone;
  ReasonCode trouble = ReasonCode::kSuccess;
};

}  // namespace mqloop::publisher_sqlite_test
