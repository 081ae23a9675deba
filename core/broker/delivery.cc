#include "core/broker/delivery.h"

#include <algorithm>
#include <iterator>
#include <utility>

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
  writer_.begin();
  dispatch(session, message, std::min(message.qos(), granted), true, access, {&identifier, identifier == 0 ? 0U : 1U},
           nullptr);
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
  if (notes != nullptr) {
    notes->block.recipients.push_back({notes->sequence, session.number(), 0, qos, session.is_durable()});
  }
}

// Whether QoS 0 goes into the queue: for a client that is away only by limits.session.queue_qos0, else when its turn is
// not complete or others wait that it must not overtake.
bool Delivery::waits_with_qos0(Session& session, const Connection* connection,
                               const RecipientNotes* notes) const noexcept {
  if (connection == nullptr) return session.limits().session.queue_qos0 && session.is_durable();
  return (notes != nullptr && notes->hold) || (session.outbound() != nullptr && session.outbound()->queued_qos0() != 0);
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
  entry.held = notes != nullptr && (notes->hold || notes->in_slices);
  if (identifiers.size() == 1) {
    entry.identifier = identifiers[0];
  } else if (!identifiers.empty()) {
    entry.identifiers = Ref<const SubscriptionIdentifiers>::adopt(
        new SubscriptionIdentifiers(std::vector<std::uint32_t>(identifiers.begin(), identifiers.end())));
  }
  Outbound& outbound = session.make_outbound();
  std::uint16_t packet_id = 0;
  if (!send_at_once(session, message, entry, packet_id)) {
    if (!make_room(session, entry.message->footprint())) {
      if (share != 0) shard_.shared_members().finished(session, share, entry.message.get());
      session.free_outbound_if_empty();
      return;
    }
    if (entry.held) {
      const TurnId& turn = notes->block.turn;
      HeldDelivery held{turn.number, session.slot(), session.number(), entry.message};
      if (notes->hold) {
        if (held_.size() <= turn.source) held_.resize(turn.source + 1);
        insert_by_turn(held_[turn.source], std::move(held));
      } else {
        notes->block.unsent.push_back(std::move(held));
      }
    }
    outbound.enqueue(std::move(entry));
  } else if (packet_id == 0) {
    if (share != 0) shard_.shared_members().finished(session, share, message.message().get());
    session.free_outbound_if_empty();
    return;
  }
  if (notes != nullptr) {
    notes->block.recipients.push_back({notes->sequence, session.number(), packet_id, qos, session.is_durable()});
  } else if (packet_id != 0) {
    // No RecipientBlock tells of it.
    if (const OutboundEntry* sent = outbound.find(packet_id)) shard_.publishing().delivered(session, *sent);
  }
  session.free_outbound_if_empty();
}

// Sends `entry` past an empty queue, if connection, quota and window allow it now: then it has moved into the window
// and `packet_id` is its identifier. One that is too large for its client is dropped, as if it had been delivered
// [MQTT-3.1.2-25]: `packet_id` stays 0.
bool Delivery::send_at_once(Session& session, RoutedMessage& message, OutboundEntry& entry, std::uint16_t& packet_id) {
  Outbound& outbound = *session.outbound();
  Connection* connection = session.connection();
  if (entry.held || entry.qos == QoS::kAtMostOnce || outbound.queued() != 0 || outbound.to_resend() != 0 ||
      connection == nullptr || !connection->may_send_now() || !connection->send_quota().take()) {
    return false;
  }
  OutboundEntry* sent = outbound.send_now(entry);
  if (sent == nullptr) {
    connection->send_quota().give_back();
    return false;
  }
  if (write(session, message, *sent, false) == 0) {
    outbound.finish(sent);
    connection->send_quota().give_back();
    return true;
  }
  sent->counted = true;
  packet_id = sent->packet_id;
  return true;
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
  if (next.share != 0) shard_.shared_members().finished(session, next.share, next.message.get());
  outbound.drop_next();
}

void Delivery::finish_unsent(Session& session, OutboundEntry* sent) {
  if (sent->share != 0) shard_.shared_members().finished(session, sent->share, sent->message.get());
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
  if (limits.overflow == QueueOverflow::kDisconnect && session.connection() != nullptr) {
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
  if (!connection.may_send_now() || outbound.next().held) return false;
  if (has_expired(*outbound.next().message, shard_.loop().now())) {
    drop_next(session);
    shard_.drop(session, DropCause::kExpired);
    return true;
  }
  RoutedMessage message(outbound.next().message);
  if (const std::uint8_t access = outbound.next().access;
      access != 0 && !shard_.delivery_access().may_receive(session, access, message)) {
    drop_next(session);
    return true;
  }
  writer_.begin();
  if (outbound.next().qos == QoS::kAtMostOnce) {
    write(session, message, outbound.next(), false);
    drop_next(session);
    return true;
  }
  if (!connection.send_quota().take()) return false;
  OutboundEntry* sent = outbound.send_next();
  if (sent == nullptr || write(session, message, *sent, false) == 0) {
    connection.send_quota().give_back();
    if (sent == nullptr) return false;
    finish_unsent(session, sent);
    return true;
  }
  sent->counted = true;
  shard_.publishing().delivered(session, *sent);
  return true;
}

void Delivery::pump(Session& session) {
  if (session.outbound() == nullptr || session.connection() == nullptr || !session.connection()->is_open()) return;
  resend_window(session);
  if (session.outbound()->to_resend() == 0) {
    while (session.outbound()->queued() != 0 && send_next(session)) {
    }
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
  pump(session);
}

void Delivery::resend_window(Session& session) {
  Outbound& outbound = *session.outbound();
  while (outbound.to_resend() != 0 && session.connection()->is_open()) {
    OutboundEntry& entry = outbound.window_at(outbound.in_flight() - outbound.to_resend());
    if (!resend(session, entry)) return;
  }
}

// Sends `entry` of the window again, under the same identifier and in its old place. False: the quota must wait first.
bool Delivery::resend(Session& session, OutboundEntry& entry) {
  Connection& connection = *session.connection();
  Outbound& outbound = *session.outbound();
  const mqtt::SenderStep step = mqtt::step(entry.state, mqtt::SenderEvent::kResume);
  if (step.action == mqtt::SenderAction::kResendPubrel) {
    resend_pubrel(session, entry);
    return true;
  }
  if (!connection.send_quota().take()) return false;
  entry.counted = true;
  writer_.begin();
  RoutedMessage message(entry.message);
  const bool allowed = entry.access == 0 || shard_.delivery_access().may_receive(session, entry.access, message);
  if (allowed && write(session, message, entry, true) != 0) {
    outbound.resent();
    return true;
  }
  // Too large for the client by now, or not allowed any more. If it has got it before, it holds the identifier until
  // PUBREL comes.
  if (entry.qos == QoS::kExactlyOnce) {
    connection.send_quota().give_back();
    entry.counted = false;
    entry.state = mqtt::SenderState::kAwaitPubcomp;
    outbound.drop_message(entry);
    shard_.publishing().session_event(SessionEventKind::kReceived, session, entry.packet_id);
    resend_pubrel(session, entry);
    return true;
  }
  connection.send_quota().give_back();
  outbound.resent();
  shard_.publishing().session_event(SessionEventKind::kAcknowledged, session, entry.packet_id);
  if (entry.share != 0) shard_.shared_members().finished(session, entry.share, nullptr);
  outbound.finish(&entry);
  return true;
}

// A PUBREL is never held up [MQTT-4.9.0-3], but its PUBLISH counts until PUBCOMP where there is room.
void Delivery::resend_pubrel(Session& session, OutboundEntry& entry) {
  entry.counted = session.connection()->send_quota().take();
  session.connection()->send_ack(mqtt::PacketType::kPubrel, entry.packet_id, ReasonCode::kSuccess);
  session.outbound()->resent();
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

// In a session's queue it is near the end: nothing that came much later can be there yet.
void Delivery::release_some(std::size_t most) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> touched;
  for (; most != 0 && !released_.empty(); --most, released_.pop_front()) {
    const HeldDelivery& first = released_.front();
    Session* session = shard_.sessions().at(first.slot, first.session);
    if (session == nullptr || session->outbound() == nullptr) continue;
    if (!session->outbound()->release(first.message.get())) continue;
    if (touched.empty() || touched.back().second != first.session) touched.emplace_back(first.slot, first.session);
  }
  for (const auto& [slot, number] : touched) {
    if (Session* session = shard_.sessions().at(slot, number)) pump(*session);
  }
}

}  // namespace mqloop::broker
