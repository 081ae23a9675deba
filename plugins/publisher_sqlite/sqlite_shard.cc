#include "plugins/publisher_sqlite/sqlite_shard.h"

#include <algorithm>
#include <utility>

#include "core/base/failpoint.h"

namespace mqloop::publisher_sqlite {

namespace {

constexpr std::size_t kMostBlank = 16;

bool is_for_disk(const Recipient& recipient) noexcept {
  return recipient.message != nullptr && recipient.message->number() != 0 && recipient.qos != QoS::kAtMostOnce;
}

EntryKind kind_of(DeliveryEventKind kind) noexcept {
  switch (kind) {
    case DeliveryEventKind::kDelivered:
      return EntryKind::kDelivered;
    case DeliveryEventKind::kReceived:
      return EntryKind::kReceived;
    case DeliveryEventKind::kAcknowledged:
      return EntryKind::kAcknowledged;
    case DeliveryEventKind::kDropped:
      return EntryKind::kDropped;
    case DeliveryEventKind::kReturned:
      return EntryKind::kReturned;
    case DeliveryEventKind::kGroupDone:
      return EntryKind::kGroupDone;
  }
  return EntryKind::kDropped;
}

ReasonCode granted(QoS qos) noexcept {
  switch (qos) {
    case QoS::kExactlyOnce:
      return ReasonCode::kGrantedQoS2;
    case QoS::kAtLeastOnce:
      return ReasonCode::kGrantedQoS1;
    case QoS::kAtMostOnce:
      break;
  }
  return ReasonCode::kGrantedQoS0;
}

}  // namespace

SqliteShard::SqliteShard(const TopicRules& rules, Journal& journal, Notices& notices, ReactorApi& reactor,
                         PublishSink& sink)
    : rules_(rules),
      journal_(journal),
      notices_(notices),
      reactor_(reactor),
      sink_(sink),
      is_batched_(rules.otherwise() == Durability::kBatched),
      has_rules_(rules.has_rules()) {
  notices_.enter(reactor, *this);
}

SqliteShard::~SqliteShard() { notices_.leave(reactor_.index()); }

Parcel& SqliteShard::parcel() {
  if (parcel_) return *parcel_;
  if (blank_.empty()) {
    parcel_ = std::make_unique<Parcel>(reactor_.index());
  } else {
    parcel_ = std::move(blank_.back());
    blank_.pop_back();
  }
  return *parcel_;
}

void SqliteShard::clear_returned() noexcept {
  for (std::unique_ptr<Parcel>& parcel : returned_) {
    parcel->clear();
    if (blank_.size() < kMostBlank) blank_.push_back(std::move(parcel));
  }
  returned_.clear();
}

// ---- publishes -----------------------------------------------------------------------------------------------------

void SqliteShard::admit(PublishOp& request) {
  const Durability durability = has_rules_ ? rules_.of(request.topic) : rules_.otherwise();
  const bool needs_row = request.qos == QoS::kExactlyOnce && request.session_is_durable;
  const bool is_kept = request.durable_recipients || request.retain || needs_row;
  if (durability == Durability::kMemory || !is_kept) {
    request.admission = Admission::kPassThrough;
    return;
  }
  request.admission = Admission::kRoute;
  if (request.qos == QoS::kAtMostOnce) return;
  if (durability == Durability::kBatched) {
    ++acknowledged_early_;
    return;
  }
  request.ack_later = turn_waits_ = true;
  if (request.qos != QoS::kExactlyOnce) return;
  request.hold = request.session_is_durable ? Hold::kExactlyOnce : Hold::kDurableExactlyOnce;
}

void SqliteShard::published(const SourceBlock& block) {
  Parcel& out = parcel();
  const std::size_t head = out.entries.size();
  out.add(EntryKind::kSource).number = block.turn.number;
  out.entries[head].session = block.targets;
  out.entries[head].count = 0;
  for (const Published& publish : block.publishes) {
    out.entries[head].message_number = std::max(out.entries[head].message_number, publish.message->number());
    if (!publish.session_is_durable || publish.packet_id == 0 || publish.message->qos() != QoS::kExactlyOnce) continue;
    Entry& entry = out.add(EntryKind::kPublished);
    entry.session = publish.session;
    entry.packet_id = publish.packet_id;
    ++out.entries[head].count;
  }
}

void SqliteShard::recipients(const RecipientBlock& block) {
  Parcel& out = parcel();
  const std::size_t head = out.entries.size();
  Entry& first = out.add(EntryKind::kRecipients);
  first.session = block.turn.source;
  first.number = block.turn.number;
  for (const Recipient& recipient : block.recipients) {
    const bool is_group = recipient.session == 0;
    if (!is_for_disk(recipient) || (!is_group && (!recipient.session_is_durable || recipient.delivery == 0))) continue;
    add_recipient(recipient);
  }
  out.entries[head].count = static_cast<std::uint32_t>(out.entries.size() - head - 1);
}

void SqliteShard::add_recipient(const Recipient& recipient) {
  Parcel& out = *parcel_;
  Entry& entry = out.add(EntryKind::kRecipient);
  entry.session = recipient.session;
  entry.number = recipient.delivery;
  entry.identifier = recipient.identifier;
  entry.packet_id = recipient.packet_id;
  entry.qos = static_cast<std::uint8_t>(recipient.qos);
  entry.retain = recipient.retain;
  entry.durable = recipient.session_is_durable;
  out.hold(entry, *recipient.message);
  out.set_detail(entry, recipient.group, recipient.identifiers);
}

// ---- subscriptions and sessions ------------------------------------------------------------------------------------

void SqliteShard::subscribe(SubscribeOp& subscription) {
  subscription.verdict = granted(subscription.qos);
  if (!subscription.session_is_durable) return;
  subscription.ack_later = wait();
  Parcel& out = parcel();
  Entry& entry = out.add(EntryKind::kSubscribe);
  entry.detail = static_cast<std::uint32_t>(out.subscriptions.size());
  entry.waits = subscription.ack_later;
  out.subscriptions.push_back({subscription.session, std::string(subscription.filter), subscription.qos,
                               subscription.options, subscription.identifier, false});
}

void SqliteShard::unsubscribe(UnsubscribeOp& subscription) {
  if (!subscription.session_is_durable) return;
  subscription.ack_later = wait();
  Parcel& out = parcel();
  Entry& entry = out.add(EntryKind::kUnsubscribe);
  entry.detail = static_cast<std::uint32_t>(out.subscriptions.size());
  entry.waits = subscription.ack_later;
  out.subscriptions.push_back(
      {subscription.session, std::string(subscription.filter), QoS::kAtMostOnce, 0, 0, /*removed=*/true});
}

void SqliteShard::session_event(SessionEvent& event) {
  const SessionState& session = event.session;
  if (event.kind == SessionEventKind::kReleased) {
    if (!session.is_durable()) return;
    Entry& entry = parcel().add(EntryKind::kReleased);
    entry.session = session.number;
    entry.packet_id = event.packet_id;
    entry.waits = event.ack_later = wait();
    return;
  }
  // One that is not durable any more is kept no more: it ends with its connection, or with the broker.
  const bool ends = event.kind == SessionEventKind::kEnded || !session.is_durable();
  if (ends && event.kind == SessionEventKind::kCreated) return;
  const bool answers_connect = event.kind == SessionEventKind::kCreated || event.kind == SessionEventKind::kResumed;
  if (answers_connect || event.kind == SessionEventKind::kEnded) event.ack_later = wait();
  add_session(event);
}

void SqliteShard::add_session(const SessionEvent& event) {
  const SessionState& session = event.session;
  Parcel& out = parcel();
  Entry& entry = out.add(EntryKind::kSession);
  entry.detail = static_cast<std::uint32_t>(out.sessions.size());
  entry.waits = event.ack_later;
  SessionEntry& state = out.sessions.emplace_back();
  state.kind = session.is_durable() ? event.kind : SessionEventKind::kEnded;
  state.number = session.number;
  if (state.kind == SessionEventKind::kEnded) return;
  state.client_id = session.client_id;
  state.has_user_name = session.has_user_name;
  state.user_name = session.user_name;
  state.expiry_interval = session.expiry_interval;
  state.connected = session.connected;
  state.at = reactor_.wall_now();
  state.principal = Ref<const Principal>::share(session.principal);
  if (session.will == nullptr) return;
  state.will = Ref<const Message>::share(session.will->message);
  state.will_delay = session.will->delay_interval;
  state.will_expiry = session.will->message_expiry_interval;
}

// ---- deliveries and retained messages ------------------------------------------------------------------------------

void SqliteShard::delivery_event(DeliveryEvent& event) {
  const Recipient& delivery = event.delivery;
  const bool is_of_group = !delivery.group.empty();
  if (!is_of_group && (!delivery.session_is_durable || delivery.delivery == 0)) return;
  // Of a topic that is kept in memory alone.
  if (delivery.message != nullptr && delivery.message->number() == 0) return;
  const bool needs_disk = event.kind == DeliveryEventKind::kReceived ||
                          (event.kind == DeliveryEventKind::kDelivered && delivery.qos == QoS::kExactlyOnce);
  Parcel& out = parcel();
  Entry& entry = out.add(kind_of(event.kind));
  entry.session = delivery.session;
  entry.number = delivery.delivery;
  entry.identifier = delivery.identifier;
  entry.packet_id = delivery.packet_id;
  entry.qos = static_cast<std::uint8_t>(delivery.qos);
  entry.retain = delivery.retain;
  entry.durable = delivery.session_is_durable;
  if (needs_disk && delivery.session_is_durable) entry.waits = event.ack_later = wait();
  if (delivery.message != nullptr && is_of_group) {
    out.hold(entry, *delivery.message);
  } else if (delivery.message != nullptr) {
    entry.message_number = delivery.message->number();
  }
  out.set_detail(entry, delivery.group, delivery.identifiers);
}

void SqliteShard::retained_event(const RetainedEvent& event) {
  const Durability durability = has_rules_ ? rules_.of(event.topic) : rules_.otherwise();
  if (durability == Durability::kMemory) return;
  Parcel& out = parcel();
  Entry& entry = out.add(EntryKind::kRetained);
  entry.number = event.sequence;
  // Nobody waits for a value of QoS 0: it goes along with what is written next.
  entry.waits =
      durability == Durability::kFull && (event.message == nullptr || event.message->qos() != QoS::kAtMostOnce);
  if (event.message != nullptr) {
    out.hold(entry, *event.message);
  } else {
    out.set_text(entry, event.topic);
  }
}

// ---- the turn ------------------------------------------------------------------------------------------------------

void SqliteShard::flush(std::uint64_t number) {
  Entry& entry = parcel().add(EntryKind::kFlush);
  entry.number = number;
  // What is in a turn for which nobody asked (replays of retained messages) is not left lying either.
  entry.count = std::exchange(acknowledged_early_, 0);
  entry.waits = std::exchange(turn_waits_, false) || (!is_batched_ && entry.count == 0);
}

void SqliteShard::end_turn() {
  if (!parcel_) return;
  parcel_->now = reactor_.now();
  parcel_->wall_now = reactor_.wall_now();
  MQLOOP_FAILPOINT("append");
  const bool is_too_much = journal_.post(std::move(parcel_), &returned_);
  clear_returned();
  if (is_too_much) notices_.call(Notices::kEverybody);
}

void SqliteShard::drain(std::chrono::milliseconds deadline) {
  end_turn();
  static_cast<void>(journal_.wait_settled(deadline));  // what is not on disk by then is not acknowledged
  read(notices_);
  notices_.leave(reactor_.index());
}

void SqliteShard::read(const Notices& notices) noexcept {
  journal_.take_returned(reactor_.index(), returned_);
  clear_returned();
  for (std::uint32_t source = 0; source != notices.reactors(); ++source) {
    const std::uint64_t number = notices.complete_through(source);
    if (number == complete_[source]) continue;
    complete_[source] = number;
    sink_.complete_through(source, number);
  }
  if (const ReasonCode trouble = notices.trouble(); trouble != trouble_) sink_.set_trouble(trouble_ = trouble);
  if (const bool full = journal_.is_full(); full != full_) {
    full_ = full;
    sink_.set_backlog(full ? Backlog::kFull : Backlog::kNone);
  }
}

}  // namespace mqloop::publisher_sqlite
