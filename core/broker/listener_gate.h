// The broker's end of one listener: counts its connections, keeps its limit and hands each accepted stream to the
// reactor that has the fewest. Owned by the Broker; accepted() runs on the listener's reactor, the rest on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <mqloop/transport.h>

#include "core/base/log_brake.h"
#include "core/broker/components.h"

namespace mqloop::broker {

class Broker;

class ListenerGate final : public StreamSink {
 public:
  ListenerGate(Broker& broker, const ListenerComponent& component) noexcept : broker_(broker), component_(component) {}

  void accepted(std::unique_ptr<Stream> stream) noexcept override;
  // One of its connections is gone.
  void left() noexcept { connections_.fetch_sub(1, std::memory_order_relaxed); }

  [[nodiscard]] const ListenerSettings& settings() const noexcept { return *component_.settings; }
  // Null: whoever comes may enter and do everything.
  [[nodiscard]] const Chain* chain() const noexcept { return component_.chain; }
  [[nodiscard]] TransportListener& listener() const noexcept { return *component_.listener; }
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }
  [[nodiscard]] LogBrake& refusal_log() noexcept { return refusal_log_; }

 private:
  Broker& broker_;
  const ListenerComponent& component_;
  std::atomic<std::uint32_t> connections_{0};
  LogBrake refusal_log_;
};

}  // namespace mqloop::broker
