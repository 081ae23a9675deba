#include "core/event/mailbox.h"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"

namespace mqloop::event {

using testing::mail;

TEST_GROUP(Mailbox) {
  Mailbox box;
  std::string ran;
};

TEST(Mailbox, asks_for_a_wake_only_when_it_was_empty) {
  CHECK(box.push(mail([] {})));
  CHECK(!box.push(mail([] {})));
  CHECK(!box.push(mail([] {})));
  LONGS_EQUAL(3, box.drain());
  CHECK(box.push(mail([] {})));
}

TEST(Mailbox, runs_mail_in_the_order_of_its_sender) {
  for (const char letter : {'a', 'b', 'c'}) box.push(mail([this, letter] { ran += letter; }));
  box.drain();
  STRCMP_EQUAL("abc", ran.c_str());
  CHECK(box.empty());
}

TEST(Mailbox, what_mail_sends_waits_for_the_next_drain) {
  bool asked_for_wake = false;
  box.push(mail([&] {
    ran += 'a';
    asked_for_wake = box.push(mail([this] { ran += 'b'; }));
  }));
  LONGS_EQUAL(1, box.drain());
  CHECK(asked_for_wake);
  STRCMP_EQUAL("a", ran.c_str());
  LONGS_EQUAL(1, box.drain());
  STRCMP_EQUAL("ab", ran.c_str());
  LONGS_EQUAL(0, box.drain());
}

TEST(Mailbox, mail_that_never_ran_is_deleted_with_the_box) {
  struct Cargo final : MailNode {
    Cargo(int& destroyed_count, int& run_count) : destructions(destroyed_count), runs(run_count) {}
    ~Cargo() override { ++destructions; }
    void run() noexcept override { ++runs; }
    int& destructions;
    int& runs;
  };
  int destroyed = 0;
  int runs = 0;
  {
    Mailbox passing;
    passing.push(std::make_unique<Cargo>(destroyed, runs));
    passing.push(std::make_unique<Cargo>(destroyed, runs));
  }
  LONGS_EQUAL(2, destroyed);
  LONGS_EQUAL(0, runs);
}

TEST_GROUP(ThreadedMailbox){};

TEST(ThreadedMailbox, four_senders_lose_nothing_and_each_keeps_its_order) {
  constexpr int kSenders = 4;
  constexpr int kEach = 100'000;
  Mailbox box;
  std::array<int, kSenders> expected{};
  bool in_order = true;
  std::atomic<int> wakes{0};

  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int number = 0; number < kEach; ++number) {
        const bool wake = box.push(mail([&expected, &in_order, sender, number] {
          in_order = in_order && expected[sender] == number;
          expected[sender] = number + 1;
        }));
        if (wake) wakes.fetch_add(1, std::memory_order_release);
      }
    });
  }
  // Drains only when it was woken, as a reactor does.
  std::size_t received = 0;
  int wakes_seen = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (received < std::size_t{kSenders} * kEach && std::chrono::steady_clock::now() < deadline) {
    const int woken = wakes.load(std::memory_order_acquire);
    if (woken == wakes_seen) {
      std::this_thread::yield();
      continue;
    }
    wakes_seen = woken;
    received += box.drain();
  }
  for (std::thread& sender : senders) sender.join();
  LONGS_EQUAL(kSenders * kEach, received);
  CHECK(in_order);
  for (const int count : expected) LONGS_EQUAL(kEach, count);
}

}  // namespace mqloop::event
