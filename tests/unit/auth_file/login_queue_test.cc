#include "plugins/auth_file/login_queue.h"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/auth_file/fake_reactor.h"

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::auth_file;
using namespace mqloop::auth_file_test;

namespace {

constexpr char kBadPassword[] = "Bad User Name or Password | bad user name or password | bad_password";
constexpr char kUnknownUser[] = "Bad User Name or Password | bad user name or password | unknown_user";
constexpr char kBusy[] = "Server busy | too many clients log in at once: try again later | busy";

std::atomic<std::int64_t> test_time{3'600'000};

MonotonicTime test_now() noexcept { return MonotonicTime(std::chrono::milliseconds(test_time.load())); }
void pass(std::chrono::milliseconds time) { test_time += time.count(); }

std::string line(const std::string& name, const std::string& password, std::uint32_t ln = 1) {
  return name + ':' + password::to_text(*password::make_hash({password::Scheme::kScrypt, ln, 1, 1}, password)) + '\n';
}

password::PasswordFile users_of(const std::string& text) {
  password::Mistakes mistakes;
  password::PasswordFile users = password::PasswordFile::parse(text, mistakes);
  LONGS_EQUAL(0, mistakes.count);
  return users;
}

}  // namespace

TEST_GROUP(LoginQueue) {
  FakeReactor reactor;
  Ref<LoginQueue> logins;

  void open(const std::string& text, const LoginLimits& limits = {}) {
    logins = Ref<LoginQueue>::adopt(new LoginQueue(users_of(text), limits, test_now));
    CHECK(logins->open().ok());
  }
  Asked ask(std::string_view user, std::string_view password) {
    Asked asked;
    logins->login(reactor, user, password, asked.reply());
    return asked;
  }
  std::string answer(std::string_view user, std::string_view password) {
    const Asked asked = ask(user, password);
    reactor.work_off();
    return asked.answer();
  }
  [[nodiscard]] std::size_t hashes() const { return logins->counts().hashes; }
  void teardown() override { reactor.work_off(); }
};

TEST(LoginQueue, right_password_is_in_and_nothing_else_is) {
  open(line("bob", "b") + line("eve", "e"));
  STRCMP_EQUAL("in", answer("bob", "b").c_str());
  STRCMP_EQUAL("in", answer("eve", "e").c_str());
  STRCMP_EQUAL(kBadPassword, answer("bob", "e").c_str());
  STRCMP_EQUAL(kBadPassword, answer("bob", "").c_str());
  STRCMP_EQUAL(kUnknownUser, answer("Bob", "b").c_str());
  STRCMP_EQUAL(kUnknownUser, answer("", "b").c_str());
}

TEST(LoginQueue, no_hash_is_computed_on_the_reactor) {
  open(line("bob", "b"));
  const Asked asked = ask("bob", "b");
  STRCMP_EQUAL("waits", asked.answer().c_str());
  LONGS_EQUAL(0, hashes());
  LONGS_EQUAL(1, reactor.waiting.size());
  reactor.work_off();
  STRCMP_EQUAL("in", asked.answer().c_str());
  LONGS_EQUAL(1, hashes());
}

TEST(LoginQueue, cve_2021_46434_a_stranger_costs_what_a_wrong_password_costs) {
  open(line("bob", "b"));
  (void)answer("bob", "wrong");
  LONGS_EQUAL(1, hashes());
  (void)answer("stranger", "wrong");
  LONGS_EQUAL(2, hashes());
  // And with the password of the user that it is measured with: still nobody.
  STRCMP_EQUAL(kUnknownUser, answer("stranger", "b").c_str());
  LONGS_EQUAL(3, hashes());
}

TEST(LoginQueue, cve_2021_46434_a_stranger_and_a_wrong_password_are_told_the_same) {
  open(line("bob", "b"));
  const std::string wrong = answer("bob", "x");
  const std::string unknown = answer("eve", "x");
  STRCMP_EQUAL(wrong.substr(0, wrong.rfind('|')).c_str(), unknown.substr(0, unknown.rfind('|')).c_str());
}

TEST(LoginQueue, nobody_is_in_an_empty_file) {
  open("");
  STRCMP_EQUAL(kUnknownUser, answer("bob", "").c_str());
  LONGS_EQUAL(1, hashes());
}

// ---- the cache -----------------------------------------------------------------------------------------------------

TEST(LoginQueue, who_was_right_comes_back_without_a_hash) {
  open(line("bob", "b"));
  (void)answer("bob", "b");
  STRCMP_EQUAL("in", ask("bob", "b").answer().c_str());
  LONGS_EQUAL(1, hashes());
  LONGS_EQUAL(1, logins->counts().cached);
  pass(60s);
  STRCMP_EQUAL("in", answer("bob", "b").c_str());
  LONGS_EQUAL(2, hashes());
}

TEST(LoginQueue, mosquitto_1_4_15_who_was_wrong_costs_one_hash_however_wrong_and_however_often) {
  open(line("bob", "secret"));
  for (const char* wrong : {"xecret", "secrex", "secre", "secrets", "", "x", "x", "x"}) {
    STRCMP_EQUAL(kBadPassword, answer("bob", wrong).c_str());
  }
  LONGS_EQUAL(8, hashes());
  for (int i = 0; i < 3; ++i) STRCMP_EQUAL(kUnknownUser, answer("eve", "secret").c_str());
  LONGS_EQUAL(11, hashes());
}

TEST(LoginQueue, right_password_in_the_cache_helps_no_wrong_one) {
  open(line("bob", "b"));
  (void)answer("bob", "b");
  STRCMP_EQUAL(kBadPassword, answer("bob", "x").c_str());
  STRCMP_EQUAL(kUnknownUser, answer("eve", "b").c_str());
}

TEST(LoginQueue, storm_of_10000_verified_clients_costs_no_hash) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += line("u" + std::to_string(i), "p" + std::to_string(i));
  open(text);
  for (int i = 0; i < 100; ++i) STRCMP_EQUAL("in", answer("u" + std::to_string(i), "p" + std::to_string(i)).c_str());
  LONGS_EQUAL(100, hashes());
  for (int i = 0; i < 10'000; ++i) {
    const std::string number = std::to_string(i % 100);
    STRCMP_EQUAL("in", ask("u" + number, "p" + number).answer().c_str());
  }
  LONGS_EQUAL(100, hashes());
  LONGS_EQUAL(10'000, logins->counts().cached);
  LONGS_EQUAL(0, logins->counts().busy);
}

TEST(LoginQueue, instance_that_reads_the_file_again_knows_nobody_from_before) {
  open(line("bob", "b"));
  (void)answer("bob", "b");
  open(line("bob", "new"));
  STRCMP_EQUAL(kBadPassword, answer("bob", "b").c_str());
}

// ---- many at a time ------------------------------------------------------------------------------------------------

TEST(LoginQueue, clients_with_the_same_credentials_share_one_hash) {
  open(line("bob", "b"));
  std::vector<Asked> right;
  std::vector<Asked> wrong;
  for (int i = 0; i < 400; ++i) {
    right.push_back(ask("bob", "b"));
    wrong.push_back(ask("bob", "x"));
  }
  LONGS_EQUAL(2, reactor.waiting.size());
  reactor.work_off();
  LONGS_EQUAL(2, hashes());
  LONGS_EQUAL(798, logins->counts().joined);
  for (const Asked& asked : right) STRCMP_EQUAL("in", asked.answer().c_str());
  for (const Asked& asked : wrong) STRCMP_EQUAL(kBadPassword, asked.answer().c_str());
}

TEST(LoginQueue, beyond_max_waiting_clients_are_refused_with_server_busy) {
  open(line("bob", "b"), {.most_waiting = 3});
  const Asked one = ask("bob", "b");
  const Asked two = ask("bob", "x");
  const Asked three = ask("bob", "b");  // joins the first
  const Asked four = ask("eve", "e");
  const Asked five = ask("bob", "b");
  STRCMP_EQUAL(kBusy, four.answer().c_str());
  STRCMP_EQUAL(kBusy, five.answer().c_str());
  LONGS_EQUAL(2, logins->counts().busy);
  reactor.work_off();
  STRCMP_EQUAL("in", one.answer().c_str());
  STRCMP_EQUAL(kBadPassword, two.answer().c_str());
  STRCMP_EQUAL("in", three.answer().c_str());
  // And there is room again.
  STRCMP_EQUAL(kUnknownUser, answer("eve", "e").c_str());
  LONGS_EQUAL(3, hashes());
}

TEST(LoginQueue, who_is_in_the_cache_is_let_in_however_many_wait) {
  open(line("bob", "b") + line("eve", "e"), {.most_waiting = 1});
  (void)answer("bob", "b");
  const Asked waits = ask("eve", "e");
  STRCMP_EQUAL("in", ask("bob", "b").answer().c_str());
}

TEST(LoginQueue, pool_that_takes_no_more_is_server_busy) {
  open(line("bob", "b"));
  reactor.takes_work = false;
  STRCMP_EQUAL(kBusy, answer("bob", "b").c_str());
  reactor.takes_work = true;
  STRCMP_EQUAL("in", answer("bob", "b").c_str());
}

TEST(LoginQueue, who_waited_too_long_is_refused_without_a_hash) {
  open(line("bob", "b"));
  const Asked early = ask("bob", "b");
  pass(1001ms);
  const Asked late = ask("bob", "x");
  reactor.work_off();
  STRCMP_EQUAL(kBusy, early.answer().c_str());
  STRCMP_EQUAL(kBadPassword, late.answer().c_str());
  LONGS_EQUAL(1, hashes());
  LONGS_EQUAL(1, logins->counts().busy);
}

TEST(LoginQueue, refusals_for_want_of_time_are_told_once_a_minute) {
  open(line("bob", "b"), {.most_waiting = 1});
  const Asked waits = ask("bob", "b");
  for (int i = 0; i < 100; ++i) STRCMP_EQUAL(kBusy, ask("eve", "e").answer().c_str());
  LONGS_EQUAL(1, reactor.lines.lines().size());
  pass(1min);
  STRCMP_EQUAL(kBusy, ask("eve", "e").answer().c_str());
  LONGS_EQUAL(2, reactor.lines.lines().size());
  STRCMP_EQUAL("auth_file: more logins than passwords can be checked waiting=1 left_out=99",
               reactor.lines.lines().back().c_str());
}

TEST(LoginQueue, no_password_is_in_a_log_line) {
  open(line("bob", "b"), {.most_waiting = 1});
  const Asked waits = ask("bob", "canary-1");
  (void)ask("bob", "canary-2");
  reactor.work_off();
  for (const std::string& told : reactor.lines.lines()) CHECK(told.find("canary") == std::string::npos);
}

TEST(LoginQueue, work_may_end_after_the_instance_that_began_it) {
  open(line("bob", "b"));
  const Asked asked = ask("bob", "b");
  logins = nullptr;
  reactor.work_off();
  STRCMP_EQUAL("in", asked.answer().c_str());
}

// ---- several threads -----------------------------------------------------------------------------------------------

TEST_GROUP(ThreadedLoginQueue){};

TEST(ThreadedLoginQueue, reactors_and_workers_meet_in_order) {
  constexpr int kReactors = 3;
  constexpr int kClients = 300;
  std::string text;
  for (int i = 0; i < 10; ++i) text += line("u" + std::to_string(i), "p");
  const auto logins = Ref<LoginQueue>::adopt(new LoginQueue(users_of(text), {}, test_now));
  CHECK(logins->open().ok());

  // Each thread is a reactor that asks and the worker of what it asked; who joins is answered by another's.
  std::array<std::vector<Asked>, kReactors> asked;
  std::vector<std::thread> threads;
  for (int r = 0; r < kReactors; ++r) {
    threads.emplace_back([&, r] {
      FakeReactor reactor;
      for (int i = 0; i < kClients; ++i) {
        logins->login(reactor, "u" + std::to_string(i % 20), i % 3 == 0 ? "x" : "p", asked[r].emplace_back().reply());
        if (i % 7 == 0) reactor.work_off();
      }
      reactor.work_off();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_one : asked) {
    for (int i = 0; i < kClients; ++i) {
      const char* const expected = i % 20 >= 10 ? kUnknownUser : i % 3 == 0 ? kBadPassword : "in";
      STRCMP_EQUAL(expected, of_one[static_cast<std::size_t>(i)].answer().c_str());
    }
  }
  const LoginCounts& counts = logins->counts();
  LONGS_EQUAL(kReactors * kClients, counts.hashes + counts.cached + counts.joined);
}
