// The broker's end of one listener: counts its connections, keeps its limit and hands each accepted stream to the
// reactor that has the fewest. Owned by the Broker; used on the listener's reactor, but for what says «any thread».
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <mqloop/transport.h>

#include "core/base/log_brake.h"
#include "core/broker/address_counts.h"
#include "core/broker/components.h"

namespace mqloop::broker {

class Broker;

class ListenerGate final : public StreamSink {
 public:
  // Why it accepts nobody for a while.
  enum class Pause : std::uint8_t { kRate = 1, kMemory = 2 };

  ListenerGate(Broker& broker, const ListenerComponent& component, HashSeed seed)
      : broker_(broker), component_(component), addresses_(seed) {}

  void accepted(std::unique_ptr<Stream> stream) noexcept override;
  // Any thread: one of its connections is gone.
  void left(const Stream& stream) noexcept;
  // It accepts again when no reason is left; until then the system's queue keeps who comes.
  void pause(Pause reason, bool on) noexcept;

  // Any thread, from here on.
  [[nodiscard]] const ListenerSettings& settings() const noexcept { return *component_.settings; }
  // Null: whoever comes may enter and do everything.
  [[nodiscard]] const Chain* chain() const noexcept { return component_.chain; }
  [[nodiscard]] TransportListener& listener() const noexcept { return *component_.listener; }
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }
  // Not any thread.
  [[nodiscard]] LogBrake& refusal_log() noexcept { return refusal_log_; }

 private:
  Broker& broker_;
  const ListenerComponent& component_;
  std::atomic<std::uint32_t> connections_{0};
  AddressCounts addresses_;  // filled while max_connections_per_address says so
  std::uint8_t pauses_ = 0;  // of Pause
  LogBrake refusal_log_;
};

}  // namespace mqloop::broker
