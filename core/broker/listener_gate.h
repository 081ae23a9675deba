// The broker's end of one listener: counts its connections, keeps its limits and hands each accepted stream to the
// reactor that has the fewest. Owned by the Broker. What the configuration says of the listener changes with a reload;
// a gate keeps its slot and its name, and a reactor finds the rest by the slot (Shard::listener).
//
//   open     accepts; its listener is there
//   closed   by a reload: the listener is gone, the gate stays until its last connection is
//
// Used on loop 0, but for what says «any thread».
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <mqloop/transport.h>

#include "core/base/log_brake.h"
#include "core/base/token_bucket.h"
#include "core/broker/address_counts.h"
#include "core/broker/components.h"
#include "core/event/loop.h"
#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class Broker;

class ListenerGate final : public StreamSink {
 public:
  // Why it accepts nobody for a while. kRate: limits.rates.connect; kOwnRate: the listener's connect_rate; kOpening:
  // not every reactor knows it yet.
  enum class Pause : std::uint8_t { kRate = 1, kMemory = 2, kOpening = 4, kOwnRate = 8 };

  // Takes the listener out of `component`, which is part of the current configuration.
  ListenerGate(Broker& broker, event::Loop& loop, std::uint32_t slot, ListenerComponent& component, HashSeed seed)
      : broker_(broker),
        loop_(loop),
        slot_(slot),
        name_(component.settings->name),
        transport_(component.transport),
        settings_(component.settings),
        addresses_(seed),
        keeper_(component.keeper),
        listener_(std::move(component.listener)) {}

  void accepted(std::unique_ptr<Stream> stream) noexcept override;
  void refused(std::string_view peer_address, std::string_view reason) noexcept override;
  // Any thread: one of its connections is gone.
  void left(const Stream& stream) noexcept;
  // It accepts again when no reason is left; until then the system's queue keeps who comes.
  void pause(Pause reason, bool on) noexcept;

  // Any thread.
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_acquire); }
  [[nodiscard]] const Plugin* transport() const noexcept { return transport_; }

  [[nodiscard]] TransportListener& listener() const noexcept { return *listener_; }
  [[nodiscard]] bool is_open() const noexcept { return listener_ != nullptr; }
  [[nodiscard]] LogBrake& refusal_log() noexcept { return refusal_log_; }
  // The same listener in another configuration.
  void take_settings(const ListenerSettings& settings) noexcept { settings_ = &settings; }
  // Accepts nobody any more, for good.
  void stop() noexcept {
    rate_timer_.stop();
    listener_->stop();
  }
  void close() noexcept {
    rate_timer_.stop();
    settings_ = nullptr;
    listener_.reset();
  }

 private:
  void pace() noexcept;
  void on_next_due() noexcept;
  // Why who comes from there is not taken; empty: it is.
  [[nodiscard]] std::string_view objection_to(std::string_view peer_address) const noexcept;

  Broker& broker_;
  event::Loop& loop_;  // 0
  const std::uint32_t slot_;
  const std::string name_;
  const Plugin* const transport_;
  const ListenerSettings* settings_;  // null: closed
  std::atomic<std::uint32_t> connections_{0};
  AddressCounts addresses_;
  std::uint8_t pauses_ = 0;  // of Pause
  LogBrake refusal_log_;
  TokenBucket rate_;
  event::MemberTimer<ListenerGate, &ListenerGate::on_next_due> rate_timer_{*this};
  Ref<const SharedObject> keeper_;  // outlives the listener and the streams that it made
  std::unique_ptr<TransportListener> listener_;
};

}  // namespace mqloop::broker
