#include "core/event/timer_wheel.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace mqloop::event {

namespace {

using std::chrono::milliseconds;

constexpr MonotonicTime at(std::int64_t time) { return MonotonicTime(milliseconds(time)); }

class TestTimer final : public Timer {
 public:
  explicit TestTimer(std::function<void()> action = [] {}) : action_(std::move(action)) {}

 private:
  void fire() noexcept override {
    const std::function<void()> action = action_;  // which may destroy the timer
    action();
  }
  std::function<void()> action_;
};

struct Heart {
  void beat() noexcept { ++beats; }
  int beats = 0;
  MemberTimer<Heart, &Heart::beat> timer{*this};
};

}  // namespace

TEST_GROUP(TimerWheel) {
  TimerWheel wheel{at(1000)};
  std::string fired;

  std::function<void()> log(char letter) {
    return [this, letter] { fired += letter; };
  }
};

TEST(TimerWheel, a_timer_fits_into_an_idle_connection) {
  CHECK(sizeof(Timer) <= 32);
  CHECK(sizeof(MemberTimer<Heart, &Heart::beat>) <= 40);
}

TEST(TimerWheel, nothing_is_due_at_first) {
  CHECK(wheel.next_deadline() == kNever);
  LONGS_EQUAL(0, wheel.advance(at(1'000'000)));
}

TEST(TimerWheel, calls_the_member_function_once) {
  Heart heart;
  wheel.start(heart.timer, at(1050));
  CHECK(heart.timer.armed());
  CHECK(heart.timer.deadline() == at(1050));
  LONGS_EQUAL(0, wheel.advance(at(1049)));
  LONGS_EQUAL(1, wheel.advance(at(1050)));
  CHECK(!heart.timer.armed());
  LONGS_EQUAL(0, wheel.advance(at(9000)));
  LONGS_EQUAL(1, heart.beats);
}

TEST(TimerWheel, never_fires_early_at_any_distance) {
  for (std::int64_t delay = 1; delay < std::int64_t{1} << 47; delay = delay * 3 + 1) {
    TimerWheel fresh(at(5));
    TestTimer timer;
    fresh.start(timer, at(5 + delay));
    LONGS_EQUAL(0, fresh.advance(at(5 + delay - 1)));
    LONGS_EQUAL(1, fresh.advance(at(5 + delay)));
  }
}

TEST(TimerWheel, a_deadline_of_never_is_not_armed) {
  TestTimer timer(log('x'));
  wheel.start(timer, kNever);
  CHECK(!timer.armed());
  wheel.start(timer, at(2000));
  wheel.start(timer, kNever);
  CHECK(!timer.armed());
  CHECK(wheel.next_deadline() == kNever);
}

TEST(TimerWheel, the_latest_time_but_never_is_armed_and_far_away) {
  TestTimer timer(log('x'));
  wheel.start(timer, kNever - milliseconds(1));
  CHECK(timer.armed());
  LONGS_EQUAL(0, wheel.advance(at(std::int64_t{200} * 366 * 24 * 3600 * 1000)));
}

TEST(TimerWheel, fires_in_the_order_of_deadlines_and_then_of_starts) {
  TestTimer a(log('a')), b(log('b')), c(log('c')), d(log('d')), e(log('e'));
  wheel.start(e, at(900'000));
  wheel.start(c, at(5000));
  wheel.start(a, at(1010));
  wheel.start(d, at(5000));
  wheel.start(b, at(1100));
  wheel.advance(at(1'000'000));
  STRCMP_EQUAL("abcde", fired.c_str());
}

TEST(TimerWheel, equal_deadlines_keep_their_order_from_whatever_level_they_come) {
  TestTimer a(log('a')), b(log('b')), c(log('c'));
  wheel.start(a, at(100'000));
  wheel.advance(at(99'000));
  wheel.start(b, at(100'000));
  wheel.advance(at(99'999));
  wheel.start(c, at(100'000));
  wheel.advance(at(100'000));
  STRCMP_EQUAL("abc", fired.c_str());
}

TEST(TimerWheel, a_million_due_at_once_fire_some_at_a_time_in_their_order) {
  constexpr int kCount = 1'000'000;
  std::vector<std::unique_ptr<TestTimer>> timers;
  int next = 0;
  bool in_order = true;
  for (int i = 0; i != kCount; ++i) {
    timers.push_back(std::make_unique<TestTimer>([&, i] { in_order = in_order && next++ == i; }));
    wheel.start(*timers.back(), at(3'600'000 + i / 100));
  }
  std::size_t advances = 0;
  while (wheel.next_deadline() <= at(4'000'000)) {
    CHECK(wheel.advance(at(4'000'000)) <= TimerWheel::kMostAtOnce);
    ++advances;
  }
  CHECK(in_order);
  LONGS_EQUAL(kCount, next);
  CHECK(advances >= kCount / TimerWheel::kMostAtOnce);
  CHECK(wheel.next_deadline() == kNever);
}

// A slot of a coarse level holds those of minutes; none of them is due when its time begins.
TEST(TimerWheel, a_million_of_the_same_minutes_move_to_finer_levels_some_at_a_time) {
  constexpr std::size_t kCount = 1'000'000;
  std::vector<std::unique_ptr<TestTimer>> timers;
  std::int64_t time = 1000;
  bool in_time = true;
  for (std::size_t i = 0; i != kCount; ++i) {
    const std::int64_t deadline = 10'000'000 + static_cast<std::int64_t>(i % 200'000);
    timers.push_back(std::make_unique<TestTimer>([&, deadline] { in_time = in_time && time >= deadline; }));
    wheel.start(*timers.back(), at(deadline));
  }
  time = 9'999'999;  // within the slot, before any of them
  std::size_t advances = 0;
  for (; wheel.next_deadline() <= at(time); ++advances) LONGS_EQUAL(0, wheel.advance(at(time)));
  CHECK(advances >= kCount / TimerWheel::kMostMoved);
  std::size_t fired_in_all = 0;
  time = 10'200'000;
  while (wheel.next_deadline() <= at(time)) fired_in_all += wheel.advance(at(time));
  LONGS_EQUAL(kCount, fired_in_all);
  CHECK(in_time);
}

TEST(TimerWheel, what_is_started_while_others_are_left_over_keeps_its_place) {
  std::string order;
  std::vector<std::unique_ptr<TestTimer>> timers;
  TestTimer late([&] { order += "late "; });
  TestTimer later([&] { order += "later "; });
  for (std::size_t i = 0; i != TimerWheel::kMostAtOnce + 10; ++i) {
    timers.push_back(std::make_unique<TestTimer>([&, i] {
      if (i == 0) wheel.start(later, at(1900));
      if (i == TimerWheel::kMostAtOnce + 9) order += "last ";
    }));
    wheel.start(*timers.back(), at(1500));
  }
  wheel.start(late, at(1800));
  LONGS_EQUAL(TimerWheel::kMostAtOnce, wheel.advance(at(2000)));
  STRCMP_EQUAL("", order.c_str());
  CHECK(wheel.next_deadline() <= at(2000));
  LONGS_EQUAL(12, wheel.advance(at(2000)));
  STRCMP_EQUAL("last late later ", order.c_str());
}

TEST(TimerWheel, a_deadline_in_the_past_fires_in_the_next_advance_without_time_passing) {
  TestTimer timer(log('x'));
  wheel.start(timer, at(10));
  CHECK(wheel.next_deadline() <= at(1000));
  LONGS_EQUAL(1, wheel.advance(at(1000)));
}

TEST(TimerWheel, a_stopped_timer_does_not_fire) {
  TestTimer timer(log('x'));
  wheel.start(timer, at(1010));
  timer.stop();
  timer.stop();
  LONGS_EQUAL(0, wheel.advance(at(2000)));
}

TEST(TimerWheel, a_destroyed_timer_does_not_fire) {
  {
    TestTimer timer(log('x'));
    wheel.start(timer, at(1010));
  }
  CHECK(wheel.next_deadline() == kNever);
  LONGS_EQUAL(0, wheel.advance(at(2000)));
}

TEST(TimerWheel, starting_again_moves_the_deadline) {
  TestTimer timer(log('x'));
  wheel.start(timer, at(1010));
  wheel.start(timer, at(3000));
  LONGS_EQUAL(0, wheel.advance(at(2999)));
  LONGS_EQUAL(1, wheel.advance(at(3000)));
}

TEST(TimerWheel, a_timer_may_start_itself_while_it_fires) {
  TestTimer* self = nullptr;
  TestTimer timer([&] {
    fired += 'x';
    wheel.start(*self, at(3000));
  });
  self = &timer;
  wheel.start(timer, at(1010));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
  CHECK(timer.armed());
  LONGS_EQUAL(0, wheel.advance(at(2999)));
  LONGS_EQUAL(1, wheel.advance(at(3000)));
}

TEST(TimerWheel, a_timer_that_starts_itself_for_now_waits_for_the_next_advance) {
  TestTimer* self = nullptr;
  TestTimer timer([&] { wheel.start(*self, at(1500)); });
  self = &timer;
  wheel.start(timer, at(1010));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
  CHECK(wheel.next_deadline() <= at(2000));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
  timer.stop();
}

TEST(TimerWheel, a_timer_may_stop_another_that_is_due_in_the_same_advance) {
  TestTimer later(log('l')), same(log('s'));
  TestTimer first([&] {
    later.stop();
    same.stop();
  });
  wheel.start(first, at(1010));
  wheel.start(same, at(1010));
  wheel.start(later, at(1500));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
}

TEST(TimerWheel, a_timer_may_destroy_itself_and_others_while_it_fires) {
  auto other = std::make_unique<TestTimer>(log('o'));
  std::unique_ptr<TestTimer> self;
  self = std::make_unique<TestTimer>([&] {
    other.reset();
    self.reset();
  });
  wheel.start(*self, at(1010));
  wheel.start(*other, at(1010));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
  CHECK(self == nullptr);
  STRCMP_EQUAL("", fired.c_str());
}

TEST(TimerWheel, a_timer_may_put_off_another_that_is_due_in_the_same_advance) {
  TestTimer other(log('o'));
  TestTimer first([&] { wheel.start(other, at(3000)); });
  wheel.start(first, at(1010));
  wheel.start(other, at(1020));
  LONGS_EQUAL(1, wheel.advance(at(2000)));
  LONGS_EQUAL(1, wheel.advance(at(3000)));
}

TEST(TimerWheel, the_next_deadline_is_never_late_and_exact_when_it_is_near) {
  TestTimer timer;
  wheel.start(timer, at(1000 + 40));
  CHECK(wheel.next_deadline() == at(1040));
  wheel.start(timer, at(1000 + 100'000));
  // However long the way down the levels is: each step makes progress and none oversleeps.
  int steps = 0;
  while (timer.armed()) {
    const MonotonicTime next = wheel.next_deadline();
    CHECK(next <= at(101'000));
    wheel.advance(next);
    CHECK(++steps < 8);
  }
}

TEST(TimerWheel, time_that_goes_back_fires_nothing) {
  TestTimer timer(log('x'));
  wheel.advance(at(5000));
  wheel.start(timer, at(5010));
  LONGS_EQUAL(0, wheel.advance(at(10)));
  LONGS_EQUAL(1, wheel.advance(at(5010)));
}

TEST(TimerWheel, adding_a_delay_saturates) {
  CHECK(add_saturating(at(5), milliseconds(10)) == at(15));
  CHECK(add_saturating(at(5), milliseconds(-10)) == at(5));
  CHECK(add_saturating(at(5), milliseconds::max()) == kNever);
  CHECK(add_saturating(kNever, milliseconds(1)) == kNever);
  CHECK(add_saturating(at(-5), milliseconds(10)) == at(5));
}

// A model that knows nothing of wheels: all armed timers with their effective deadline and the order of their starts.
TEST_GROUP(TimerWheelModel){};

TEST(TimerWheelModel, random_operations_fire_the_same_timers_in_the_same_order) {
  struct Armed {
    std::int64_t deadline;
    std::int64_t serial;
    int timer;
    bool operator<(const Armed& other) const {
      return std::tie(deadline, serial) < std::tie(other.deadline, other.serial);
    }
  };
  constexpr int kTimers = 200;
  const unsigned seed = std::random_device{}();
  const std::string trace = "seed " + std::to_string(seed);
  std::mt19937_64 random(seed);

  std::int64_t now = 12345;
  std::int64_t horizon = now;  // starts for this time or before wait for the next advance
  std::int64_t serial = 0;
  TimerWheel wheel(at(now));
  std::vector<Armed> model;
  std::size_t fired = 0;
  std::int64_t last_serial = 0;  // when the advance began
  bool agrees = true;
  std::vector<std::unique_ptr<TestTimer>> timers(kTimers);

  const auto some_delay = [&]() -> std::int64_t {
    const unsigned bits = static_cast<unsigned>(random() % 40);
    return static_cast<std::int64_t>(random() & ((std::uint64_t{1} << bits) - 1)) - 3;
  };
  const auto model_stop = [&](int timer) {
    std::erase_if(model, [&](const Armed& armed) { return armed.timer == timer; });
  };
  const auto start = [&](int timer, std::int64_t deadline) {
    model_stop(timer);
    model.push_back({std::max(deadline, horizon), ++serial, timer});
    wheel.start(*timers[timer], at(deadline));
  };
  const auto random_operation = [&] {
    const int timer = static_cast<int>(random() % kTimers);
    switch (random() % 8) {
      case 0:
        model_stop(timer);
        if (timers[timer] != nullptr) timers[timer]->stop();
        break;
      case 1:
        model_stop(timer);
        timers[timer] = nullptr;
        break;
      default:
        if (timers[timer] != nullptr) start(timer, now + some_delay());
    }
  };
  const auto make = [&](int timer) {
    timers[timer] = std::make_unique<TestTimer>([&, timer] {
      // It must be the earliest of all; what this advance started comes after all that was due when it began.
      const auto earliest = std::min_element(model.begin(), model.end());
      agrees = agrees && earliest != model.end() && earliest->timer == timer && earliest->deadline <= now &&
               earliest->serial <= last_serial;
      ++fired;
      model_stop(timer);
      for (std::uint64_t operations = random() % 3; operations > 0; --operations) random_operation();
    });
  };

  for (int round = 0; round < 20'000; ++round) {
    for (int timer = 0; timer < kTimers; ++timer) {
      if (timers[timer] == nullptr) make(timer);
    }
    for (std::uint64_t operations = random() % 4; operations > 0; --operations) random_operation();

    const std::int64_t passed = std::max<std::int64_t>(some_delay() / 4, 0);
    now += passed;
    horizon = now;
    last_serial = serial;
    fired = 0;
    const std::size_t count = wheel.advance(at(now));
    CHECK_TEXT(agrees, trace.c_str());
    LONGS_EQUAL_TEXT(fired, count, trace.c_str());
    for (const Armed& left : model) {
      CHECK_TEXT(left.deadline > now || left.serial > last_serial, trace.c_str());  // nothing due was forgotten
    }
    const auto earliest = std::min_element(model.begin(), model.end());
    const MonotonicTime next = wheel.next_deadline();
    CHECK_EQUAL_TEXT(model.empty(), next == kNever, trace.c_str());
    if (!model.empty()) CHECK_TEXT(next <= at(earliest->deadline), trace.c_str());
  }
}

}  // namespace mqloop::event
