// What one reactor counted. Its own thread adds, anybody may read at any time: a relaxed load and store, no locked
// instruction on the hot path. Every message that is not delivered is counted under one cause.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mqloop::broker {

class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

enum class DropCause : std::uint8_t {
  kQueueFull,       // the session's queue was at its limit
  kQueueDisplaced,  // an older message made room for a newer one
  kExpired,         // Message Expiry Interval passed
  kTooLarge,        // above the subscriber's Maximum Packet Size
  kBackPressure,    // QoS 0 for a connection that reads too slowly
  kOffline,         // QoS 0 for a client that is away
  kDenied,          // authorization
  kRetainLimit,     // limits.retain
  kPublisher,       // the publisher discarded it
  kCount
};

[[nodiscard]] std::string_view name_of(DropCause cause) noexcept;

struct Counters {
  Counter connections_accepted;
  Counter connections_refused;  // by a limit, before CONNECT
  Counter connections_open;
  Counter connects_accepted;
  Counter connects_refused;
  Counter take_overs;
  Counter sessions;
  Counter subscriptions;
  Counter subscribes_denied;  // filters, by authorization
  Counter packets_received;
  Counter packets_malformed;
  Counter bytes_received;
  Counter bytes_sent;
  Counter publishes_received;
  Counter publishes_sent;
  Counter publishes_unmatched;
  Counter wills_published;
  Counter wills_denied;  // at CONNECT, which was refused for it; later ones are drops
  std::array<Counter, static_cast<std::size_t>(DropCause::kCount)> drops;

  void drop(DropCause cause, std::uint64_t amount = 1) noexcept { drops[static_cast<std::size_t>(cause)].add(amount); }
};

}  // namespace mqloop::broker
