// What one reactor counted. Its own thread adds, anybody may read at any time: a relaxed load and store, no locked
// instruction on the hot path. Every message that is not delivered is counted under one cause.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
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
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

enum class DropCause : std::uint8_t {
  kQueueFull,        // the session's queue was at its limit
  kQueueDisplaced,   // an older message made room for a newer one
  kExpired,          // Message Expiry Interval passed while it was queued
  kTooLarge,         // above the subscriber's Maximum Packet Size
  kBackPressure,     // QoS 0 for a connection that reads too slowly
  kOffline,          // QoS 0 for a client that is away
  kSessionEnded,     // queued for a session that ended
  kDenied,           // authorization
  kNoSubscriber,     // nobody's subscription matched, and it is not retained
  kRetainLimit,      // not kept as retained message: limits.retain
  kRetainedExpired,  // a retained message whose Message Expiry Interval passed
  kPublisher,        // the publisher discarded it
  kMemory,           // limits.memory
  kNoMember,         // no member of the shared subscription could take it
  kCount
};
inline constexpr std::size_t kDropCauses = static_cast<std::size_t>(DropCause::kCount);

[[nodiscard]] std::string_view name_of(DropCause cause) noexcept;
// It takes something from a client that counted on it: worth a warning. The others are what was asked for, or have a
// log line of their own.
[[nodiscard]] bool is_a_loss(DropCause cause) noexcept;

// Of one client: made when the first message is dropped, kept with its session.
class ClientDrops {
 public:
  // True when they are the first of this cause.
  bool add(DropCause cause, std::uint64_t amount) noexcept {
    std::uint64_t& count = counts_[static_cast<std::size_t>(cause)];
    const bool first = count == 0;
    count += amount;
    return first;
  }
  [[nodiscard]] std::uint64_t of(DropCause cause) const noexcept { return counts_[static_cast<std::size_t>(cause)]; }
  // For the log: "{queue_full: 12, expired: 3}".
  [[nodiscard]] std::string text() const;

 private:
  std::array<std::uint64_t, kDropCauses> counts_{};
};

struct Counters {
  Counter connections_accepted;  // here; one that moved to its session's home counts where it was accepted
  Counter connections_refused;   // by a limit, before CONNECT
  Counter connections_open;
  Counter connects_accepted;
  Counter connects_refused;
  Counter take_overs;
  Counter take_overs_braked;  // CONNECTs that had to wait before they took a session over
  Counter sessions;
  Counter sessions_expired;
  Counter clients_connected;  // sessions whose client is here now
  Counter messages_waiting;   // queued, or sent and not acknowledged
  Counter bytes_waiting;      // of them; a message that waits for several sessions counts for each
  Counter bytes_held;         // with limits.memory, at the end of the last turn: connections, sessions, their buffers
  Counter subscriptions;      // the shared ones too
  Counter shared_subscriptions;  // memberships, not groups
  Counter subscribes_denied;     // filters, by authorization
  Counter packets_received;
  Counter packets_sent;
  Counter packets_malformed;
  Counter bytes_received;
  Counter bytes_sent;
  Counter publishes_received;
  Counter publishes_sent;
  Counter payload_received;  // bytes, of PUBLISH
  Counter payload_sent;
  Counter wills_published;
  Counter wills_denied;  // at CONNECT, which was refused for it; later ones are drops
  std::array<Counter, kDropCauses> drops;

  void drop(DropCause cause, std::uint64_t amount = 1) noexcept { drops[static_cast<std::size_t>(cause)].add(amount); }
};

}  // namespace mqloop::broker
