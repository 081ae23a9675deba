// The source side of a publish: takes messages that are allowed and final, keeps retained values, finds the routes,
// gives this reactor's part to Delivery and the others' to their out-boxes, and acknowledges. With a passthrough
// publisher all that happens at once; else the publishes of a turn wait for its end (or for the next packet that
// changes state, so that one client's packets take effect in the order it sent them) and go through the publisher in
// the two steps that <mqloop/publisher.h> describes. Part of a Shard; its thread only.
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
#include "core/event/mailbox.h"
#include "core/mqtt/packet_type.h"

namespace mqloop::broker {

class Session;
class Shard;

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

  void start(PublishSink& sink);
  // Completes what waits, as far as `deadline` allows, and lets the publisher's shard go.
  void stop(std::chrono::milliseconds deadline);

  [[nodiscard]] bool passthrough() const noexcept { return capabilities_.passthrough; }

  // The reason code to acknowledge with; nothing when the acknowledgement comes later, by itself.
  std::optional<ReasonCode> publish(RoutedMessage& message, const PublishOrigin& origin);
  // A QoS 2 PUBLISH that came again while the first one's acknowledgement waits: it is due on this connection too.
  void acknowledge_again(const PublishOrigin& origin);
  // A message from another node, or from a plugin: for subscribers only.
  void deliver_foreign(Ref<const Message> message);
  // A value of the broker's own, which is kept already under that sequence: for subscribers, past the publisher.
  void publish_own(RoutedMessage& message, std::uint64_t retained_sequence);
  // Before a packet that changes state: what its client published before takes effect first.
  void settle();

  // Asks the publisher about a subscription that is to be granted with `op.qos`; its verdict is in `op`.
  void subscribe(SubscribeOp& op);
  void unsubscribe(UnsubscribeOp& op);
  void session_event(SessionEventKind kind, const Session& session, std::uint16_t packet_id = 0,
                     const Message* message = nullptr, std::string_view group = {});
  // Of a message that a shared group gave this session: its session ends, and the group has it back.
  void returned(Session& session, const struct OutboundEntry& entry);
  // A shared group's message needs nobody's care any more, and no event of a session has said so.
  void group_done(std::string_view group, const Message& message);
  // A fan-out in slices that noted its recipients in `block` has come to its end.
  void fan_out_done(TargetBlock& block);
  // A queued entry has got its packet identifier.
  void delivered(Session& session, const struct OutboundEntry& entry);
  // Bytes that `connection` is to be sent when this turn is complete, behind what waits already.
  void send_when_complete(ConnectionHandle connection, std::vector<std::uint8_t> bytes);

  // A box from another reactor.
  void receive(const OutBox& box);
  // The end of a turn: publishes, blocks, boxes.
  void end_turn();
  // Every turn of `source` up to `number` is complete.
  void complete_through(std::uint32_t source, std::uint64_t number);

 private:
  struct Pending {
    Ref<const Message> message;
    PublishOrigin origin;
    QoS qos;
  };
  struct WaitingAck {
    std::uint64_t turn;
    PublishOrigin origin;
    mqtt::PacketType type;  // kPuback or kPubrec; kReserved: `bytes`
    ReasonCode reason;
    std::vector<std::uint8_t> bytes;
  };
  struct Routed {
    std::size_t matched = 0;   // sessions of this reactor
    std::uint64_t remote = 0;  // reactors that got it in their box
    [[nodiscard]] bool anybody() const noexcept { return matched != 0 || remote != 0; }
  };

  std::uint64_t keep_retained(RoutedMessage& message);
  void note_retained(RoutedMessage& message, const Message* value);
  Routed route(RoutedMessage& message, std::uint64_t sequence, bool hold);
  void find_filters(const TopicCache::Match& match, std::uint32_t target);
  Routed distribute(RoutedMessage& message, std::uint64_t retained_sequence, std::uint64_t sequence, bool hold);
  [[nodiscard]] ReasonCode reason_for(const Routed& routed, const RoutedMessage& message) const noexcept;
  // A message of this publisher goes no further.
  void drop_of(const PublishOrigin& origin, DropCause cause);
  void admit_and_route(std::span<const Pending> publishes);
  [[nodiscard]] bool is_for_fan_outs(const Pending& publish);
  void next_turn();
  void give_blocks();
  void post_boxes();
  [[nodiscard]] TargetBlock& own_block();
  void give(TargetBlock& block);
  void block_is_given(TargetBlock& block);
  void acknowledge(const WaitingAck& ack);
  void acknowledge_qos2(const WaitingAck& ack);
  std::uint64_t this_turn();
  void tell(const SessionEvent& event);

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
  std::uint64_t sequence_ = 0;
  std::vector<Pending> pending_;
  std::vector<PublishOp> ops_;
  std::vector<PublishOp> routed_ops_;                // of this turn
  std::vector<Ref<const Message>> routed_messages_;  // what routed_ops_ and retained_events_ borrow
  std::unique_ptr<TargetBlock> own_block_;           // of this turn, on this reactor; null: nothing noted yet
  // Of turns that are over here, but for fan-outs that go on in slices.
  std::vector<std::unique_ptr<TargetBlock>> unfinished_;
  std::uint64_t targets_ = 0;
  std::vector<RetainedEvent> retained_events_;
  std::deque<WaitingAck> waiting_;
};

}  // namespace mqloop::broker
