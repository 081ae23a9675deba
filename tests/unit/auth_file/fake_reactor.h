// What tests of the log-in queue share: a reactor whose workers are the test, and a client that asks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <mqloop/plugin.h>

#include "core/broker/pending_answer.h"
#include "tests/support/hand_reactor.h"
#include "tests/unit/broker/hook_fixture.h"

namespace mqloop::auth_file_test {

class FakeReactor final : public test::HandReactor {
 public:
  FakeReactor() : HandReactor(lines) {}
  broker::hook_test::RememberingLog lines;
};

// A client that has asked, and what it was answered. In the hook's own way: no mail, so that any thread may answer.
class Asked {
 public:
  Asked() : answer_(new detail::PendingAnswer(Ref<broker::AnswerGate>())) {}
  Asked(Asked&& other) noexcept : answer_(std::exchange(other.answer_, nullptr)) {}
  ~Asked() {
    if (answer_ != nullptr) answer_->drop_ref();
  }
  [[nodiscard]] AuthReply reply() {
    answer_->add_ref();
    return AuthReply(answer_);
  }
  // "waits", "in", or the code, what the client is told and what the log is told.
  [[nodiscard]] std::string answer() const {
    switch (answer_->kind()) {
      case detail::AnswerKind::kNone:
        return "waits";
      case detail::AnswerKind::kAccept:
        return "in";
      case detail::AnswerKind::kReject:
        return std::string(name_of(answer_->code())) + " | " + std::string(answer_->text()) + " | " +
               std::string(answer_->data());
      default:
        return "?";
    }
  }

 private:
  detail::PendingAnswer* answer_;
};

}  // namespace mqloop::auth_file_test
