#include "core/broker/listener_gate.h"

#include "core/broker/broker.h"

namespace mqloop::broker {

void ListenerGate::accepted(std::unique_ptr<Stream> stream) noexcept {
  if (connections() >= settings().max_connections) {
    broker_.refuse(*stream, *this, "the listener has max_connections already");
    return;
  }
  if (broker_.connections() >= broker_.max_connections()) {
    broker_.refuse(*stream, *this, "the broker has limits.max_connections already");
    return;
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  broker_.hand_out(std::move(stream), *this);
}

}  // namespace mqloop::broker
