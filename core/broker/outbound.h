// What a session has to send with QoS 1 and 2: the window (with a packet identifier, in the order of sending) and the
// queue behind it. Owned by its Session, made when it first has something to hold and freed when empty. The entries at
// the end of the window may be still to be sent: for the first time, when a publisher holds one of them until its
// packet identifier is on disk, or again, when the client has come back.
//
// Invariants: an entry has a packet identifier exactly while it is in the window; identifiers in the window are
// distinct; window and queue together are in the order in which the messages came, so a resumed session is sent its
// window, then its queue [MQTT-4.6.0-1] [MQTT-4.6.0-5].
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/base/ring.h"
#include "core/broker/counters.h"
#include "core/mqtt/packet_id.h"
#include "core/mqtt/qos_flow.h"

namespace mqloop::broker {

// The Subscription Identifiers of a delivery that matched several subscriptions which have one.
class SubscriptionIdentifiers final : public SharedObject {
 public:
  explicit SubscriptionIdentifiers(std::vector<std::uint32_t> values) : values_(std::move(values)) {}
  [[nodiscard]] const std::vector<std::uint32_t>& values() const noexcept { return values_; }

 private:
  ~SubscriptionIdentifiers() override = default;
  std::vector<std::uint32_t> values_;
};

struct OutboundEntry {
  Ref<const Message> message;
  Ref<const SubscriptionIdentifiers> identifiers;  // null: `identifier` says it
  std::uint64_t delivery = 0;                      // Recipient::delivery; 0: the publisher has not heard of it
  std::uint32_t identifier = 0;                    // a single Subscription Identifier; 0: none
  std::uint32_t share = 0;  // came through the shared subscription at this place, from 1, of the session; 0: none
  std::uint16_t packet_id = 0;
  QoS qos = QoS::kAtLeastOnce;
  mqtt::SenderState state = mqtt::SenderState::kFree;  // kFree: in the queue
  bool retain : 1 = false;                             // the RETAIN flag to send
  bool held : 1 = false;     // not to be sent, nor anything behind it, until its publisher says so
  bool counted : 1 = false;  // in the window: it has taken of the connection's SendQuota
  bool sent : 1 = false;     // in the window: its client may have it
  bool kept : 1 = false;     // the publisher wants to hear what becomes of it
  std::uint8_t access = 0;   // not 0: to be asked about once more before it is sent, as Subscriber::access() says
};
static_assert(sizeof(OutboundEntry) == 40);

class Outbound {
 public:
  // `counters` are the reactor's, and know what waits for all of its sessions.
  explicit Outbound(Counters& counters) noexcept : counters_(counters) {}
  ~Outbound();
  Outbound(const Outbound&) = delete;
  Outbound& operator=(const Outbound&) = delete;

  [[nodiscard]] bool empty() const noexcept { return window_.empty() && queue_.empty(); }
  [[nodiscard]] std::size_t in_flight() const noexcept { return window_.size(); }
  [[nodiscard]] std::size_t queued() const noexcept { return queue_.size(); }
  // Of the queued ones those of QoS 0, which a later message of QoS 0 must not overtake.
  [[nodiscard]] std::size_t queued_qos0() const noexcept { return queued_qos0_; }
  [[nodiscard]] std::size_t queued_bytes() const noexcept { return queued_bytes_; }

  OutboundEntry& enqueue(OutboundEntry entry);
  // The oldest of the queue; only when queued() != 0.
  [[nodiscard]] OutboundEntry& next() noexcept { return queue_.front(); }
  [[nodiscard]] OutboundEntry& queued_at(std::size_t index) noexcept { return queue_[index]; }
  void drop_next() noexcept;
  // The held entry that is this delivery is held no more. `packet_id` when it was held: 0, it may have none. Null when
  // there is none.
  OutboundEntry* release(std::uint64_t delivery, std::uint16_t packet_id) noexcept;
  // Takes what came through `share` out of the queue, oldest first; 0: through any.
  std::vector<OutboundEntry> take_queued(std::uint32_t share);
  // Moves next() into the window under a fresh identifier, where it is the last that is to be sent. Null when no
  // identifier is free.
  OutboundEntry* take_next();
  // The same for an entry that finds the queue empty. Null, and the entry untouched, when no identifier is free.
  OutboundEntry* take(OutboundEntry& entry);

  // By packet identifier; null when there is none. Usual clients acknowledge in order: O(1) then.
  [[nodiscard]] OutboundEntry* find(std::uint16_t packet_id) noexcept;
  // The exchange of `entry`, which is in the window, has ended: its identifier is free.
  void finish(OutboundEntry* entry) noexcept;
  // An entry of the window that will not be sent again keeps its identifier only.
  void drop_message(OutboundEntry& entry) noexcept;
  [[nodiscard]] OutboundEntry& window_at(std::size_t index) noexcept { return window_[index]; }

  // The publisher hears of none any more.
  void forget_publisher() noexcept;
  // Every entry is to be asked about before it is sent (again).
  void check_all(std::uint8_t access) noexcept;

  // A client has come back: all of the window is to be sent again, oldest first.
  void resend_all() noexcept;
  // How many entries at the end of the window are still to be sent.
  [[nodiscard]] std::size_t to_send() const noexcept { return to_send_; }
  [[nodiscard]] bool is_to_send(const OutboundEntry& entry) noexcept {
    for (std::size_t i = window_.size() - to_send_; i != window_.size(); ++i) {
      if (&window_[i] == &entry) return true;
    }
    return false;
  }
  // Whether the last of the window, which is not empty, has taken of the quota; then all that are to be sent have.
  [[nodiscard]] bool last_is_counted() noexcept { return window_[window_.size() - 1].counted; }
  // The first of them; only when there is one.
  [[nodiscard]] OutboundEntry& first_to_send() noexcept { return window_[window_.size() - to_send_]; }
  // It is on its way.
  void first_is_sent() noexcept {
    first_to_send().sent = true;
    --to_send_;
  }

  // For a session that comes from the store, oldest first; false: its packet identifier is that of another.
  bool restore(OutboundEntry entry);

 private:
  Counters& counters_;
  Ring<OutboundEntry> window_;
  Ring<OutboundEntry> queue_;
  mqtt::PacketIdAllocator ids_;
  std::size_t queued_bytes_ = 0;
  std::uint32_t to_send_ = 0;
  std::uint32_t queued_qos0_ = 0;
};

}  // namespace mqloop::broker
