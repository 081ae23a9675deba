// Publishers: who keeps messages and spreads them. The broker always does the matching and the delivery itself; a
// publisher decides when what was matched may be delivered and acknowledged, keeps durable state, and brings in
// messages from elsewhere. One Publisher per broker, one PublisherShard per reactor: all calls to a shard, and all its
// calls of its sink, are on that reactor's thread.
//
// Matching and delivering are two steps, because a durable record needs the recipients, and they may live on several
// reactors. A turn of a reactor (the source) that holds anything for the publisher has a number, rising by one:
//   1. The source asks admit() for each PUBLISH of the turn, stores retained values, matches, and gives its shard the
//      SourceBlock, which names the reactors that have recipients.
//   2. Each of these (the source among them) resolves its recipients, queues the entries, assigns packet identifiers
//      while the window has room, and gives its own shard ONE RecipientBlock for that turn, an empty one too. A message
//      with very many recipients is resolved in slices: then the block comes turns later, with the last slice and
//      perhaps behind blocks of later turns, and nothing that it names has a packet identifier yet.
//   3. The publisher may make a turn durable when it has the SourceBlock and the RecipientBlock of every target, turns
//      of one source strictly in their order; then it calls complete_through() on the sink of the source, which
//      releases acknowledgements in arrival order, and of the targets, which release held entries.
// The group of a shared subscription is one recipient, entered by the reactor that owns it. Which member gets the
// message comes later, as an event of that member's session: kDelivered with the group's name, when it has its packet
// identifier. Until then, and after kReturned, the message is the group's; kGroupDone ends it without a member.
// A publisher that declares itself `passthrough` is spared all of this: messages are routed as they are decoded and
// acknowledged at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/message.h>
#include <mqloop/plugin.h>
#include <mqloop/protocol.h>
#include <mqloop/reason_code.h>
#include <mqloop/status.h>

namespace mqloop {

struct PublisherCapabilities {
  bool durable = false;      // acknowledged means on disk
  bool remote = false;       // other nodes may have subscribers that this broker does not know
  bool passthrough = false;  // none of PublisherShard's functions is ever called
};

// A turn of one reactor, as the publisher counts it.
struct TurnId {
  std::uint32_t source = 0;  // the reactor's index
  std::uint64_t number = 0;  // 1, 2, 3 ...
  friend bool operator==(const TurnId&, const TurnId&) = default;
};

enum class Admission : std::uint8_t {
  kRouteNow,           // deliver and acknowledge at once
  kRouteAndAckLater,   // deliver at once, acknowledge when the turn is complete
  kHoldUntilComplete,  // queue for the recipients now, deliver and acknowledge when the turn is complete
  kDiscard,            // neither store nor deliver; acknowledge with `reason`
};

struct PublishOp {
  std::uint64_t sequence = 0;        // at its source, rising by one
  const Message* message = nullptr;  // borrowed; take a Ref to keep it
  std::uint64_t session = 0;         // number of the publishing session; 0: a will, or the broker itself
  bool session_is_durable = false;   // it outlives its connection
  std::uint16_t packet_id = 0;       // QoS 1 and 2
  // The answer.
  Admission admission = Admission::kRouteNow;
  ReasonCode reason = ReasonCode::kSuccess;  // with kDiscard; a code that PUBACK and PUBREC may carry
};

struct SourceBlock {
  TurnId turn;
  std::span<const PublishOp> publishes;  // those not discarded
  std::uint64_t targets = 0;             // bit i: reactor i will give a RecipientBlock
};

struct Recipient {
  std::uint64_t sequence = 0;  // of the PublishOp
  std::uint64_t session = 0;
  std::uint16_t packet_id = 0;  // 0: not assigned yet, the session's window is full or its client away
  QoS qos = QoS::kAtMostOnce;   // of this delivery; of a group: as published, a member may be granted less
  bool session_is_durable = false;
  // A shared subscription's group as a whole, `$share/NAME/FILTER`; `session` and `packet_id` are 0. Empty: a session.
  std::string_view group = {};
};

struct RecipientBlock {
  TurnId turn;
  std::uint32_t target = 0;
  std::span<const Recipient> recipients;
};

struct SubscribeOp {
  std::string_view client_id;
  std::uint64_t session = 0;
  bool session_is_durable = false;
  std::string_view filter;
  QoS qos = QoS::kAtMostOnce;    // to be granted
  std::uint8_t options = 0;      // the Subscription Options byte as received (5.0: 3.8.3.1)
  std::uint32_t identifier = 0;  // Subscription Identifier, 0: none
  // The answer: a granted QoS or a refusal that SUBACK may carry.
  ReasonCode verdict = ReasonCode::kGrantedQoS0;
  bool ack_later = false;  // SUBACK waits until the turn is complete
};

struct UnsubscribeOp {
  std::string_view client_id;
  std::uint64_t session = 0;
  bool session_is_durable = false;
  std::string_view filter;
  bool ack_later = false;  // the answer: UNSUBACK waits until the turn is complete
};

enum class SessionEventKind : std::uint8_t {
  kCreated,          // a session began
  kResumed,          // a client came back to it
  kDisconnected,     // its client went; it stays
  kEnded,            // it expired or was discarded: nothing of it is wanted any more
  kDelivered,        // `packet_id` was assigned to `message` after its RecipientBlock had been given
  kAcknowledged,     // the client has `packet_id` for good: PUBACK, PUBCOMP or a refusal
  kReceived,         // PUBREC: PUBREL follows for `packet_id`
  kPublishReleased,  // the client's own PUBREL for `packet_id`: its identifier is free again
  kReturned,   // `message` under `packet_id`, QoS 1, was never acknowledged and is `group`'s again: kEnded follows
  kGroupDone,  // `message` of `group` went out with QoS 0 or was dropped; of no session
};

struct SessionEvent {
  SessionEventKind kind = SessionEventKind::kCreated;
  std::uint64_t session = 0;
  std::string_view client_id;
  bool session_is_durable = false;
  std::uint32_t expiry_interval = 0;  // seconds; 0xFFFFFFFF: never
  std::uint16_t packet_id = 0;
  const Message* message = nullptr;
  std::string_view group = {};  // kDelivered, kReturned, kGroupDone: the shared subscription's, as in Recipient
};

struct RetainedEvent {
  std::string_view topic;
  const Message* message = nullptr;  // null: cleared
};

// How much a publisher has waiting; the broker stops reading from publishing clients while it is kFull.
enum class Backlog : std::uint8_t { kNone, kFull };

// The broker's side, one for each reactor, called on that reactor's thread.
class MQLOOP_API PublishSink {
 public:
  // A message from elsewhere, for the subscribers of the whole broker; `retain` set also stores it.
  virtual void deliver(Ref<const Message> message) noexcept = 0;
  // Every turn of reactor `source` up to `number` is complete. To be called on the source's sink and on each target's.
  virtual void complete_through(std::uint32_t source, std::uint64_t number) noexcept = 0;
  virtual void set_backlog(Backlog level) noexcept = 0;

 protected:
  ~PublishSink() = default;
};

class MQLOOP_API PublisherShard {
 public:
  virtual ~PublisherShard();
  // Fills in each verdict, before the broker has stored or matched anything.
  virtual void admit(std::span<PublishOp> publishes) = 0;
  virtual void published(const SourceBlock& block) = 0;
  virtual void recipients(const RecipientBlock& block) = 0;
  virtual void subscribe(std::span<SubscribeOp> subscriptions) = 0;
  virtual void unsubscribe(std::span<UnsubscribeOp> subscriptions) = 0;
  virtual void session_events(std::span<const SessionEvent> events) = 0;
  virtual void retained_events(std::span<const RetainedEvent> events) = 0;
  // The end of the reactor's turn: everything of turn `number` has been given, less the RecipientBlocks of other
  // reactors and one whose recipients are resolved in slices. Called for each turn that had a number.
  virtual void flush(std::uint64_t number) = 0;
  // The broker stops: complete what was given within `deadline`, then call nothing any more.
  virtual void drain(std::chrono::milliseconds deadline) = 0;
};

class MQLOOP_API Publisher {
 public:
  virtual ~Publisher();
  [[nodiscard]] virtual PublisherCapabilities capabilities() const noexcept = 0;
  // Before any reactor runs; configure() has been called.
  virtual Status open() = 0;
  // For each reactor, on its thread. `sink` outlives the shard. Null for a passthrough publisher.
  virtual std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) = 0;
  // After every shard has been destroyed.
  virtual void close() noexcept = 0;
};

class MQLOOP_API PublisherPlugin : public Plugin, public Publisher {
 public:
  Publisher* publisher() noexcept final { return this; }
};

}  // namespace mqloop
