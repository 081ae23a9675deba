#include "core/broker/pending_answer.h"

#include <mqloop/plugin.h>

#include "core/event/loop.h"
#include "core/event/mailbox.h"

namespace mqloop::broker {

void AnswerGate::post(std::unique_ptr<event::MailNode> mail) noexcept {
  const std::lock_guard lock(mutex_);
  if (loop_ != nullptr) loop_->post(std::move(mail));
}

void AnswerGate::shut() noexcept {
  const std::lock_guard lock(mutex_);
  loop_ = nullptr;
}

}  // namespace mqloop::broker

namespace mqloop::detail {

class PendingAnswer::Mail final : public event::MailNode {
 public:
  explicit Mail(PendingAnswer& answer) noexcept : answer_(Ref<PendingAnswer>::share(&answer)) {}
  void run() noexcept override {
    if (broker::AnswerWaiter* waiter = std::exchange(answer_->waiter_, nullptr)) waiter->on_answer();
  }

 private:
  Ref<PendingAnswer> answer_;
};

PendingAnswer::PendingAnswer(Ref<broker::AnswerGate> gate) noexcept : gate_(std::move(gate)) {}

void PendingAnswer::answer(AnswerKind kind, ReasonCode code, std::string_view text, std::string_view data,
                           Ref<AuthState> state) noexcept {
  if (claimed_.exchange(true, std::memory_order_relaxed)) return;
  kind_ = kind;
  code_ = code;
  text_.assign(text);
  data_.assign(data);
  auth_state_ = std::move(state);
  if (state_.exchange(State::kAnswered, std::memory_order_acq_rel) == State::kDetached) {
    gate_->post(std::make_unique<Mail>(*this));
  }
}

bool PendingAnswer::detach() noexcept {
  State expected = State::kInHook;
  return !state_.compare_exchange_strong(expected, State::kDetached, std::memory_order_acq_rel);
}

void PendingAnswer::abandon() noexcept {
  waiter_ = nullptr;
  State expected = State::kDetached;
  state_.compare_exchange_strong(expected, State::kAbandoned, std::memory_order_acq_rel);
}

bool PendingAnswer::reuse() noexcept {
  if (references_.load(std::memory_order_acquire) != 1) return false;
  claimed_.store(false, std::memory_order_relaxed);
  state_.store(State::kInHook, std::memory_order_relaxed);
  text_.clear();
  data_.clear();
  auth_state_ = nullptr;
  waiter_ = nullptr;
  return true;
}

}  // namespace mqloop::detail

namespace mqloop {

using detail::AnswerKind;

namespace {

// A reply that was moved from has nothing to say.
void answer(detail::PendingAnswer* pending, AnswerKind kind, ReasonCode code = ReasonCode::kSuccess,
            std::string_view text = {}, std::string_view data = {}, Ref<AuthState> state = nullptr) noexcept {
  if (pending != nullptr) pending->answer(kind, code, text, data, std::move(state));
}

void let_go(detail::PendingAnswer* pending) noexcept {
  if (pending == nullptr) return;
  pending->answer(AnswerKind::kDropped);
  pending->drop_ref();
}

}  // namespace

AuthReply::~AuthReply() { let_go(pending_); }
void AuthReply::accept() noexcept { answer(pending_, AnswerKind::kAccept); }
void AuthReply::accept(std::string_view user_name) noexcept {
  answer(pending_, AnswerKind::kAcceptAs, ReasonCode::kSuccess, user_name);
}
void AuthReply::accept_with(std::string_view authentication_data) noexcept {
  answer(pending_, AnswerKind::kAccept, ReasonCode::kSuccess, {}, authentication_data);
}
void AuthReply::accept_with(std::string_view authentication_data, std::string_view user_name) noexcept {
  answer(pending_, AnswerKind::kAcceptAs, ReasonCode::kSuccess, user_name, authentication_data);
}
void AuthReply::challenge(std::string_view authentication_data, Ref<AuthState> state) noexcept {
  answer(pending_, AnswerKind::kChallenge, ReasonCode::kSuccess, {}, authentication_data, std::move(state));
}
void AuthReply::reject(ReasonCode code, std::string_view reason) noexcept {
  answer(pending_, AnswerKind::kReject, code, reason);
}
void AuthReply::reject(ReasonCode code, std::string_view reason, std::string_view log_reason) noexcept {
  answer(pending_, AnswerKind::kReject, code, reason, log_reason);
}
void AuthReply::pass() noexcept { answer(pending_, AnswerKind::kPass); }

AuthorizeReply::~AuthorizeReply() { let_go(pending_); }
void AuthorizeReply::allow() noexcept { answer(pending_, AnswerKind::kAccept); }
void AuthorizeReply::check_each_delivery() noexcept { answer(pending_, AnswerKind::kAcceptChecked); }
void AuthorizeReply::deny(std::string_view rule) noexcept {
  answer(pending_, AnswerKind::kReject, ReasonCode::kNotAuthorized, rule);
}
void AuthorizeReply::pass() noexcept { answer(pending_, AnswerKind::kPass); }

}  // namespace mqloop
