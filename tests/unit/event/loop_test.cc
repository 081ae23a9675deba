#include "core/event/loop.h"

#include <functional>
#include <string>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using std::chrono::milliseconds;
using testing::mail;

// A loop whose turns a test runs itself: what a simulation does.
class SteppedLoop final : public Loop, private TurnHandler {
 public:
  SteppedLoop(Clock& clock, Log& log) : Loop({.index = 3, .clock = clock, .log = log}) { set_turn_handler(this); }
  void turn() {
    forget_time();
    run_turn();
  }
  std::function<void()> at_turn = [] {};
  int wakes = 0;

 private:
  void wake() noexcept override { ++wakes; }
  void on_turn() noexcept override { at_turn(); }
};

struct Letter : Timer {
  Letter(std::string& to, char what) : text(to), letter(what) {}
  void fire() noexcept override { text += letter; }
  std::string& text;
  char letter;
};

}  // namespace

TEST_GROUP(Loop) {
  testing::ManualClock clock;
  testing::LineLog log;
  SteppedLoop loop{clock, log};
  std::string ran;
};

TEST(Loop, answers_as_a_reactor_api) {
  ReactorApi& api = loop;
  LONGS_EQUAL(3, api.index());
  POINTERS_EQUAL(nullptr, api.event_base());
  POINTERS_EQUAL(&log, &api.log());
  LONGS_EQUAL(65536, loop.scratch().size());
}

TEST(Loop, a_turn_is_mailbox_then_timers_then_handler) {
  Letter timer(ran, 't');
  loop.at_turn = [this] { ran += 'h'; };
  loop.timers().start(timer, loop.now() + milliseconds(5));
  loop.post(mail([this] { ran += 'm'; }));
  clock.time += 5;
  loop.turn();
  STRCMP_EQUAL("mth", ran.c_str());
}

TEST(Loop, all_in_a_turn_see_the_same_time) {
  MonotonicTime in_mail, in_handler;
  loop.post(mail([&] {
    clock.time += 50;
    in_mail = loop.now();
  }));
  loop.at_turn = [&] { in_handler = loop.now(); };
  const MonotonicTime began = clock.now();
  loop.turn();
  CHECK(in_mail == began);
  CHECK(in_handler == began);
  CHECK(loop.now() == clock.now());
  CHECK(loop.wall_now() == clock.wall_now());
}

TEST(Loop, the_first_piece_of_mail_wakes_and_the_next_do_not) {
  loop.post(mail([] {}));
  loop.post(mail([] {}));
  LONGS_EQUAL(1, loop.wakes);
  loop.turn();
  loop.post(mail([] {}));
  LONGS_EQUAL(2, loop.wakes);
  LONGS_EQUAL(2, loop.statistics().mail);
}

TEST(Loop, posted_calls_and_posted_mail_share_one_order) {
  ReactorApi& api = loop;
  api.post([](void* text) noexcept { *static_cast<std::string*>(text) += 'a'; }, &ran);
  loop.post(mail([this] { ran += 'b'; }));
  api.post([](void* text) noexcept { *static_cast<std::string*>(text) += 'c'; }, &ran);
  loop.turn();
  STRCMP_EQUAL("abc", ran.c_str());
}

TEST(Loop, a_call_after_a_delay_comes_once_and_not_before) {
  loop.call_after(
      milliseconds(100), [](void* text) noexcept { *static_cast<std::string*>(text) += 'x'; }, &ran);
  clock.time += 99;
  loop.turn();
  STRCMP_EQUAL("", ran.c_str());
  clock.time += 1;
  loop.turn();
  loop.turn();
  STRCMP_EQUAL("x", ran.c_str());
}

TEST(Loop, a_call_after_for_ever_never_comes_and_is_not_leaked) {
  loop.call_after(
      milliseconds::max(), [](void*) noexcept { FAIL("too early"); }, nullptr);
  clock.time += 1'000'000'000'000;
  loop.turn();
  CHECK(loop.timers().next_deadline() == kNever);
}

TEST(Loop, a_request_before_the_handler_is_met_by_this_turn) {
  loop.post(mail([this] { loop.request_turn(); }));
  loop.turn();
  CHECK(!loop.turn_requested());
}

TEST(Loop, a_request_of_the_handler_asks_for_another_turn) {
  loop.at_turn = [this] { loop.request_turn(); };
  loop.turn();
  CHECK(loop.turn_requested());
  loop.at_turn = [] {};
  loop.turn();
  CHECK(!loop.turn_requested());
}

TEST(Loop, mail_that_came_during_the_turn_asks_for_another) {
  loop.post(mail([this] { loop.post(mail([this] { ran += 'x'; })); }));
  loop.turn();
  STRCMP_EQUAL("", ran.c_str());
  CHECK(loop.turn_requested());
  loop.turn();
  STRCMP_EQUAL("x", ran.c_str());
  CHECK(!loop.turn_requested());
}

TEST(Loop, a_timer_that_is_due_already_asks_for_another_turn) {
  Letter timer(ran, 't');
  loop.at_turn = [&] { loop.timers().start(timer, loop.now()); };
  loop.turn();
  CHECK(loop.turn_requested());
  loop.at_turn = [] {};
  loop.turn();
  STRCMP_EQUAL("t", ran.c_str());
}

TEST(Loop, counts_long_turns) {
  loop.turn();
  loop.at_turn = [this] { clock.time += 100; };
  loop.turn();
  loop.at_turn = [this] { clock.time += 99; };
  loop.turn();
  LONGS_EQUAL(3, loop.statistics().turns);
  LONGS_EQUAL(1, loop.statistics().long_turns);
  CHECK(loop.statistics().longest_turn == milliseconds(100));
}

TEST(Loop, refuses_work_without_a_worker_pool) {
  CHECK(!loop.submit([](void*) noexcept {}, [](void*) noexcept {}, nullptr));
}

}  // namespace mqloop::event
