#include <thread>
#include <utility>
#include <vector>

// Before CppUTest, whose macros rename `new`.
#include "tests/unit/broker/hook_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::broker::hook_test;
using detail::AnswerKind;
using detail::PendingAnswer;

namespace {

struct Waiter final : AnswerWaiter {
  void on_answer() noexcept override { ++calls; }
  int calls = 0;
};

}  // namespace

TEST_GROUP(PendingAnswer) {
  ManualClock clock;
  RememberingLog log;
  FakeLoop loop{clock, log};
  Ref<AnswerGate> gate = AnswerGate::open(loop);
  Ref<PendingAnswer> pending = fresh_answer(gate);
  Waiter waiter;

  AuthReply reply() {
    pending->add_ref();
    return AuthReply(pending.get());
  }
};

TEST(PendingAnswer, answered_in_the_hook_is_seen_when_it_returns) {
  reply().accept();
  CHECK_TRUE(pending->detach());
  CHECK(pending->kind() == AnswerKind::kAccept);
  CHECK_FALSE(loop.take_wake());
}

TEST(PendingAnswer, answered_after_the_hook_comes_by_mail) {
  AuthReply later = reply();
  CHECK_FALSE(pending->detach());
  pending->wait(waiter);
  later.reject(ReasonCode::kBanned, "no");
  LONGS_EQUAL(0, waiter.calls);
  loop.turn();
  LONGS_EQUAL(1, waiter.calls);
  CHECK(pending->kind() == AnswerKind::kReject);
  CHECK(pending->code() == ReasonCode::kBanned);
  CHECK(pending->text() == "no");
}

TEST(PendingAnswer, abandoned_before_its_answer_sends_no_mail) {
  AuthReply later = reply();
  CHECK_FALSE(pending->detach());
  pending->wait(waiter);
  pending->abandon();
  later.accept();
  CHECK_FALSE(loop.take_wake());
}

TEST(PendingAnswer, abandoned_with_its_answer_in_the_mail_finds_no_waiter) {
  AuthReply later = reply();
  CHECK_FALSE(pending->detach());
  pending->wait(waiter);
  later.accept();
  pending->abandon();
  loop.turn();
  LONGS_EQUAL(0, waiter.calls);
}

TEST(PendingAnswer, moved_reply_is_one_reply) {
  {
    AuthReply first = reply();
    AuthReply second = std::move(first);
    first.accept();  // NOLINT(bugprone-use-after-move): a moved-from reply has nothing to say
    std::vector<AuthReply> kept;
    kept.push_back(std::move(second));
    kept.push_back(reply());
    kept.front() = std::move(kept.back());
    CHECK_FALSE(pending->reuse());
  }
  CHECK_TRUE(pending->detach());
  CHECK(pending->kind() == AnswerKind::kDropped);
  CHECK_TRUE(pending->reuse());
}

TEST(PendingAnswer, reused_one_has_forgotten_everything) {
  reply().accept("alice");
  CHECK_TRUE(pending->detach());
  CHECK_TRUE(pending->reuse());
  CHECK_FALSE(pending->detach());
  pending->wait(waiter);
  reply().pass();
  loop.turn();
  LONGS_EQUAL(1, waiter.calls);
  CHECK(pending->kind() == AnswerKind::kPass);
  CHECK(pending->text().empty());
}

TEST(PendingAnswer, shut_gate_lets_nothing_through) {
  AuthReply later = reply();
  CHECK_FALSE(pending->detach());
  pending->wait(waiter);
  gate->shut();
  later.accept();
  CHECK_FALSE(loop.take_wake());
}

TEST_GROUP(ThreadedPendingAnswer){};

TEST(ThreadedPendingAnswer, gate_may_be_shut_while_answers_come) {
  for (int round = 0; round < 50; ++round) {
    ManualClock clock;
    RememberingLog log;
    auto loop = std::make_unique<FakeLoop>(clock, log);
    Ref<AnswerGate> gate = AnswerGate::open(*loop);
    std::vector<AuthReply> replies;
    for (int i = 0; i < 20; ++i) {
      auto pending = fresh_answer(gate);
      CHECK_FALSE(pending->detach());
      replies.emplace_back(pending.release());
    }
    std::thread answering([mine = std::move(replies)]() mutable { mine.clear(); });
    gate->shut();
    loop.reset();
    answering.join();
  }
}
