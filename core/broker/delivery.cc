#include "core/broker/delivery.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

std::span<const std::uint32_t> identifiers_of(const OutboundEntry& entry) noexcept {
  if (entry.identifiers) return entry.identifiers->values();
  return {&entry.identifier, entry.identifier == 0 ? 0U : 1U};
}

}  // namespace

bool Delivery::wanted(Session& session, const Subscriber& subscriber, FilterId filter, const RoutedMessage& message,
                      std::uint64_t retained_sequence) const {
  if (subscriber.no_local() && session.client_key() == message.publisher()) return false;  // [MQTT-3.8.3-3]
  if (retained_sequence != 0 && session.was_replayed(filter, retained_sequence)) return false;
  return subscriber.access() == 0 || shard_.delivery_access().may_receive(session, subscriber.access(), message);
}

void Delivery::Recipience::start(Session& receiver) noexcept {
  session = &receiver;
  matched = false;
  qos = QoS::kAtMostOnce;
  retain_as_published = false;
  access = 0xFF;
  identifier = 0;
  others.clear();
}

void Delivery::Recipience::merge(const Subscriber& subscriber) {
  matched = true;
  qos = std::max(qos, static_cast<QoS>(subscriber.qos()));
  retain_as_published |= subscriber.retain_as_published();
  access &= subscriber.access();
  if (subscriber.subscription_identifier == 0) return;
  if (identifier == 0) {
    identifier = subscriber.subscription_identifier;
  } else {
    others.push_back(subscriber.subscription_identifier);
  }
}

std::size_t Delivery::deliver(std::span<const FilterId> filters, RoutedMessage& message,
                              std::uint64_t retained_sequence, RecipientNotes* notes) {
  FanOuts& fan_outs = shard_.fan_outs();
  if (!fan_outs.empty() && fan_outs.concern(message)) [[unlikely]] {
    return fan_outs.add(filters, message, retained_sequence, notes);
  }
  writer_.begin();
  if (filters.size() == 1) {
    const std::span<const Subscriber> subscribers = shard_.subscribers().subscribers(filters[0]);
    if (subscribers.size() > fan_outs.sizes().whole) [[unlikely]] {
      return fan_outs.add(filters, message, retained_sequence, notes);
    }
    const std::size_t matched = deliver_to(subscribers, filters[0], message, retained_sequence, notes);
    served_ += matched;
    return matched;
  }
  if (!collect(filters, message, retained_sequence)) return fan_outs.add(filters, message, retained_sequence, notes);
  for (const std::uint32_t group : groups_) shard_.shared_groups().deliver(group, message, notes);
  for (std::size_t i = 0; i != recipient_count_; ++i) deliver_to(recipients_[i], message, notes);
  served_ += recipient_count_ + groups_.size();
  return recipient_count_ + groups_.size();
}

bool Delivery::is_for_fan_outs(std::span<const FilterId> filters, const RoutedMessage& message) const {
  const FanOuts& fan_outs = shard_.fan_outs();
  if (!fan_outs.empty() && fan_outs.concern(message)) return true;
  std::size_t total = 0;
  for (const FilterId filter : filters) total += shard_.subscribers().subscribers(filter).size();
  return total > fan_outs.sizes().whole;
}

// Nobody stands under one filter twice, so there is nothing to merge.
std::size_t Delivery::deliver_to(std::span<const Subscriber> subscribers, FilterId filter, RoutedMessage& message,
                                 std::uint64_t retained_sequence, RecipientNotes* notes) {
  std::size_t matched = 0;
  for (const Subscriber& subscriber : subscribers) {
    if (subscriber.is_group()) [[unlikely]] {
      ++matched;
      shard_.shared_groups().deliver(subscriber.session, message, notes);
      continue;
    }
    Session& session = *shard_.sessions().at(subscriber.session);
    if (session.has_ended()) continue;
    // Most subscriptions have nothing to ask about, and a fan-out asks for each.
    if ((subscriber.has_conditions() || retained_sequence != 0) &&
        !wanted(session, subscriber, filter, message, retained_sequence)) {
      continue;
    }
    ++matched;
    const QoS qos = std::min(message.qos(), static_cast<QoS>(subscriber.qos()));
    const std::uint32_t identifier = subscriber.subscription_identifier;
    dispatch(session, message, qos, subscriber.retain_as_published() && message.retain(), subscriber.access(),
             {&identifier, identifier == 0 ? 0U : 1U}, notes);
  }
  return matched;
}

void Delivery::deliver_to(const Recipience& recipience, RoutedMessage& message, RecipientNotes* notes) {
  identifiers_.clear();
  if (recipience.identifier != 0) identifiers_.push_back(recipience.identifier);
  identifiers_.insert(identifiers_.end(), recipience.others.begin(), recipience.others.end());
  dispatch(*recipience.session, message, std::min(message.qos(), recipience.qos),
           recipience.retain_as_published && message.retain(), recipience.access, identifiers_, notes);
}

// Each group is another subscription, even where two have one filter or a member has the filter for itself too.
bool Delivery::collect(std::span<const FilterId> filters, const RoutedMessage& message,
                       std::uint64_t retained_sequence) {
  std::size_t total = 0;
  ++mark_;
  recipient_count_ = 0;
  groups_.clear();
  for (const FilterId filter : filters) {
    const std::span<const Subscriber> subscribers = shard_.subscribers().subscribers(filter);
    total += subscribers.size();
    if (total > shard_.fan_outs().sizes().whole) return false;
    for (const Subscriber& subscriber : subscribers) {
      if (subscriber.is_group()) [[unlikely]] {
        groups_.push_back(subscriber.session);
        continue;
      }
      Session& session = *shard_.sessions().at(subscriber.session);
      if (session.has_ended()) continue;
      if (wanted(session, subscriber, filter, message, retained_sequence)) recipience_of(session).merge(subscriber);
    }
  }
  return true;
}

Delivery::Recipience& Delivery::recipience_of(Session& session) {
  if (session.delivery_mark == mark_) return recipients_[session.delivery_index];
  session.delivery_mark = mark_;
  session.delivery_index = static_cast<std::uint32_t>(recipient_count_);
  if (recipient_count_ == recipients_.size()) recipients_.emplace_back();
  Recipience& recipience = recipients_[recipient_count_++];
  recipience.start(session);
  return recipience;
}

void Delivery::begin_merge(Session& session) {
  if (recipients_.empty()) recipients_.emplace_back();
  recipients_[0].start(session);
}

void Delivery::merge(const Subscriber& subscriber, FilterId filter, const RoutedMessage& message,
                     std::uint64_t retained_sequence) {
  Recipience& recipience = recipients_[0];
  if (wanted(*recipience.session, subscriber, filter, message, retained_sequence)) recipience.merge(subscriber);
}

void Delivery::deliver_merged(RoutedMessage& message, RecipientNotes* notes) {
  if (recipients_[0].matched) deliver_to(recipients_[0], message, notes);
}

void Delivery::deliver_retained(Session& session, RoutedMessage& message, QoS granted, std::uint32_t identifier,
                                std::uint8_t access) {
  const QoS qos = std::min(message.qos(), granted);
  std::optional<RecipientNotes> notes = shard_.publishing().notes_of_replay(message, qos, session);
  writer_.begin();
  dispatch(session, message, qos, true, access, {&identifier, identifier == 0 ? 0U : 1U}, notes ? &*notes : nullptr);
}

bool Delivery::deliver_shared(Session& session, RoutedMessage& message, const SharedMemberships::Membership& membership,
                              std::uint32_t share, bool to_queue) {
  if (membership.access != 0 && !shard_.delivery_access().may_take(session, membership.access, message)) return false;
  const QoS qos = std::min(message.qos(), membership.qos);  // [MQTT-4.8.2-3]
  const Connection* connection = session.connection();
  const bool online = connection != nullptr && connection->is_open();
  if (to_queue) {
    if (qos == QoS::kAtMostOnce && !(session.limits().session.queue_qos0 && session.is_durable())) return false;
  } else {
    const Outbound* outbound = session.outbound();
    const bool queued = outbound != nullptr && outbound->queued() != 0;
    if (!online || (qos == QoS::kAtMostOnce && connection->output_is_above_soft_limit()) ||
        (queued && is_full(session, message.message()->footprint()))) {
      return false;
    }
  }
  dispatch(session, message, qos, membership.retain_as_published && message.retain(), membership.access,
           {&membership.identifier, membership.identifier == 0 ? 0U : 1U}, nullptr, share);
  return true;
}

void Delivery::dispatch(Session& session, RoutedMessage& message, QoS qos, bool retain, std::uint8_t access,
                        std::span<const std::uint32_t> identifiers, RecipientNotes* notes, std::uint32_t share) {
  Connection* connection = session.connection();
  if (connection != nullptr && !connection->is_open()) connection = nullptr;
  if (qos != QoS::kAtMostOnce || waits_with_qos0(session, connection, notes)) {
    send_or_queue(session, message, qos, retain, access, identifiers, notes, share);
    return;
  }
  dispatch_qos0(session, connection, message, retain, identifiers);
  if (share != 0) {
    const bool was_qos0 = message.qos() == QoS::kAtMostOnce;  // of no interest to a publisher: spare the allocation
    shard_.shared_members().finished(session, share, was_qos0 ? nullptr : message.message().get());
  }
  if (notes != nullptr && shard_.publishing().notes_everything()) {
    Recipient recipient;
    recipient.session = session.number();
    recipient.session_is_durable = session.is_durable();
    recipient.retain = retain;
    notes->block.note(recipient, message.message());
  }
}

// Whether QoS 0 goes into the queue: for a client that is away only by limits.session.queue_qos0, else when its turn is
// not complete or others wait that it must not overtake.
bool Delivery::waits_with_qos0(Session& session, const Connection* connection,
                               const RecipientNotes* notes) const noexcept {
  if (connection == nullptr) return session.limits().session.queue_qos0 && session.is_durable();
  return (notes != nullptr && notes->hold == Hold::kEverything) ||
         (session.outbound() != nullptr && session.outbound()->queued_qos0() != 0);
}

void Delivery::dispatch_qos0(Session& session, Connection* connection, RoutedMessage& message, bool retain,
                             std::span<const std::uint32_t> identifiers) {
  if (connection == nullptr) {
    shard_.drop(session, DropCause::kOffline);
    return;
  }
  if (shard_.drops_qos0()) {
    shard_.drop(session, DropCause::kMemory);
    return;
  }
  if (connection->output_is_above_soft_limit()) {
    shard_.drop(session, DropCause::kBackPressure);
    return;
  }
  PublishReceiver receiver = connection->publish_receiver();
  receiver.retain = retain;
  receiver.identifiers = identifiers;
  const std::size_t size = writer_.write(message, receiver, shard_.loop().now(), connection->output());
  if (size == 0) {
    shard_.drop(session, DropCause::kTooLarge);
    return;
  }
  connection->publish_written(message.packet().payload.size());
}

void Delivery::send_or_queue(Session& session, RoutedMessage& message, QoS qos, bool retain, std::uint8_t access,
                             std::span<const std::uint32_t> identifiers, RecipientNotes* notes, std::uint32_t share) {
  OutboundEntry entry;
  entry.share = share;
  entry.message = message.message();
  entry.qos = qos;
  entry.retain = retain;
  entry.access = access;
  entry.kept = qos != QoS::kAtMostOnce && session.is_kept() && entry.message->number() != 0;
  if (entry.kept || notes != nullptr) entry.delivery = shard_.publishing().next_delivery();
  const bool waits_for_turn = notes != nullptr && holds(notes->hold, qos, session.is_durable());
  entry.held = waits_for_turn || (notes != nullptr && notes->in_slices);
  if (identifiers.size() == 1) {
    entry.identifier = identifiers[0];
  } else if (!identifiers.empty()) {
    entry.identifiers = Ref<const SubscriptionIdentifiers>::adopt(
        new SubscriptionIdentifiers(std::vector<std::uint32_t>(identifiers.begin(), identifiers.end())));
  }
  Outbound& outbound = session.make_outbound();
  OutboundEntry* sent = nullptr;
  const Sent how = send_at_once(session, message, entry, notes, sent);
  if (how == Sent::kTooLarge || how == Sent::kTooLargeTold ||
      (how == Sent::kNo && !make_room(session, entry.message->footprint()))) {
    if (share != 0) {
      shard_.shared_members().finished(session, share, how == Sent::kTooLargeTold ? nullptr : message.message().get());
    }
    session.free_outbound_if_empty();
    return;
  }
  if (how == Sent::kNo) sent = &outbound.enqueue(std::move(entry));
  if (notes != nullptr) {
    if (waits_for_turn) {
      hold(session, *sent, notes->block.turn);
    } else if (notes->in_slices) {
      notes->block.unsent.push_back({0, session.slot(), session.number(), sent->delivery, 0});
    }
    if (sent->kept || (shard_.publishing().notes_everything() && session.is_kept())) {
      if (sent->identifiers) notes->block.identifiers.push_back(sent->identifiers);
      notes->block.note(session.recipient(*sent), sent->message);
    }
  }
  session.free_outbound_if_empty();
}

// Sends `entry` past an empty queue, if connection, quota and window allow it now: then it has moved into the window,
// where it is `sent`. Where only its packet identifier has to come first to disk, it has one and waits there. One that
// is too large for its client is dropped, as if it had been delivered [MQTT-3.1.2-25].
Delivery::Sent Delivery::send_at_once(Session& session, RoutedMessage& message, OutboundEntry& entry,
                                      const RecipientNotes* notes, OutboundEntry*& sent) {
  Outbound& outbound = *session.outbound();
  Connection* connection = session.connection();
  const bool only_identifies = entry.held && entry.kept && entry.qos == QoS::kExactlyOnce && !notes->in_slices;
  if (entry.qos == QoS::kAtMostOnce || (entry.held && !only_identifies) || outbound.queued() != 0 ||
      (outbound.to_send() != 0 && !(only_identifies && outbound.last_is_counted())) || connection == nullptr ||
      !connection->may_send_now() || !connection->send_quota().take()) {
    return Sent::kNo;
  }
  sent = outbound.take(entry);
  if (sent == nullptr) {
    connection->send_quota().give_back();
    return Sent::kNo;
  }
  sent->counted = true;
  if (sent->held) return Sent::kWaits;
  // Where no RecipientBlock tells of it, an event does.
  const bool tells = notes == nullptr && sent->kept;
  if (tells && sent->qos == QoS::kExactlyOnce && hold_for_identifier(session, *sent)) return Sent::kWaits;
  if (write(session, message, *sent, false) == 0) {
    const bool told = tells && sent->qos == QoS::kExactlyOnce;
    if (told) shard_.publishing().delivery_event(DeliveryEventKind::kDropped, session, *sent);
    outbound.finish(sent);
    connection->send_quota().give_back();
    return told ? Sent::kTooLargeTold : Sent::kTooLarge;
  }
  outbound.first_is_sent();
  if (tells && sent->qos != QoS::kExactlyOnce) {
    shard_.publishing().delivery_event(DeliveryEventKind::kDelivered, session, *sent);
  }
  return Sent::kYes;
}

// A message of QoS 2 is not sent before its packet identifier is on disk, where there is one to keep it: else it could
// come again under another.
bool Delivery::hold_for_identifier(const Session& session, OutboundEntry& entry) {
  MQLOOP_FAILPOINT("packet_id");
  if (!shard_.publishing().delivery_event(DeliveryEventKind::kDelivered, session, entry)) return false;
  entry.held = true;
  hold(session, entry, {shard_.index(), shard_.publishing().this_turn()});
  return true;
}

void Delivery::hold(const Session& session, const OutboundEntry& entry, const TurnId& turn) {
  if (held_.size() <= turn.source) held_.resize(turn.source + 1);
  insert_by_turn(held_[turn.source],
                 HeldDelivery{turn.number, session.slot(), session.number(), entry.delivery, entry.packet_id});
}

bool Delivery::is_full(const Session& session, std::size_t footprint) const noexcept {
  const auto& limits = session.limits().session;
  const Outbound& outbound = *session.outbound();
  return (limits.max_queued_messages != 0 && outbound.queued() >= limits.max_queued_messages) ||
         (limits.max_queued_bytes != 0 && outbound.queued_bytes() + footprint > limits.max_queued_bytes);
}

// A message that came through a shared subscription leaves the session without having been told of as sent.
void Delivery::drop_next(Session& session) {
  Outbound& outbound = *session.outbound();
  const OutboundEntry& next = outbound.next();
  if (next.share != 0) {
    shard_.shared_members().finished(session, next.share, next.message.get());
  } else {
    shard_.publishing().delivery_event(DeliveryEventKind::kDropped, session, next);
  }
  outbound.drop_next();
}

// `sent` is in the window, but its client has never had it.
void Delivery::finish_unsent(Session& session, OutboundEntry* sent, bool told) {
  if (sent->share != 0) shard_.shared_members().finished(session, sent->share, told ? nullptr : sent->message.get());
  session.outbound()->finish(sent);
}

// Whether one more message may be queued, after older ones were dropped if that is the rule.
bool Delivery::make_room(Session& session, std::size_t footprint) {
  Outbound& outbound = *session.outbound();
  const auto& limits = session.limits().session;
  const auto full = [&] { return is_full(session, footprint); };
  if (!full()) return true;
  if (limits.overflow == QueueOverflow::kDropOldest) {
    while (outbound.queued() != 0 && full()) {
      drop_next(session);
      shard_.drop(session, DropCause::kQueueDisplaced);
    }
    if (!full()) return true;
  }
  shard_.drop(session, DropCause::kQueueFull);
  if (limits.overflow == QueueOverflow::kDisconnect && session.connection() != nullptr &&
      session.connection()->is_open()) {
    shard_.close_later(*session.connection(), ReasonCode::kQuotaExceeded, "the session's queue is full");
  }
  return false;
}

std::size_t Delivery::write(Session& session, RoutedMessage& message, const OutboundEntry& entry, bool dup) {
  Connection& connection = *session.connection();
  PublishReceiver receiver = connection.publish_receiver();
  receiver.qos = entry.qos;
  receiver.retain = entry.retain;
  receiver.dup = dup;
  receiver.packet_id = entry.packet_id;
  receiver.identifiers = identifiers_of(entry);
  const std::size_t size = writer_.write(message, receiver, shard_.loop().now(), connection.output());
  if (size == 0) {
    shard_.drop(session, DropCause::kTooLarge);
  } else {
    connection.publish_written(message.packet().payload.size());
  }
  return size;
}

bool Delivery::send_next(Session& session) {
  Outbound& outbound = *session.outbound();
  Connection& connection = *session.connection();
  const OutboundEntry& next = outbound.next();
  if (!connection.may_send_now() || next.held) return false;
  // Behind others goes what has to wait in the window in any case, once those have their part of the quota.
  const bool may_follow = next.kept && next.qos == QoS::kExactlyOnce;
  if (outbound.to_send() != 0 && !(may_follow && outbound.last_is_counted())) return false;
  if (has_expired(*next.message, shard_.loop().now())) {
    drop_next(session);
    shard_.drop(session, DropCause::kExpired);
    return true;
  }
  RoutedMessage message(next.message);
  if (next.access != 0 && !shard_.delivery_access().may_receive(session, next.access, message)) {
    drop_next(session);
    return true;
  }
  writer_.begin();
  if (next.qos == QoS::kAtMostOnce) {
    write(session, message, next, false);
    drop_next(session);
    return true;
  }
  if (!connection.send_quota().take()) return false;
  OutboundEntry* sent = outbound.take_next();
  if (sent == nullptr) {
    connection.send_quota().give_back();
    return false;
  }
  sent->counted = true;
  const bool identified = sent->kept && sent->qos == QoS::kExactlyOnce;
  if (identified && hold_for_identifier(session, *sent)) return true;
  if (outbound.to_send() != 1) return true;  // it goes when its turn in the window has come
  if (write(session, message, *sent, false) == 0) {
    if (identified || sent->share == 0) {
      shard_.publishing().delivery_event(DeliveryEventKind::kDropped, session, *sent);
    }
    connection.send_quota().give_back();
    finish_unsent(session, sent, identified);
    return true;
  }
  outbound.first_is_sent();
  if (!identified) shard_.publishing().delivery_event(DeliveryEventKind::kDelivered, session, *sent);
  return true;
}

void Delivery::pump(Session& session) {
  if (session.outbound() == nullptr || session.connection() == nullptr || !session.connection()->is_open()) return;
  Outbound& outbound = *session.outbound();
  while (outbound.to_send() != 0 && session.connection()->is_open() && send_first_of_window(session)) {
  }
  while (outbound.queued() != 0 && session.connection()->is_open() && send_next(session)) {
  }
  session.free_outbound_if_empty();
}

void Delivery::drop_queue(Session& session, DropCause cause) {
  Outbound* outbound = session.outbound();
  if (outbound == nullptr || outbound->queued() == 0) return;
  shard_.drop(session, cause, outbound->queued());
  while (outbound->queued() != 0) drop_next(session);
  session.free_outbound_if_empty();
}

void Delivery::resume(Session& session) {
  if (session.outbound() == nullptr) return;
  session.outbound()->resend_all();
  if (session.outbound()->in_flight() != 0) shard_.publishing().give_noted();
  pump(session);
}

// Sends the first entry of the window that is to be sent, under its identifier and in its place. False: its publisher
// holds it, or the quota must wait first.
bool Delivery::send_first_of_window(Session& session) {
  Connection& connection = *session.connection();
  Outbound& outbound = *session.outbound();
  OutboundEntry& entry = outbound.first_to_send();
  if (entry.held) return false;
  if (mqtt::step(entry.state, mqtt::SenderEvent::kResume).action == mqtt::SenderAction::kResendPubrel) {
    resend_pubrel(session, entry);
    return true;
  }
  if (!entry.counted && !connection.send_quota().take()) return false;
  entry.counted = true;
  writer_.begin();
  RoutedMessage message(entry.message);
  const bool allowed = entry.access == 0 || shard_.delivery_access().may_receive(session, entry.access, message);
  if (allowed && write(session, message, entry, entry.sent) != 0) {
    outbound.first_is_sent();
  } else {
    cannot_send(session, entry);
  }
  return true;
}

// Too large for the client by now, or not allowed any more. If it has got it before, it holds the identifier until
// PUBREL comes.
void Delivery::cannot_send(Session& session, OutboundEntry& entry) {
  Outbound& outbound = *session.outbound();
  session.connection()->send_quota().give_back();
  entry.counted = false;
  if (entry.qos == QoS::kExactlyOnce && entry.sent) {
    entry.state = mqtt::SenderState::kAwaitPubcomp;
    received(session, entry);
    return;
  }
  const auto event = entry.sent ? DeliveryEventKind::kAcknowledged : DeliveryEventKind::kDropped;
  shard_.publishing().delivery_event(event, session, entry);
  if (entry.share != 0) {
    shard_.shared_members().finished(session, entry.share, entry.kept ? nullptr : entry.message.get());
  }
  outbound.finish(&entry);
}

void Delivery::received(Session& session, OutboundEntry& entry) {
  MQLOOP_FAILPOINT("pubrec");
  const bool waits = shard_.publishing().delivery_event(DeliveryEventKind::kReceived, session, entry);
  if (entry.share != 0 && !entry.kept && entry.message) {  // it was the group's all the time
    shard_.publishing().group_done((*session.shared())[entry.share - 1].name->text(), *entry.message);
  }
  session.outbound()->drop_message(entry);  // it will not be sent again [MQTT-4.3.3-6]
  if (waits) {
    entry.held = true;
    hold(session, entry, {shard_.index(), shard_.publishing().this_turn()});
  }
}

// A PUBREL is never held up [MQTT-4.9.0-3], but its PUBLISH counts until PUBCOMP where there is room.
void Delivery::resend_pubrel(Session& session, OutboundEntry& entry) {
  entry.counted = session.connection()->send_quota().take();
  session.connection()->send_ack(mqtt::PacketType::kPubrel, entry.packet_id, ReasonCode::kSuccess);
  session.outbound()->first_is_sent();
}

// Of one source the turns are completed in order, so what is released stands first.
void Delivery::release(std::uint32_t source, std::uint64_t turn) {
  if (source >= held_.size()) return;
  std::deque<HeldDelivery>& held = held_[source];
  for (; !held.empty() && held.front().turn <= turn; held.pop_front()) released_.push_back(std::move(held.front()));
  if (!released_.empty()) shard_.loop().request_turn();
}

void Delivery::release(std::vector<HeldDelivery> held) {
  if (held.empty()) return;
  released_.insert(released_.end(), std::make_move_iterator(held.begin()), std::make_move_iterator(held.end()));
  shard_.loop().request_turn();
}

void Delivery::run() {
  if (released_.empty()) return;
  release_some(shard_.fan_outs().sizes().slice);
  if (!released_.empty()) shard_.loop().request_turn();
}

void Delivery::release_some(std::size_t most) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> touched;
  for (; most != 0 && !released_.empty(); --most, released_.pop_front()) {
    const HeldDelivery& first = released_.front();
    Session* session = shard_.sessions().at(first.slot, first.session);
    if (session == nullptr || session->outbound() == nullptr) continue;
    const OutboundEntry* entry = session->outbound()->release(first.delivery, first.packet_id);
    // Null: it was displaced from the queue, and what it held up goes on.
    if (entry != nullptr && entry->state == mqtt::SenderState::kAwaitPubcomp && entry->sent &&
        !session->outbound()->is_to_send(*entry)) {
      if (session->connection() != nullptr && session->connection()->is_open()) {
        session->connection()->send_ack(mqtt::PacketType::kPubrel, entry->packet_id, ReasonCode::kSuccess);
      }
      continue;
    }
    if (touched.empty() || touched.back().second != first.session) touched.emplace_back(first.slot, first.session);
  }
  for (const auto& [slot, number] : touched) {
    if (Session* session = shard_.sessions().at(slot, number)) pump(*session);
  }
}

}  // namespace mqloop::broker
