#include "core/broker/listener_gate.h"

#include <limits>

#include "core/broker/broker.h"
#include "core/event/address_set.h"

namespace mqloop::broker {

void ListenerGate::accepted(std::unique_ptr<Stream> stream) noexcept {
  broker_.pace_connects();
  pace();
  if (const std::string_view objection = objection_to(stream->peer_address()); !objection.empty()) {
    broker_.refuse(stream->peer_address(), *this, objection);
    return;
  }
  if (broker_.connections_by(name_) >= settings_->max_connections) {
    broker_.refuse(stream->peer_address(), *this, "the listener has max_connections already");
    return;
  }
  if (broker_.connections() >= broker_.max_connections()) {
    broker_.refuse(stream->peer_address(), *this, "the broker has limits.max_connections already");
    return;
  }
  // Counted without a limit too: a reload may bring one.
  const std::uint32_t per_address = settings_->max_connections_per_address;
  if (!addresses_.enter(stream->source_address(),
                        per_address == 0 ? std::numeric_limits<std::uint32_t>::max() : per_address)) {
    broker_.refuse(stream->peer_address(), *this, "the address has max_connections_per_address already");
    return;
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  broker_.hand_out(std::move(stream), *this);
}

void ListenerGate::refused(std::string_view peer_address, std::string_view reason) noexcept {
  broker_.pace_connects();
  pace();
  broker_.refuse(peer_address, *this, reason);
}

// Who has no IP address is on no list of them.
std::string_view ListenerGate::objection_to(std::string_view peer_address) const noexcept {
  if (settings_->deny_from.empty() && settings_->allow_from.empty()) return {};
  const auto address = event::ip_of_peer(peer_address);
  if (address && settings_->deny_from.contains(*address)) return "the address is in deny_from";
  if (settings_->allow_from.empty() || (address && settings_->allow_from.contains(*address))) return {};
  return "the address is not in allow_from";
}

// One more has come: when they come faster than connect_rate, the listener pauses until the next may.
void ListenerGate::pace() noexcept {
  const double rate = settings_->connect_rate;
  if (rate == 0) return;
  rate_.take(rate, 1, loop_.now());
  const std::chrono::milliseconds wait = rate_.wait(rate, loop_.now());
  if (wait == std::chrono::milliseconds::zero()) return;
  pause(Pause::kOwnRate, true);
  rate_timer_.stop();
  loop_.timers().start(rate_timer_, loop_.now() + wait);
}

void ListenerGate::on_next_due() noexcept { pause(Pause::kOwnRate, false); }

void ListenerGate::left(const Stream& stream) noexcept {
  addresses_.leave(stream.source_address());
  connections_.fetch_sub(1, std::memory_order_release);  // the last that is done here: then the gate may go
}

void ListenerGate::pause(Pause reason, bool on) noexcept {
  const bool was_paused = pauses_ != 0;
  const auto bit = static_cast<std::uint8_t>(reason);
  pauses_ = static_cast<std::uint8_t>(on ? pauses_ | bit : pauses_ & ~bit);
  if (was_paused != (pauses_ != 0)) listener().pause(!was_paused);
}

}  // namespace mqloop::broker
