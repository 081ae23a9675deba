#include "core/broker/listener_gate.h"

#include "core/broker/broker.h"

namespace mqloop::broker {

void ListenerGate::accepted(std::unique_ptr<Stream> stream) noexcept {
  broker_.pace_connects();
  if (connections() >= settings().max_connections) {
    broker_.refuse(*stream, *this, "the listener has max_connections already");
    return;
  }
  if (broker_.connections() >= broker_.max_connections()) {
    broker_.refuse(*stream, *this, "the broker has limits.max_connections already");
    return;
  }
  const std::uint32_t per_address = settings().max_connections_per_address;
  if (per_address != 0 && !addresses_.enter(stream->peer_address(), per_address)) {
    broker_.refuse(*stream, *this, "the address has max_connections_per_address already");
    return;
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  broker_.hand_out(std::move(stream), *this);
}

void ListenerGate::left(const Stream& stream) noexcept {
  connections_.fetch_sub(1, std::memory_order_relaxed);
  if (settings().max_connections_per_address != 0) addresses_.leave(stream.peer_address());
}

void ListenerGate::pause(Pause reason, bool on) noexcept {
  const bool was_paused = pauses_ != 0;
  const auto bit = static_cast<std::uint8_t>(reason);
  pauses_ = static_cast<std::uint8_t>(on ? pauses_ | bit : pauses_ & ~bit);
  if (was_paused != (pauses_ != 0)) listener().pause(!was_paused);
}

}  // namespace mqloop::broker
