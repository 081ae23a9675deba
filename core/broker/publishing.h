// The source side of a publish: takes messages that are allowed and final, asks the publisher about them, keeps
// retained values, finds the routes, gives this reactor's part to Delivery and the others' to their out-boxes, and
// acknowledges: at once, or when the publisher has completed the turn. What a client waits for reaches it in the order
// in which it came to wait [MQTT-4.6.0-2..4], whatever others wait for. Part of a Shard; its thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/publisher.h>

#include "core/broker/counters.h"
#include "core/broker/out_box.h"
#include "core/broker/route_table.h"
#include "core/broker/routed_message.h"
#include "core/broker/target_block.h"
#include "core/broker/topic_cache.h"
#include "core/broker/unsettled_sessions.h"
#include "core/event/mailbox.h"
#include "core/mqtt/packet_type.h"

namespace mqloop::broker {

class Connection;
class Session;
class Shard;
struct OutboundEntry;

// Who published, for the acknowledgement.
struct PublishOrigin {
  ConnectionHandle connection;
  std::uint32_t session_slot = 0;
  std::uint64_t session = 0;  // number; 0: nobody waits for an acknowledgement (a will, the broker)
  bool session_is_durable = false;
  std::uint16_t packet_id = 0;
};

class Publishing {
 public:
  Publishing(Shard& shard, Publisher& publisher, unsigned reactors);
  ~Publishing();

  // What was numbered in earlier runs; before start().
  void start_above(const RecoveredNumbers& numbers) noexcept;
  void start(PublishSink& sink);
  // Completes what waits, as far as `deadline` allows, and lets the publisher's shard go.
  void stop(std::chrono::milliseconds deadline);

  [[nodiscard]] bool passthrough() const noexcept { return capabilities_.passthrough; }
  // Whether the publisher hears of every delivery, or only of those of QoS 1 and 2 to durable sessions.
  [[nodiscard]] bool notes_everything() const noexcept { return !capabilities_.durable_only; }
  // Whether it hears of a session of that kind.
  [[nodiscard]] bool keeps_session(bool durable) const noexcept {
    return !passthrough() && (durable || !capabilities_.durable_only);
  }
  // Whether a PUBLISH of this session is one of those that a publisher in trouble cannot take.
  [[nodiscard]] bool needs_publisher(std::string_view topic, QoS qos, bool retain, const Session& session);

  // The reason code to acknowledge with; nothing when the acknowledgement comes later, by itself.
  std::optional<ReasonCode> publish(RoutedMessage& message, const PublishOrigin& origin);
  // A QoS 2 PUBLISH that came again while the first one's acknowledgement waits: it is due on this connection too.
  void acknowledge_again(const PublishOrigin& origin);
  // A message from another node, or from a plugin: for subscribers only.
  void deliver_foreign(Ref<const Message> message);
  // A value of the broker's own, which is kept already under that sequence: for subscribers, past the publisher.
  void publish_own(RoutedMessage& message, std::uint64_t retained_sequence);
  // Where the recipients of a retained message that is replayed are noted, if the publisher wants to hear of them.
  [[nodiscard]] std::optional<RecipientNotes> notes_of_replay(const RoutedMessage& message, QoS qos,
                                                              const Session& session);

  // Asks the publisher about a subscription that is to be granted with `op.qos`; its verdict is in `op`.
  void subscribe(SubscribeOp& op);
  void unsubscribe(UnsubscribeOp& op);
  // The answers of the two: what the event lets the broker send waits until the turn is complete.
  bool session_event(SessionEventKind kind, const Session& session, std::uint16_t packet_id = 0);
  bool delivery_event(DeliveryEventKind kind, const Session& session, const OutboundEntry& entry);
  // What a session_event() said of a session of this client, that it begins or ends, still waits for its turn: after a
  // crash it may not be so.
  [[nodiscard]] bool is_unsettled(std::uint64_t client_key) const { return unsettled_.has(client_key); }
  // A shared group's message needs nobody's care any more, and no event of a session has said so.
  void group_done(std::string_view group, const Message& message);
  // A session is about to be sent again what it may have been sent first in this very turn: the publisher hears of that
  // before it hears what becomes of it.
  void give_noted();
  // A fan-out in slices that noted its recipients in `block` has come to its end.
  void fan_out_done(TargetBlock& block);
  [[nodiscard]] std::uint64_t next_delivery() noexcept { return ++deliveries_; }
  // The turn that is under way, or begins with this.
  std::uint64_t this_turn();

  // PUBACK, PUBREC or PUBCOMP: `later` when this turn is complete, else behind what waits for this client already.
  void answer(Connection& connection, mqtt::PacketType type, std::uint16_t packet_id, ReasonCode reason, bool later);
  // Bytes that `connection` is to be sent when this turn is complete, behind what waits already.
  void send_when_complete(ConnectionHandle connection, std::vector<std::uint8_t> bytes);
  // The same for one that something waits for already: behind that, and no later.
  void send_behind(ConnectionHandle connection, std::vector<std::uint8_t> bytes);
  // Connection::session_stands() when this turn is complete.
  void open_when_complete(ConnectionHandle connection);

  // A box from another reactor.
  void receive(const OutBox& box);
  // The end of a turn: blocks, boxes.
  void end_turn();
  // Every turn of `source` up to `number` is complete.
  void complete_through(std::uint32_t source, std::uint64_t number);

 private:
  struct WaitingAck {
    std::uint64_t turn;
    PublishOrigin origin;
    mqtt::PacketType type;  // kPuback, kPubrec, kPubcomp; kConnack: it opens; kReserved: `bytes`
    ReasonCode reason;
    std::vector<std::uint8_t> bytes;
  };
  struct Routed {
    std::size_t matched = 0;   // sessions of this reactor
    std::uint64_t remote = 0;  // reactors that got it in their box
    [[nodiscard]] bool anybody() const noexcept { return matched != 0 || remote != 0; }
  };
  // What becomes of a message on its way.
  struct Terms {
    bool noted = false;  // the publisher hears of its recipients
    Hold hold = Hold::kNothing;
  };

  std::optional<ReasonCode> publish_asking(RoutedMessage& message, const PublishOrigin& origin);
  std::uint64_t keep_retained(RoutedMessage& message);
  std::uint64_t retained_changed(RoutedMessage& message, const Message* value, std::uint64_t sequence);
  Routed route(RoutedMessage& message, const TopicCache::Match& match, Terms terms);
  void find_filters(const TopicCache::Match& match, std::uint32_t target);
  Routed distribute(RoutedMessage& message, const TopicCache::Match& match, std::uint64_t retained_sequence,
                    Terms terms);
  [[nodiscard]] ReasonCode reason_for(const Routed& routed, const RoutedMessage& message) const noexcept;
  // A message of this publisher goes no further.
  void drop_of(const PublishOrigin& origin, DropCause cause);
  [[nodiscard]] bool needs_turn_of_its_own(const TopicCache::Match& match, const RoutedMessage& message);
  void next_turn();
  void give_blocks();
  void post_boxes();
  [[nodiscard]] TargetBlock& own_block();
  [[nodiscard]] Recipient* find_ungiven(const Session& session, const OutboundEntry& entry) noexcept;
  void ungiven_delivery(DeliveryEventKind kind, Recipient& recipient, const OutboundEntry& entry) noexcept;
  void give(TargetBlock& block);
  void block_is_given(TargetBlock& block);
  void wait(WaitingAck ack);
  // The last turn that anybody waits for: what need not wait longer than others do comes behind them by it.
  [[nodiscard]] std::uint64_t awaited_turn() const noexcept { return waiting_.empty() ? turn_ : waiting_.back().turn; }
  void acknowledge(const WaitingAck& ack);
  void acknowledge_qos2(const WaitingAck& ack);
  void release(const WaitingAck& ack);

  Shard& shard_;
  Publisher& publisher_;
  PublisherCapabilities capabilities_;
  std::unique_ptr<PublisherShard> publisher_shard_;
  TopicCache topics_;
  std::vector<FilterId> filters_;  // scratch
  std::vector<std::unique_ptr<OutBox>> boxes_;

  // Of publishers that are not passthrough.
  std::uint64_t turn_ = 0;     // the number of the latest turn
  bool turn_is_open_ = false;  // turn_ has not ended yet
  bool has_given_ = false;     // something to the publisher's shard since its last end_turn()
  std::uint64_t messages_ = 0;
  std::uint64_t deliveries_ = 0;
  std::uint64_t given_deliveries_ = 0;                  // own_block_ has none of those
  TargetBlock* receiving_ = nullptr;                    // of the box that is being received
  std::vector<Published> published_;                    // of this turn
  std::vector<Ref<const Message>> published_messages_;  // what published_ borrows
  std::unique_ptr<TargetBlock> own_block_;              // of this turn, on this reactor; null: nothing noted yet
  // Of turns that are over here, but for fan-outs that go on in slices.
  std::vector<std::unique_ptr<TargetBlock>> unfinished_;
  std::uint64_t targets_ = 0;
  std::deque<WaitingAck> waiting_;
  UnsettledSessions unsettled_;
};

}  // namespace mqloop::broker
