#include "core/event/reactor.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <string>
#include <thread>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using std::chrono::milliseconds;
using testing::mail;
using testing::TestReactor;
using Wait = Reactor::Wait;

struct CountingHandler final : TurnHandler {
  void on_turn() noexcept override {
    ++turns;
    at_turn();
    if (asks-- > 0) loop->request_turn();
  }
  Loop* loop = nullptr;
  int turns = 0;
  int asks = 0;
  std::function<void()> at_turn = [] {};
};

milliseconds thread_time() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return milliseconds(time.tv_sec * 1000 + time.tv_nsec / 1'000'000);
}

}  // namespace

TEST_GROUP(Reactor) { TestReactor reactor; };

TEST(Reactor, a_turn_without_waiting_comes_back_at_once) {
  CHECK(reactor->run_once(Wait::kNo).ok());
  LONGS_EQUAL(1, reactor->statistics().turns);
  CHECK(reactor->event_base() != nullptr);
}

TEST(Reactor, mail_posted_before_it_runs_is_delivered) {
  bool ran = false;
  reactor->post(mail([&] { ran = true; }));
  CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  CHECK(ran);
}

TEST(Reactor, mail_from_its_own_turn_does_not_wait) {
  int hops = 0;
  std::function<void()> hop = [&] {
    if (++hops < 1000) reactor->post(mail(hop));
  };
  reactor->post(mail(hop));
  CHECK(reactor.turn_until([&] { return hops == 1000; }));
}

TEST(Reactor, a_timer_ends_the_wait_and_is_not_early) {
  const auto began = std::chrono::steady_clock::now();
  bool fired = false;
  reactor->call_after(
      milliseconds(50), [](void* flag) noexcept { *static_cast<bool*>(flag) = true; }, &fired);
  while (!fired) CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= milliseconds(49));  // the reactor counts whole milliseconds
  CHECK(reactor->statistics().turns < 20);
}

TEST(Reactor, a_nearer_timer_started_later_ends_the_wait_first) {
  struct Flag {
    bool fired = false;
  } far, near;
  const auto set = [](void* flag) noexcept { static_cast<Flag*>(flag)->fired = true; };
  reactor->call_after(std::chrono::hours(5), set, &far);
  CHECK(reactor->run_once(Wait::kNo).ok());
  reactor->call_after(milliseconds(10), set, &near);
  while (!near.fired) CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  CHECK(!far.fired);
}

TEST(Reactor, the_time_seen_by_a_descriptor_event_is_that_after_the_wait) {
  int ends[2];
  LONGS_EQUAL(0, pipe(ends));
  struct Seen {
    Reactor* reactor;
    MonotonicTime time;
  } seen{reactor.reactor.get(), {}};
  ::event readable;
  event_assign(
      &readable, reactor->event_base(), ends[0], EV_READ,
      [](int, short, void* s) { static_cast<Seen*>(s)->time = static_cast<Seen*>(s)->reactor->now(); }, &seen);
  event_add(&readable, nullptr);
  CHECK(reactor->run_once(Wait::kNo).ok());
  const MonotonicTime before = reactor->now();
  std::this_thread::sleep_for(milliseconds(30));
  LONGS_EQUAL(1, write(ends[1], "x", 1));
  CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  CHECK(seen.time >= before + milliseconds(29));
  close(ends[0]);
  close(ends[1]);
}

TEST(Reactor, a_requested_turn_does_not_wait) {
  CountingHandler handler;
  handler.loop = reactor.reactor.get();
  handler.asks = 3;
  reactor->set_turn_handler(&handler);
  for (int i = 0; i < 3; ++i) CHECK(reactor->run_once(i == 0 ? Wait::kNo : Wait::kUntilSomethingHappens).ok());
  CHECK(reactor->turn_requested());
  CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  CHECK(!reactor->turn_requested());
  LONGS_EQUAL(4, handler.turns);
}

TEST(Reactor, stopped_before_it_runs_it_returns_at_once) {
  reactor->stop();
  CHECK(reactor->run().ok());
}

TEST(Reactor, may_be_stopped_from_a_turn) {
  reactor->post(mail([this] { reactor->stop(); }));
  CHECK(reactor->run().ok());
  LONGS_EQUAL(1, reactor->statistics().turns);
}

TEST(Reactor, several_live_side_by_side_on_one_thread) {
  TestReactor other;
  std::string ran;
  other->post(mail([&] { ran += 'b'; }));
  reactor->post(mail([&] {
    ran += 'a';
    other->post(mail([&] { ran += 'c'; }));
  }));
  CHECK(reactor->run_once(Wait::kUntilSomethingHappens).ok());
  CHECK(other->run_once(Wait::kUntilSomethingHappens).ok());
  STRCMP_EQUAL("abc", ran.c_str());
}

// A reactor in a base that an embedding program turns.
TEST_GROUP(LentReactor) {
  ::event_base* base = event_base_new();
  CountingHandler handler;
  void teardown() override { event_base_free(base); }

  void turn_for(milliseconds duration) {
    const timeval end{0, static_cast<suseconds_t>(duration.count() * 1000)};
    event_base_loopexit(base, &end);
    event_base_dispatch(base);
  }
};

TEST(LentReactor, leaves_the_base_to_its_owner) {
  { TestReactor reactor(base); }
  LONGS_EQUAL(1, event_base_loop(base, EVLOOP_NONBLOCK));  // no event is left in it
}

TEST(LentReactor, takes_no_turn_without_work) {
  TestReactor reactor(base);
  reactor->set_turn_handler(&handler);
  turn_for(milliseconds(30));
  LONGS_EQUAL(0, handler.turns);
}

TEST(LentReactor, the_first_work_makes_one_turn_after_all_events_that_are_ready) {
  TestReactor reactor(base);
  reactor->set_turn_handler(&handler);
  handler.loop = reactor.reactor.get();
  int ends[2][2];
  struct Asked {
    CountingHandler* handler;
    int before_turn = 0;
  } asked{&handler};
  ::event readable[2];
  for (int i = 0; i < 2; ++i) {
    LONGS_EQUAL(0, pipe(ends[i]));
    LONGS_EQUAL(1, write(ends[i][1], "x", 1));
    event_assign(
        &readable[i], base, ends[i][0], EV_READ,
        [](int, short, void* argument) {
          auto* state = static_cast<Asked*>(argument);
          state->handler->loop->request_turn();
          if (state->handler->turns == 0) ++state->before_turn;
        },
        &asked);
    event_add(&readable[i], nullptr);
  }
  turn_for(milliseconds(30));
  LONGS_EQUAL(2, asked.before_turn);
  LONGS_EQUAL(1, handler.turns);
  for (auto& pair : ends) {
    close(pair[0]);
    close(pair[1]);
  }
}

TEST(LentReactor, mail_and_timers_make_turns) {
  TestReactor reactor(base);
  bool mailed = false, fired = false;
  reactor->post(mail([&] { mailed = true; }));
  reactor->call_after(
      milliseconds(20), [](void* flag) noexcept { *static_cast<bool*>(flag) = true; }, &fired);
  turn_for(milliseconds(60));
  CHECK(mailed);
  CHECK(fired);
}

TEST(LentReactor, work_that_is_left_does_not_keep_descriptors_waiting) {
  TestReactor reactor(base);
  reactor->set_turn_handler(&handler);
  handler.loop = reactor.reactor.get();
  handler.asks = 100'000;
  int ends[2];
  LONGS_EQUAL(0, pipe(ends));
  ::event readable;
  event_assign(
      &readable, base, ends[0], EV_READ,
      [](int, short, void* argument) { event_base_loopbreak(static_cast<::event_base*>(argument)); }, base);
  event_add(&readable, nullptr);
  handler.at_turn = [&] {
    if (handler.turns == 3) (void)!write(ends[1], "x", 1);
  };
  reactor->request_turn();
  event_base_dispatch(base);
  CHECK(event_base_got_break(base) != 0);
  CHECK(handler.turns <= 5);
  close(ends[0]);
  close(ends[1]);
}

TEST_GROUP(ThreadedReactor){};

TEST(ThreadedReactor, runs_mail_from_other_threads_in_their_order_and_stops) {
  constexpr int kEach = 20'000;
  TestReactor reactor;
  int expected[2] = {0, 0};
  bool in_order = true;
  int done = 0;
  std::thread senders[2];
  bool ran_well = false;
  std::thread runner([&] { ran_well = reactor->run().ok(); });
  for (int sender = 0; sender < 2; ++sender) {
    senders[sender] = std::thread([&, sender] {
      for (int number = 0; number < kEach; ++number) {
        reactor->post(mail([&, sender, number] {
          in_order = in_order && expected[sender]++ == number;
          if (number == kEach - 1 && ++done == 2) reactor->stop();
        }));
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  runner.join();
  CHECK(ran_well);
  CHECK(in_order);
  LONGS_EQUAL(kEach, expected[0]);
  LONGS_EQUAL(kEach, expected[1]);
}

TEST(ThreadedReactor, an_idle_one_sleeps_and_is_woken_by_another_thread) {
  TestReactor reactor;
  milliseconds used{0};
  bool ran_well = false;
  std::thread runner([&] {
    ran_well = reactor->run().ok();
    used = thread_time();
  });
  std::this_thread::sleep_for(milliseconds(300));
  reactor->stop();
  runner.join();
  CHECK(ran_well);
  CHECK(used < milliseconds(100));
  CHECK(reactor->statistics().turns < 20);
}

TEST(ThreadedReactor, two_send_mail_back_and_forth) {
  constexpr int kRounds = 2000;
  TestReactor reactors[2];
  int hops = 0;  // handed from thread to thread by the mail itself
  std::function<void(int)> hop = [&](int to) {
    reactors[to]->post(mail([&, to] {
      if (++hops == kRounds) {
        reactors[0]->stop();
        reactors[1]->stop();
      } else {
        hop(1 - to);
      }
    }));
  };
  hop(0);
  bool other_ran_well = false;
  std::thread other([&] { other_ran_well = reactors[1]->run().ok(); });
  CHECK(reactors[0]->run().ok());
  other.join();
  CHECK(other_ran_well);
  LONGS_EQUAL(kRounds, hops);
}

}  // namespace mqloop::event
