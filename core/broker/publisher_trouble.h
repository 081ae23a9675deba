// A publisher that cannot keep anything at present, as its sink was told, and the clients that wait for the end of it:
// those of MQTT 3.x whose PUBLISH or UNSUBSCRIBE it would have to keep, of 3.1 whose SUBSCRIBE, for there is no way to
// refuse one of theirs. They are read no more and, when it takes longer than kPatience, closed without an answer, so
// that they come again with what they have. MQTT 5.0 has reason codes, and nobody waits. Part of a Shard; its thread
// only.
#pragma once

#include <chrono>
#include <deque>

#include <mqloop/plugin.h>
#include <mqloop/reason_code.h>

#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class Connection;
class Shard;

class PublisherTrouble {
 public:
  static constexpr std::chrono::seconds kPatience{10};

  explicit PublisherTrouble(Shard& shard) : shard_(shard) {}

  // There is some.
  [[nodiscard]] explicit operator bool() const noexcept { return reason_ != ReasonCode::kSuccess; }
  // What a refusal says.
  [[nodiscard]] ReasonCode reason() const noexcept { return reason_; }
  // The same where SUBACK says it, which knows fewer codes (3.9.3).
  [[nodiscard]] ReasonCode reason_of_suback() const noexcept {
    return reason_ == ReasonCode::kQuotaExceeded ? reason_ : ReasonCode::kImplementationSpecificError;
  }
  // kSuccess: it is over, and who waits goes on.
  void set(ReasonCode reason) noexcept;
  void wait(const Connection& connection);
  // The broker stops.
  void stop() noexcept;

 private:
  struct Waiting {
    ConnectionHandle connection;
    MonotonicTime until;
  };

  void on_timer() noexcept;

  Shard& shard_;
  ReasonCode reason_ = ReasonCode::kSuccess;
  std::deque<Waiting> waiting_;  // who came first stands first
  event::MemberTimer<PublisherTrouble, &PublisherTrouble::on_timer> timer_{*this};
};

}  // namespace mqloop::broker
