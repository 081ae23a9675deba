// Publishers: who keeps messages and spreads them. The broker always does the matching and the delivery itself; a
// publisher decides when what was matched may be delivered and acknowledged, keeps durable state, and brings in
// messages from elsewhere. One Publisher per broker, one PublisherShard per reactor: all calls to a shard, and all its
// calls of its sink, are on that reactor's thread.
//
// Matching and delivering are two steps, because a durable record needs the recipients, and they may live on several
// reactors. A turn of a reactor (the source) that holds anything for the publisher has a number, rising by one:
//   1. The source asks admit() about each PUBLISH as it is decoded, stores a retained value, matches, and at the end of
//      the turn gives its shard the SourceBlock, which names the reactors that have recipients.
//   2. Each of these (the source among them) resolves its recipients, queues the entries, assigns packet identifiers
//      while the window has room, and gives its own shard ONE RecipientBlock for that turn, an empty one too. A message
//      with very many recipients is resolved in slices: then the block comes turns later, with the last slice and
//      perhaps behind blocks of later turns, and nothing that it names has a packet identifier yet.
//   3. The publisher may make a turn durable when it has the SourceBlock and the RecipientBlock of every target, turns
//      of one source strictly in their order; then it calls complete_through() on the sink of the source, which
//      releases acknowledgements in the order in which each client waits for them, and of the targets, which release
//      held entries.
// The events of sessions, subscriptions and retained values are part of their reactor's turn, and it is complete only
// with them. What an event's answer makes wait goes when that turn is complete.
// The group of a shared subscription is one recipient, entered by the reactor that owns it. Which member gets the
// message comes later, as an event of that member's session: kDelivered with the group's name, when it has its packet
// identifier. Until then, and after kReturned, the message is the group's; kGroupDone ends it without a member.
// A publisher that declares itself `passthrough` is spared all of this: messages are routed as they are decoded and
// acknowledged at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <mqloop/clock.h>
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
  // It is told of sessions that outlive their connection alone, of deliveries of QoS 1 and 2 alone, and asked about
  // nothing that is published with QoS 0: all else is as with a passthrough publisher, but for retained values, of
  // which it is always told.
  bool durable_only = false;
};

// A turn of one reactor, as the publisher counts it.
struct TurnId {
  std::uint32_t source = 0;  // the reactor's index
  std::uint64_t number = 0;  // 1, 2, 3 ...
  friend bool operator==(const TurnId&, const TurnId&) = default;
};

enum class Admission : std::uint8_t {
  kPassThrough,  // route and acknowledge at once: neither published() nor recipients() tells of it
  kRoute,        // route, and tell of it
  kDiscard,      // neither store nor deliver; acknowledge with `reason`
};

// Which deliveries of a message wait in their queues, in order, until its turn is complete.
enum class Hold : std::uint8_t {
  kNothing,
  kDurableExactlyOnce,  // those of QoS 2 to sessions that outlive their connection
  kExactlyOnce,         // those of QoS 2
  kEverything,
};

// A PUBLISH that asks to be let in. Borrowed, as everything that it refers to.
struct PublishOp {
  std::string_view topic;
  std::span<const std::uint8_t> payload;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;              // its topic's value is stored, or cleared by an empty payload
  bool durable_recipients = false;  // a session that outlives its connection may be among the recipients
  std::uint64_t session = 0;        // number of the publishing session; 0: a will, or the broker itself
  bool session_is_durable = false;  // it outlives its connection
  std::uint16_t packet_id = 0;      // QoS 1 and 2
  // The answer.
  Admission admission = Admission::kRoute;
  bool ack_later = false;                    // with kRoute: acknowledge when the turn is complete
  Hold hold = Hold::kNothing;                // with kRoute
  ReasonCode reason = ReasonCode::kSuccess;  // with kDiscard; a code that PUBACK and PUBREC may carry
};

// A PUBLISH that was let in with kRoute.
struct Published {
  const Message* message = nullptr;  // borrowed; take a Ref to keep it
  std::uint64_t session = 0;         // as in PublishOp
  bool session_is_durable = false;
  std::uint16_t packet_id = 0;
};

struct SourceBlock {
  TurnId turn;
  std::span<const Published> publishes;
  std::uint64_t targets = 0;  // bit i: reactor i will give a RecipientBlock
};

// One delivery: a message on its way to one session, or to one group.
struct Recipient {
  const Message* message = nullptr;  // borrowed; Message::number() tells it from others
  std::uint64_t session = 0;
  // Tells the deliveries of a session apart, and rises in the order of its queue. 0: of a group, or of QoS 0.
  std::uint64_t delivery = 0;
  std::uint16_t packet_id = 0;  // 0: not assigned yet, the session's window is full or its client away
  QoS qos = QoS::kAtMostOnce;   // of this delivery; of a group: as published, a member may be granted less
  bool retain = false;          // the RETAIN flag to send
  bool session_is_durable = false;
  std::uint32_t identifier = 0;                  // a single Subscription Identifier; 0: none or several
  std::span<const std::uint32_t> identifiers{};  // several
  // A shared subscription, `$share/NAME/FILTER`. In a RecipientBlock: the group as a whole, with `session` and
  // `packet_id` 0. In a DeliveryEvent: through which the message came to the session. Empty: none.
  std::string_view group{};
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

// A will that waits for its time (3.1.2.5).
struct WillState {
  const Message* message = nullptr;
  std::uint32_t delay_interval = 0;  // seconds; in a recovery what is left of it
  std::optional<std::uint32_t> message_expiry_interval;
};

// What a session is, besides its subscriptions and its messages.
struct SessionState {
  std::uint64_t number = 0;  // never used twice
  std::string_view client_id;
  bool has_user_name = false;  // whose it is; false: of a client that was let in anonymously
  std::string_view user_name;
  std::uint32_t expiry_interval = 0;  // seconds; 0xFFFFFFFF: never. 0: it ends with its connection
  bool connected = false;
  const WillState* will = nullptr;       // null: none
  const Principal* principal = nullptr;  // null: nobody has to be asked what its client may do
  [[nodiscard]] bool is_durable() const noexcept { return expiry_interval != 0; }
};

enum class SessionEventKind : std::uint8_t {
  kCreated,       // a session began. `ack_later`: CONNACK waits
  kResumed,       // a client came back to it, with a will and an expiry interval of its own
  kDisconnected,  // its client went; it stays. What is to become of its will stands in the state
  kWillTaken,     // its will is published, or dropped: it has none any more
  kEnded,         // it expired or was discarded: nothing of it is wanted any more. `ack_later`: CONNACK waits
  kReleased,      // the client's own PUBREL for `packet_id`: its identifier is free. `ack_later`: PUBCOMP waits
};

struct SessionEvent {
  SessionEventKind kind = SessionEventKind::kCreated;
  const SessionState& session;
  std::uint16_t packet_id = 0;
  bool ack_later = false;  // the answer, where a kind says what waits until the turn is complete
};

enum class DeliveryEventKind : std::uint8_t {
  kDelivered,     // it got its packet identifier after its RecipientBlock was given. `ack_later`: PUBLISH waits
  kReceived,      // PUBREC: the message is needed no more. `ack_later`: PUBREL waits
  kAcknowledged,  // the client has it for good: PUBACK, PUBCOMP or a refusal
  kDropped,       // it will not be sent: expired, displaced, too large for the client, or not allowed any more
  kReturned,      // its `group`'s again: never sent, or QoS 1 and never acknowledged when the session ends
  kGroupDone,     // a message of `group` went out with QoS 0 or was dropped; of no session
};

struct DeliveryEvent {
  DeliveryEventKind kind = DeliveryEventKind::kDelivered;
  // The delivery as it is now. `message` is null after kReceived; `identifier`, `identifiers` and `retain` are set for
  // kDelivered alone, `group` for kDelivered, kReturned and kGroupDone.
  Recipient delivery;
  bool ack_later = false;  // the answer, where a kind says what waits until the turn is complete
};

struct RetainedEvent {
  std::string_view topic;
  const Message* message = nullptr;  // null: cleared
  std::uint64_t sequence = 0;  // of the change: the value of a topic is that of its highest, from whatever reactor
};

// How much a publisher has waiting; while it is kFull the broker stops reading from clients that publish what the
// publisher has to be asked about.
enum class Backlog : std::uint8_t { kNone, kFull };

// The broker's side, one for each reactor, called on that reactor's thread.
class MQLOOP_API PublishSink {
 public:
  // A message from elsewhere, for the subscribers of the whole broker; `retain` set also stores it.
  virtual void deliver(Ref<const Message> message) noexcept = 0;
  // Every turn of reactor `source` up to `number` is complete. To be called on the source's sink and on each target's.
  virtual void complete_through(std::uint32_t source, std::uint64_t number) noexcept = 0;
  virtual void set_backlog(Backlog level) noexcept = 0;
  // Nothing can be made durable until further notice, for `reason`: a PUBLISH that would need it is refused with that
  // code, or, where the version of MQTT has no way to say so, left unread and after ten seconds unanswered; a session
  // that would have to be made or let go of is refused with 0x88. SUBSCRIBE of a session that it keeps is refused
  // likewise (SUBACK 0x97 or 0x83, in 3.1.1 0x80), UNSUBSCRIBE of one with 0x83: subscribe() and unsubscribe() are not
  // called. What was let in before waits. kSuccess: it can again.
  virtual void set_trouble(ReasonCode reason) noexcept = 0;

 protected:
  ~PublishSink() = default;
};

class MQLOOP_API PublisherShard {
 public:
  virtual ~PublisherShard();
  // Fills in the answer, before the broker has stored or delivered anything.
  virtual void admit(PublishOp& request) = 0;
  virtual void published(const SourceBlock& block) = 0;
  virtual void recipients(const RecipientBlock& block) = 0;
  // As they happen, in the turn that is under way or begins with them.
  virtual void subscribe(SubscribeOp& subscription) = 0;
  virtual void unsubscribe(UnsubscribeOp& subscription) = 0;
  virtual void session_event(SessionEvent& event) = 0;
  virtual void delivery_event(DeliveryEvent& event) = 0;
  virtual void retained_event(const RetainedEvent& event) = 0;
  // Everything of turn `number` has been given, less the RecipientBlocks of other reactors and one whose recipients are
  // resolved in slices. Called for each turn that had a number.
  virtual void flush(std::uint64_t number) = 0;
  // The reactor has done its work for now and may wait: called after any of the above, before anything is written to a
  // client. What was gathered is to be on its way now.
  virtual void end_turn() = 0;
  // The broker stops: complete what was given within `deadline`, then call nothing any more.
  virtual void drain(std::chrono::milliseconds deadline) = 0;
};

// ---- what a durable publisher gives back at the start
// ----------------------------------------------------------------

// The highest numbers that were ever given; what the broker makes from here on is numbered above them.
struct RecoveredNumbers {
  std::uint64_t session = 0;
  std::uint64_t message = 0;
  std::uint64_t delivery = 0;
  std::uint64_t retained = 0;  // RetainedEvent::sequence
};

enum class DeliveryState : std::uint8_t {
  kQueued,    // without a packet identifier
  kSent,      // perhaps: it has its packet identifier, and is sent again with it when the client comes back
  kReceived,  // PUBREC came; `message` is null
};

// The broker's side of a recovery: numbers() first, then each session() followed by what is its own, its deliveries in
// their order; the groups' messages after the sessions. Everything is borrowed for the call. Whoever calls keeps the
// messages that several deliveries share, so that they share one Message.
class MQLOOP_API Recovery {
 public:
  virtual void numbers(const RecoveredNumbers& numbers) = 0;
  // `remaining`: what is left of its expiry interval, from now on. One that was connected when the broker ended counts
  // as disconnected just now, without a DISCONNECT: its will is due.
  virtual void session(const SessionState& state, std::chrono::seconds remaining) = 0;
  virtual void subscription(const SubscribeOp& subscription) = 0;
  virtual void delivery(const Recipient& delivery, DeliveryState state) = 0;
  // A QoS 2 PUBLISH of this client that it has not released yet.
  virtual void received(std::uint16_t packet_id) = 0;
  virtual void group_message(std::string_view group, Ref<const Message> message) = 0;
  virtual void retained(Ref<const Message> message) = 0;
  // The wall clock's time of `at` as the broker counts; kNever stays kNever. For Message::Content::expires_at.
  [[nodiscard]] virtual MonotonicTime time_of(WallTime at) const noexcept = 0;

 protected:
  ~Recovery() = default;
};

// Takes what a publisher or a listener says of itself, for $SYS/broker/publisher/NAME or $SYS/broker/listeners/NAME,
// and the metrics.
class MQLOOP_API Figures {
 public:
  // `name` has levels of lower-case words: `commits`, `commit/latency/p99_us`.
  virtual void figure(std::string_view name, std::uint64_t value) = 0;

 protected:
  ~Figures() = default;
};

class MQLOOP_API Publisher {
 public:
  virtual ~Publisher();
  [[nodiscard]] virtual PublisherCapabilities capabilities() const noexcept = 0;
  // Before any reactor runs; configure() has been called. `log` outlives the publisher.
  virtual Status open(Log& log) = 0;
  // After open(): what was kept of an earlier run. Does nothing by itself.
  virtual Status recover(Recovery& recovery);
  // While shards run, on reactor 0's thread; at once and without waiting for anything. Does nothing by itself.
  virtual void report(Figures& figures) const;
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
