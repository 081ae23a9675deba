// The one answer that a plugin owes: what AuthReply and AuthorizeReply hold, and what the hook chain waits for.
//
// Shared by two owners: the reply, which the plugin may carry to any thread, and the chain, on its reactor. The first
// answer counts, later ones are ignored; a reply that is destroyed unanswered has answered kDropped.
//
//   state      the plugin answers           the hook returns (detach)     the chain gives up (abandon)
//   kInHook    kAnswered, seen by detach    kDetached                     -
//   kDetached  kAnswered, posted by mail    -                             kAbandoned
//   kAnswered  ignored                      kAnswered: decided inline     the mail finds no waiter
//   kAbandoned ignored                      -                             -
//
// So an answer given inside the hook costs no mail, and one given after the reactor's end goes nowhere: mail passes the
// AnswerGate, which the reactor shuts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <mqloop/plugin.h>
#include <mqloop/reason_code.h>
#include <mqloop/ref.h>

namespace mqloop::event {
class Loop;
struct MailNode;
}  // namespace mqloop::event

namespace mqloop::broker {

// The way of late answers to a reactor, from any thread. It outlives the reactor as long as a reply does.
class AnswerGate final : public SharedObject {
 public:
  static Ref<AnswerGate> open(event::Loop& loop) { return Ref<AnswerGate>::adopt(new AnswerGate(loop)); }

  void post(std::unique_ptr<event::MailNode> mail) noexcept;
  // By the reactor, before its loop is destroyed: mail is dropped from here on.
  void shut() noexcept;

 private:
  explicit AnswerGate(event::Loop& loop) noexcept : loop_(&loop) {}

  std::mutex mutex_;
  event::Loop* loop_;
};

// Whom mail brings to life, on the reactor's thread.
class AnswerWaiter {
 public:
  virtual void on_answer() noexcept = 0;

 protected:
  ~AnswerWaiter() = default;
};

}  // namespace mqloop::broker

namespace mqloop::detail {

enum class AnswerKind : std::uint8_t {
  kNone,
  kAccept,
  kAcceptAs,
  kAcceptChecked,  // a subscription, if each delivery is checked
  kReject,
  kPass,
  kChallenge,
  kDropped,
};

class PendingAnswer final {
 public:
  // Born with one reference.
  explicit PendingAnswer(Ref<broker::AnswerGate> gate) noexcept;
  PendingAnswer(const PendingAnswer&) = delete;
  PendingAnswer& operator=(const PendingAnswer&) = delete;

  void add_ref() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_ref() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // The plugin's side: any thread. `text` is the user name of kAcceptAs, the reason or rule of kReject; `data` what the
  // log says of kReject in place of that reason, if anything, or with `state` of an exchange.
  void answer(AnswerKind kind, ReasonCode code = ReasonCode::kSuccess, std::string_view text = {},
              std::string_view data = {}, Ref<AuthState> state = nullptr) noexcept;

  // The chain's side: the reactor's thread.
  // The hook has returned. True: the answer is there. False: it comes by mail to `waiter`, set with wait().
  [[nodiscard]] bool detach() noexcept;
  void wait(broker::AnswerWaiter& waiter) noexcept { waiter_ = &waiter; }
  // Nobody waits any more; the answer, whenever it comes, is ignored.
  void abandon() noexcept;
  // Makes it as new, unless a reply that the plugin keeps still refers to it.
  [[nodiscard]] bool reuse() noexcept;

  // After detach() said true, or in on_answer().
  [[nodiscard]] AnswerKind kind() const noexcept { return kind_; }
  [[nodiscard]] ReasonCode code() const noexcept { return code_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::string_view data() const noexcept { return data_; }
  [[nodiscard]] const Ref<AuthState>& auth_state() const noexcept { return auth_state_; }

 private:
  enum class State : std::uint8_t { kInHook, kDetached, kAnswered, kAbandoned };
  class Mail;

  ~PendingAnswer() = default;

  std::atomic<std::uint32_t> references_{1};
  std::atomic<bool> claimed_{false};  // by the first answer, which alone writes what it says
  AnswerKind kind_ = AnswerKind::kNone;
  ReasonCode code_ = ReasonCode::kSuccess;
  std::atomic<State> state_{State::kInHook};  // publishes them
  std::string text_;
  std::string data_;
  Ref<AuthState> auth_state_;
  broker::AnswerWaiter* waiter_ = nullptr;  // the reactor's alone
  Ref<broker::AnswerGate> gate_;
};

}  // namespace mqloop::detail
