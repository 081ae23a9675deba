#include "plugins/publisher_sqlite/ledger.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace mqloop::publisher_sqlite {

namespace {

Ref<const Message> take_message(Entry& entry) noexcept {
  return Ref<const Message>::adopt(std::exchange(entry.message, nullptr));
}

std::uint64_t number_of(const Entry& entry) noexcept { return entry.message == nullptr ? 0 : entry.message->number(); }

}  // namespace

void Ledger::adopt(const store::Recovered& recovered) {
  numbers_ = recovered.progress.numbers;
  ended_left_ = recovered.ended_left;
  references_.reserve(recovered.messages.size());
  for (const store::MessageReferences& message : recovered.messages) {
    references_.add(message.number, message.references).has_row = true;
    if (message.references == 0) unwanted_messages_.push_back(message.number);
  }
}

bool Ledger::has_changes() const noexcept {
  return !sessions_.empty() || batch_.size() != dead_in_batch_ || !removals_.empty() || !received_batch_.empty() ||
         !removed_ids_.empty() || !retained_.empty() || !unwanted_messages_.empty() || ended_left_;
}

std::size_t Ledger::gathering() const noexcept {
  std::size_t turns = 0;
  for (std::uint32_t source = 0; source != sources_; ++source) turns += queues_[source].gathering();
  return turns;
}

// ---- feeding -------------------------------------------------------------------------------------------------------

void Ledger::feed(Parcel& parcel) {
  wall_now_ = parcel.wall_now;
  wall_offset_ = parcel.wall_now.time_since_epoch() - parcel.now.time_since_epoch();
  const std::uint32_t reactor = parcel.reactor();
  for (std::size_t at = 0; at < parcel.entries.size();) {
    Entry& entry = parcel.entries[at];
    switch (entry.kind) {
      case EntryKind::kSource:
        at = feed_source(reactor, parcel, at);
        break;
      case EntryKind::kRecipients:
        at = feed_recipients(reactor, parcel, at);
        break;
      default:
        feed_events(parcel, entry);
        ++at;
        break;
    }
  }
  if (batch_early_ != 0 && !has_changes()) batch_early_ = 0;  // whoever was to have it has it
  if (dead_in_batch_ > 1024 && dead_in_batch_ * 2 > batch_.size()) compact();
}

void Ledger::feed_events(Parcel& parcel, Entry& entry) {
  const std::uint32_t reactor = parcel.reactor();
  switch (entry.kind) {
    case EntryKind::kFlush:
      return feed_flush(reactor, entry);
    case EntryKind::kSession:
      return feed_session(parcel.sessions[entry.detail], entry.waits);
    case EntryKind::kSubscribe:
    case EntryKind::kUnsubscribe:
      return feed_subscription(parcel.subscriptions[entry.detail], entry.waits);
    case EntryKind::kReleased:
      return feed_released(entry);
    case EntryKind::kDelivered:
      return feed_delivered(reactor, parcel, entry);
    case EntryKind::kReceived:
      return feed_received(reactor, entry);
    case EntryKind::kAcknowledged:
    case EntryKind::kDropped:
      return feed_done(entry);
    case EntryKind::kReturned:
      return feed_returned(parcel, entry);
    case EntryKind::kGroupDone:
      return drop_group_message(PendingDeliveries::kGroups | group_of(parcel.detail(entry, scratch_).group),
                                number_of(entry));
    case EntryKind::kRetained:
      return feed_retained(parcel, entry);
    case EntryKind::kSource:
    case EntryKind::kPublished:
    case EntryKind::kRecipients:
    case EntryKind::kRecipient:
      return;  // parts of blocks
  }
}

TurnQueue& Ledger::queue(std::uint32_t reactor) {
  sources_ = std::max(sources_, reactor + 1);
  return queues_[reactor];
}

std::size_t Ledger::feed_source(std::uint32_t reactor, Parcel& parcel, std::size_t at) {
  const Entry& head = parcel.entries[at];
  const std::size_t end = at + 1 + head.count;
  TurnQueue& turns = queue(reactor);
  if (turns.is_past(head.number)) return end;
  Turn& turn = turns.at(head.number);
  turn.targets = head.session;
  for (++at; at != end; ++at) {
    const Entry& publish = parcel.entries[at];
    numbers_.session = std::max(numbers_.session, publish.session);
    const std::uint32_t place = received_.add(publish.session, publish.packet_id);
    if (place != ReceivedChanges::kNone) turn.received.push_back(place);
  }
  return end;
}

std::size_t Ledger::feed_recipients(std::uint32_t reactor, Parcel& parcel, std::size_t at) {
  const Entry head = parcel.entries[at];
  const std::size_t end = at + 1 + head.count;
  const auto source = static_cast<std::uint32_t>(head.session);
  TurnQueue& turns = queue(source);
  if (turns.is_past(head.number)) return end;
  Turn& turn = turns.at(head.number);
  turn.given |= std::uint64_t{1} << reactor;
  for (++at; at != end; ++at) {
    Entry& entry = parcel.entries[at];
    if (number_of(entry) == 0) continue;
    const Detail detail = parcel.detail(entry, scratch_);
    const bool is_group = entry.session == 0;
    const std::uint64_t number = entry.message->number();
    numbers_.message = std::max(numbers_.message, number);
    numbers_.session = std::max(numbers_.session, entry.session);
    numbers_.delivery = std::max(numbers_.delivery, entry.number);
    if (!is_group && ended_.has(entry.session)) continue;
    const std::uint64_t session = is_group ? PendingDeliveries::kGroups | group_of(detail.group) : entry.session;
    const std::uint64_t delivery = is_group ? number : entry.number;
    if (deliveries_.find(session, delivery) != PendingDeliveries::kNone) continue;
    const Place place = add_delivery(session, delivery, take_message(entry));
    fill(deliveries_[place], entry, detail);
    deliveries_[place].turn = head.number;
    deliveries_[place].source = source;
    turn.deliveries.push_back(place);
  }
  advance(source);
  return end;
}

void Ledger::feed_flush(std::uint32_t reactor, const Entry& entry) {
  TurnQueue& turns = queue(reactor);
  turns.flush(entry.number);
  if (turns.is_past(entry.number)) return;
  Turn& turn = turns.at(entry.number);
  turn.flushed = true;
  turn.waits = entry.waits;
  turn.acknowledged_early = entry.count;
  gathering_early_ += entry.count;
  advance(reactor);
}

void Ledger::advance(std::uint32_t source) {
  TurnQueue& turns = queues_[source];
  while (Turn* turn = turns.front()) {
    make_writable(source, *turn);
    turns.pop();
  }
}

void Ledger::make_writable(std::uint32_t source, Turn& turn) {
  to_tell_[source] |= turn.targets;
  gathering_early_ -= turn.acknowledged_early;
  batch_early_ += turn.acknowledged_early;
  for (const Place place : turn.deliveries) {
    PendingDelivery& delivery = deliveries_[place];
    if (!delivery.dead && ended_.has(delivery.session)) drop(place);
    if (delivery.dead) {
      deliveries_.release(place);
      continue;
    }
    const bool waits = turn.waits || delivery.waits;
    delivery.waits = false;
    put(place, source, 0, waits);
  }
  for (const std::uint32_t place : turn.received) {
    ReceivedId& id = received_[place];
    if (id.dead || ended_.has(id.session)) {
      received_.release(place);
      continue;
    }
    id.in_batch = true;
    id.waits = turn.waits;
    waiting_ += id.waits ? 1 : 0;
    received_batch_.push_back(place);
  }
}

std::uint64_t Ledger::completable(std::uint32_t source) {
  std::deque<TurnQueue::Dependency>& dependencies = queues_[source].dependencies();
  while (!dependencies.empty() && queues_[dependencies.front().source].is_past(dependencies.front().number)) {
    dependencies.pop_front();
  }
  const std::uint64_t writable = queues_[source].writable();
  return dependencies.empty() ? writable : std::min(writable, dependencies.front().turn - 1);
}

// ---- sessions ------------------------------------------------------------------------------------------------------

void Ledger::feed_session(SessionEntry& session, bool waits) {
  numbers_.session = std::max(numbers_.session, session.number);
  if (session.kind == SessionEventKind::kEnded) {
    if (ended_.is_full()) forget_ended();
    ended_.add(session.number);
    ended_left_ = true;
  }
  waiting_ += waits ? 1 : 0;
  sessions_.emplace_back(std::move(session));
}

void Ledger::forget_ended() {
  deliveries_.for_each([this](Place place) {
    PendingDelivery& delivery = deliveries_[place];
    if (!ended_.has_older(delivery.session)) return;
    if (delivery.turn == 0) ++dead_in_batch_;
    drop(place);
  });
  ended_.forget();
}

void Ledger::feed_subscription(SubscriptionEntry& subscription, bool waits) {
  waiting_ += waits ? 1 : 0;
  sessions_.emplace_back(std::move(subscription));
}

void Ledger::feed_released(const Entry& entry) {
  const std::uint32_t place = received_.find(entry.session, entry.packet_id);
  if (place != ReceivedChanges::kNone) {
    const ReceivedId& id = received_[place];
    if (id.in_batch && id.waits) --waiting_;
    received_.kill(place);
    return;
  }
  waiting_ += entry.waits ? 1 : 0;
  removed_ids_.push_back({entry.session, entry.packet_id});
}

void Ledger::feed_retained(Parcel& parcel, Entry& entry) {
  numbers_.retained = std::max(numbers_.retained, entry.number);
  Ref<const Message> message = take_message(entry);
  if (message) numbers_.message = std::max(numbers_.message, message->number());
  const std::string_view topic = message ? message->topic() : parcel.text(entry);
  waiting_ += retained_.put(topic, std::move(message), entry.number, entry.waits);
}

std::uint32_t Ledger::group_of(std::string_view name) {
  const auto [found, is_new] = groups_.try_emplace(std::string(name), static_cast<std::uint32_t>(groups_.size()) + 1);
  if (is_new) group_names_.emplace_back(name);
  return found->second;
}

// ---- deliveries ----------------------------------------------------------------------------------------------------

Ledger::Place Ledger::add_delivery(std::uint64_t session, std::uint64_t delivery, Ref<const Message> message) {
  const Place place = deliveries_.add(session, delivery);
  PendingDelivery& added = deliveries_[place];
  added.number = message->number();
  references_.add(added.number);
  deliveries_.set_message(added, std::move(message));
  return place;
}

void Ledger::fill(PendingDelivery& delivery, const Entry& entry, const Detail& detail) {
  delivery.packet_id = entry.packet_id;
  delivery.qos = static_cast<QoS>(entry.qos);
  delivery.retain = entry.retain;
  delivery.identifier = entry.identifier;
  if (!detail.group.empty()) delivery.group = group_of(detail.group);
  if (!detail.identifiers.empty()) {
    delivery.identifiers =
        std::make_unique<std::vector<std::uint32_t>>(detail.identifiers.begin(), detail.identifiers.end());
  }
}

void Ledger::put(Place place, std::uint32_t source, std::uint64_t turn, bool waits) {
  PendingDelivery& delivery = deliveries_[place];
  delivery.turn = turn;
  delivery.source = source;
  if (turn == 0) {
    batch_.push_back(place);
  } else {
    queues_[source].at(turn).deliveries.push_back(place);
  }
  if (waits) await(place);
}

void Ledger::await(Place place) {
  PendingDelivery& delivery = deliveries_[place];
  if (delivery.waits) return;
  delivery.waits = true;
  if (delivery.turn == 0) ++waiting_;
}

void Ledger::await_change(std::uint32_t reactor, Place place) {
  await(place);
  const PendingDelivery& delivery = deliveries_[place];
  const std::uint64_t turn = queue(reactor).under_way();
  if (delivery.turn == 0 || (delivery.source == reactor && delivery.turn <= turn)) return;
  queues_[reactor].dependencies().push_back({turn, delivery.source, delivery.turn});
}

void Ledger::feed_delivered(std::uint32_t reactor, Parcel& parcel, Entry& entry) {
  if (parcel.detail(entry, scratch_).group.empty()) {
    Place place = deliveries_.find(entry.session, entry.number);
    if (place == PendingDeliveries::kNone) place = changed_row(entry);
    PendingDelivery& delivery = deliveries_[place];
    delivery.packet_id = entry.packet_id;
    delivery.qos = static_cast<QoS>(entry.qos);
    delivery.packet_id_changed = true;
    if (entry.waits) await_change(reactor, place);
    return;
  }
  if (number_of(entry) != 0) take_from_group(reactor, parcel, entry);
}

// A member has it from now on; where the group was to be written, the member is.
void Ledger::take_from_group(std::uint32_t reactor, Parcel& parcel, Entry& entry) {
  const Detail detail = parcel.detail(entry, scratch_);
  const std::uint64_t group_key = PendingDeliveries::kGroups | group_of(detail.group);
  const std::uint64_t number = entry.message->number();
  const Place group = deliveries_.find(group_key, number);
  std::uint32_t source = 0;
  std::uint64_t turn = 0;
  bool waits = false;
  if (group != PendingDeliveries::kNone) {
    source = deliveries_[group].source;
    turn = deliveries_[group].turn;
    waits = deliveries_[group].waits;
  }
  if (entry.durable && !ended_.has(entry.session) &&
      deliveries_.find(entry.session, entry.number) == PendingDeliveries::kNone) {
    numbers_.delivery = std::max(numbers_.delivery, entry.number);
    const Place place = add_delivery(entry.session, entry.number, take_message(entry));
    fill(deliveries_[place], entry, detail);
    put(place, source, turn, waits);
    if (entry.waits) await_change(reactor, place);
  }
  drop_group_message(group_key, number);
}

void Ledger::drop_group_message(std::uint64_t group_key, std::uint64_t number) {
  const Place place = deliveries_.find(group_key, number);
  if (place == PendingDeliveries::kNone) {
    removals_.push_back({group_key, number, number, false});
    return;
  }
  if (deliveries_[place].turn == 0) ++dead_in_batch_;
  drop(place);
}

// A place for what has changed of a row that is in the database.
Ledger::Place Ledger::changed_row(const Entry& entry) {
  const Place place = deliveries_.add(entry.session, entry.number);
  PendingDelivery& delivery = deliveries_[place];
  delivery.is_new = false;
  delivery.number = number_of(entry);
  batch_.push_back(place);
  return place;
}

void Ledger::feed_received(std::uint32_t reactor, Entry& entry) {
  Place place = deliveries_.find(entry.session, entry.number);
  if (place == PendingDeliveries::kNone) place = changed_row(entry);
  PendingDelivery& delivery = deliveries_[place];
  if (delivery.is_new && !delivery.received) {
    release_message(std::exchange(delivery.number, 0));
    deliveries_.drop_message(delivery);
  }
  delivery.received = true;
  delivery.received_changed = true;
  if (entry.waits) await_change(reactor, place);
}

void Ledger::feed_done(Entry& entry) {
  const Place place = deliveries_.find(entry.session, entry.number);
  if (place == PendingDeliveries::kNone) {
    removals_.push_back({entry.session, entry.number, number_of(entry), false});
    return;
  }
  PendingDelivery& delivery = deliveries_[place];
  if (delivery.turn == 0) ++dead_in_batch_;
  if (delivery.is_new) {
    ++counts_.elided;
  } else {
    if (delivery.number == 0) delivery.number = number_of(entry);
    // After an unwritten PUBREC nobody has said which message it was.
    removals_.push_back({entry.session, entry.number, delivery.number, delivery.received_changed});
  }
  drop(place);
}

void Ledger::feed_returned(Parcel& parcel, Entry& entry) {
  const Detail detail = parcel.detail(entry, scratch_);
  const std::uint64_t group_key = PendingDeliveries::kGroups | group_of(detail.group);
  if (number_of(entry) == 0) return;
  const std::uint64_t number = entry.message->number();
  const Place member = deliveries_.find(entry.session, entry.number);
  if (deliveries_.find(group_key, number) == PendingDeliveries::kNone) {
    const bool is_pending = member != PendingDeliveries::kNone;
    const std::uint64_t turn = is_pending ? deliveries_[member].turn : 0;
    const std::uint32_t source = is_pending ? deliveries_[member].source : 0;
    const bool waits = is_pending && deliveries_[member].waits;
    const Place place = add_delivery(group_key, number, Ref<const Message>::share(entry.message));
    put(place, source, turn, waits);
  }
  feed_done(entry);
}

void Ledger::drop(Place place) {
  PendingDelivery& delivery = deliveries_[place];
  if (delivery.waits && delivery.turn == 0) --waiting_;
  if (delivery.is_new) release_message(delivery.number);
  deliveries_.kill(place);
}

void Ledger::release_message(std::uint64_t number) {
  MessageReferences::Place* message = number == 0 ? nullptr : references_.find(number);
  if (message == nullptr || message->references == 0 || --message->references != 0) return;
  if (message->has_row) {
    unwanted_messages_.push_back(number);
  } else {
    references_.erase(*message);
  }
}

void Ledger::compact() {
  std::size_t kept = 0;
  for (const Place place : batch_) {
    if (deliveries_[place].dead) {
      deliveries_.release(place);
    } else {
      batch_[kept++] = place;
    }
  }
  batch_.resize(kept);
  dead_in_batch_ = 0;
}

}  // namespace mqloop::publisher_sqlite
