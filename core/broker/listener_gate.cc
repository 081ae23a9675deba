#include "core/broker/listener_gate.h"

#include <limits>

#include "core/broker/broker.h"

namespace mqloop::broker {

void ListenerGate::accepted(std::unique_ptr<Stream> stream) noexcept {
  broker_.pace_connects();
  if (broker_.connections_by(name_) >= settings_->max_connections) {
    broker_.refuse(*stream, *this, "the listener has max_connections already");
    return;
  }
  if (broker_.connections() >= broker_.max_connections()) {
    broker_.refuse(*stream, *this, "the broker has limits.max_connections already");
    return;
  }
  // Counted without a limit too: a reload may bring one.
  const std::uint32_t per_address = settings_->max_connections_per_address;
  if (!addresses_.enter(stream->source_address(),
                        per_address == 0 ? std::numeric_limits<std::uint32_t>::max() : per_address)) {
    broker_.refuse(*stream, *this, "the address has max_connections_per_address already");
    return;
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  broker_.hand_out(std::move(stream), *this);
}

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
