// The target side of a publish: finds the sessions of this reactor that a message is for, merges overlapping
// subscriptions of one session (highest QoS, all identifiers) [MQTT-3.3.4-2] [MQTT-3.3.4-4], and sends or queues.
// Part of a Shard; its thread only. Nothing here ends a session or destroys a connection: what must go is told to close
// and goes at the end of the turn, so that lists of subscribers stay as they are while they are walked.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include <mqloop/protocol.h>
#include <mqloop/publisher.h>

#include "core/broker/counters.h"
#include "core/broker/outbound.h"
#include "core/broker/publish_writer.h"
#include "core/broker/route_table.h"
#include "core/broker/routed_message.h"
#include "core/broker/shared_memberships.h"
#include "core/broker/subscriber_table.h"
#include "core/broker/target_block.h"

namespace mqloop::broker {

class Connection;
class Session;
class Shard;

class Delivery {
 public:
  explicit Delivery(Shard& shard) : shard_(shard) {}

  // A message that none of the functions below was called for before: once for each, by whoever calls
  // deliver_shared(); deliver() begins by itself.
  void begin() noexcept { writer_.begin(); }

  // To every subscriber here of `filters`: now, or through the FanOuts, when they are many or the message must not
  // overtake. `retained_sequence` is that of a retained publish, else 0. `notes` may be null. Returns how many sessions
  // matched, or may do so.
  std::size_t deliver(std::span<const FilterId> filters, RoutedMessage& message, std::uint64_t retained_sequence,
                      RecipientNotes* notes);
  // How many sessions deliver() has served at once, ever.
  [[nodiscard]] std::uint64_t served() const noexcept { return served_; }
  // Whether deliver() would leave it to the FanOuts.
  [[nodiscard]] bool is_for_fan_outs(std::span<const FilterId> filters, const RoutedMessage& message) const;

  // ---- for the FanOuts, after begin()
  // To some subscribers of one filter, who get it because of no other. Returns how many matched.
  std::size_t deliver_to(std::span<const Subscriber> subscribers, FilterId filter, RoutedMessage& message,
                         std::uint64_t retained_sequence, RecipientNotes* notes);
  // To one session because of several subscriptions, each of which is merged.
  void begin_merge(Session& session);
  void merge(const Subscriber& subscriber, FilterId filter, const RoutedMessage& message,
             std::uint64_t retained_sequence);
  void deliver_merged(RoutedMessage& message, RecipientNotes* notes);

  // To one session, because of one subscription of its that has this Subscriber::access(): the replay of a retained
  // message.
  void deliver_retained(Session& session, RoutedMessage& message, QoS granted, std::uint32_t identifier,
                        std::uint8_t access);

  // To one session, as the member of a shared subscription whose turn it is. False: it cannot take it now, and nothing
  // has changed. With `to_queue` nobody can be sent it: it is for the queue, by the rules for a client that is away.
  bool deliver_shared(Session& session, RoutedMessage& message, const SharedMemberships::Membership& membership,
                      std::uint32_t share, bool to_queue);

  // The client has said that it got `entry`, by PUBREC: PUBREL follows, now or when that is on disk.
  void received(Session& session, OutboundEntry& entry);
  // Sends again what is unacknowledged, for a session that its client has come back to [MQTT-4.4.0-1].
  void resume(Session& session);
  // Sends from the queue what window, quota and output allow.
  void pump(Session& session);
  // Nothing of the queue of `session` is delivered any more.
  void drop_queue(Session& session, DropCause cause);
  // A turn of `source` is complete: what it held may go.
  void release(std::uint32_t source, std::uint64_t turn);
  void release(std::vector<HeldDelivery> held);
  // Sends a slice of what was released; once a turn.
  void run();

 private:
  struct Recipience {
    void start(Session& receiver) noexcept;
    void merge(const Subscriber& subscriber);

    Session* session;
    bool matched;  // by at least one subscription
    QoS qos;
    bool retain_as_published;
    std::uint8_t access;                // what all the subscriptions that let it through have in common
    std::uint32_t identifier;           // the first; 0: none
    std::vector<std::uint32_t> others;  // further ones
  };
  bool wanted(Session& session, const Subscriber& subscriber, FilterId filter, const RoutedMessage& message,
              std::uint64_t retained_sequence) const;
  // False: the subscribers are too many for one turn.
  bool collect(std::span<const FilterId> filters, const RoutedMessage& message, std::uint64_t retained_sequence);
  Recipience& recipience_of(Session& session);
  void deliver_to(const Recipience& recipience, RoutedMessage& message, RecipientNotes* notes);
  void release_some(std::size_t most);
  void dispatch(Session& session, RoutedMessage& message, QoS qos, bool retain, std::uint8_t access,
                std::span<const std::uint32_t> identifiers, RecipientNotes* notes, std::uint32_t share = 0);
  bool waits_with_qos0(Session& session, const Connection* connection, const RecipientNotes* notes) const noexcept;
  void dispatch_qos0(Session& session, Connection* connection, RoutedMessage& message, bool retain,
                     std::span<const std::uint32_t> identifiers);
  void send_or_queue(Session& session, RoutedMessage& message, QoS qos, bool retain, std::uint8_t access,
                     std::span<const std::uint32_t> identifiers, RecipientNotes* notes, std::uint32_t share);
  enum class Sent : std::uint8_t { kNo, kYes, kTooLarge, kWaits };
  Sent send_at_once(Session& session, RoutedMessage& message, OutboundEntry& entry, const RecipientNotes* notes,
                    OutboundEntry*& sent);
  void hold(const Session& session, const OutboundEntry& entry, const TurnId& turn);
  bool hold_for_identifier(const Session& session, OutboundEntry& entry);
  [[nodiscard]] bool is_full(const Session& session, std::size_t footprint) const noexcept;
  bool make_room(Session& session, std::size_t footprint);
  // Takes the oldest of the queue, or `sent` of the window, out for good.
  void drop_next(Session& session);
  void finish_unsent(Session& session, OutboundEntry* sent);
  // False when window, quota or output must wait first.
  bool send_next(Session& session);
  bool send_first_of_window(Session& session);
  void cannot_send(Session& session, OutboundEntry& entry);
  void resend_pubrel(Session& session, OutboundEntry& entry);
  std::size_t write(Session& session, RoutedMessage& message, const OutboundEntry& entry, bool dup);

  Shard& shard_;
  PublishWriter writer_;
  std::uint64_t mark_ = 0;
  std::uint64_t served_ = 0;
  std::vector<Recipience> recipients_;  // of the delivery under way; kept for its memory
  std::size_t recipient_count_ = 0;
  std::vector<std::uint32_t> groups_;           // of the delivery under way, as Subscriber::session says them
  std::vector<std::uint32_t> identifiers_;      // scratch
  std::vector<std::deque<HeldDelivery>> held_;  // by source, in the order of its turns
  std::deque<HeldDelivery> released_;           // and still to be sent
};

}  // namespace mqloop::broker
