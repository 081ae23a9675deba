#include "plugins/publisher_sqlite/ledger.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace mqloop::publisher_sqlite {

namespace {

Ref<const Message> take_message(Entry& entry) noexcept {
  if (!entry.has_message) return nullptr;
  entry.has_message = false;
  const Message* message = entry.message;
  entry.message_number = message->number();
  return Ref<const Message>::adopt(message);
}

std::uint64_t number_of(const Entry& entry) noexcept {
  return entry.has_message ? entry.message->number() : entry.message_number;
}

}  // namespace

void Ledger::adopt(const store::Recovered& recovered) {
  numbers_ = recovered.progress.numbers;
  writable_messages_.fill(numbers_.message);
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

void Ledger::feed(Parcel& parcel, Time now) {
  now_ = now;
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
  parcel.discarded.swap(deliveries_.discarded());
  if (batch_early_ != 0 && !has_changes()) batch_early_ = 0;  // whoever was to have it has it
  if (dead_in_batch_ > 1024 && dead_in_batch_ * 2 > batch_.size()) compact();
}

void Ledger::feed_events(Parcel& parcel, Entry& entry) {
  const std::uint32_t reactor = parcel.reactor();
  switch (entry.kind) {
    case EntryKind::kFlush:
      return feed_flush(reactor, entry);
    case EntryKind::kSession:
      feed_session(parcel.sessions[entry.detail]);
      if (entry.waits) await_event(reactor);
      return;
    case EntryKind::kSubscribe:
    case EntryKind::kUnsubscribe:
      sessions_.emplace_back(std::move(parcel.subscriptions[entry.detail]));
      if (entry.waits) await_event(reactor);
      return;
    case EntryKind::kReleased:
      return feed_released(reactor, entry);
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
  turn.last_message = head.message_number;
  for (++at; at != end; ++at) {
    const Entry& publish = parcel.entries[at];
    numbers_.session = std::max(numbers_.session, publish.session);
    const std::uint32_t place = received_.add(publish.session, publish.packet_id);
    if (place == ReceivedChanges::kNone) continue;
    received_[place].source = reactor;
    received_[place].turn = head.number;
    turn.received.push_back(place);
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
    if (!entry.has_message || number_of(entry) == 0) continue;
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
    deliveries_[place].gathers = true;
    turn.deliveries.push_back(place);
    if (deliveries_[place].qos == QoS::kExactlyOnce) need(turn, source, number);
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

// A retained message that is replayed may be of another reactor's turn. Of the same reactor's it is no later one.
void Ledger::need(Turn& turn, std::uint32_t source, std::uint64_t message) {
  const std::uint32_t taker = source_of(message);
  if (taker == source || message <= writable_messages_[taker]) return;
  if (turn.needs.empty()) ++needy_;
  turn.needs.push_back(message);
}

void Ledger::advance(std::uint32_t source) {
  if (needy_ != 0) return advance_together();
  while (Turn* turn = queues_[source].whole()) make_writable(source, *turn);
}

// Turns may need messages of each other, so they become writable together: of all that are whole those whose needs are
// among them.
void Ledger::advance_together() {
  std::array<std::uint64_t, kMostReactors> reach{};
  for (std::uint32_t source = 0; source != sources_; ++source) reach[source] = queues_[source].last_whole();
  for (bool shrinks = true; shrinks;) {
    shrinks = false;
    for (std::uint32_t source = 0; source != sources_; ++source) {
      for (std::uint64_t number = queues_[source].writable() + 1; number <= reach[source]; ++number) {
        const std::vector<std::uint64_t>& needs = queues_[source].at(number).needs;
        const bool has_all = std::all_of(needs.begin(), needs.end(), [&](std::uint64_t message) {
          return message <= last_message(source_of(message), reach[source_of(message)]);
        });
        if (has_all) continue;
        reach[source] = number - 1;
        shrinks = true;
      }
    }
  }
  for (std::uint32_t source = 0; source != sources_; ++source) {
    while (queues_[source].writable() < reach[source]) make_writable(source, *queues_[source].whole());
  }
}

std::uint64_t Ledger::last_message(std::uint32_t source, std::uint64_t turn) {
  std::uint64_t last = writable_messages_[source];
  for (std::uint64_t number = queues_[source].writable() + 1; number <= turn; ++number) {
    last = std::max(last, queues_[source].at(number).last_message);
  }
  return last;
}

void Ledger::make_writable(std::uint32_t source, Turn& turn) {
  queues_[source].is_writable_now();
  turn.since = now_;
  writable_messages_[source] = std::max(writable_messages_[source], turn.last_message);
  if (!turn.needs.empty()) --needy_;
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
    delivery.waits = delivery.gathers = false;
    batch_.push_back(place);
    if (waits) await(delivery);
  }
  for (const std::uint32_t place : turn.received) {
    ReceivedId& id = received_[place];
    if (id.dead || ended_.has(id.session)) {
      received_.release(place);
      continue;
    }
    id.in_batch = true;
    id.waits = turn.waits;
    if (id.waits) {
      ++waiting_;
      ++turn.open;
    }
    received_batch_.push_back(place);
  }
  for (GatheredRetained& change : turn.retained) {
    if (change.message) gathering_retained_bytes_ -= change.message->footprint();
    const std::string_view topic = change.message ? change.message->topic() : change.cleared_topic;
    const bool is_pending = retained_.put(topic, std::move(change.message), change.sequence);
    if (!is_pending || !change.waits) continue;
    ++waiting_;
    ++turn.open;
  }
  turn.deliveries.clear();
  turn.received.clear();
  turn.retained.clear();
}

std::uint64_t Ledger::complete_turns(std::uint32_t source) {
  TurnQueue& turns = queues_[source];
  std::deque<TurnQueue::Dependency>& needs = turns.dependencies();
  std::uint64_t reactors = 0;
  for (Turn* turn = turns.first(); turn != nullptr && turn->open == 0; turn = turns.first()) {
    const std::uint64_t number = turns.complete() + 1;
    while (!needs.empty() && needs.front().turn <= number &&
           queues_[needs.front().source].is_written(needs.front().number)) {
      needs.pop_front();
    }
    if (!needs.empty() && needs.front().turn <= number) break;
    reactors |= turn->targets | std::uint64_t{1} << source;
    turns.is_complete_now();
  }
  return reactors;
}

Ledger::Time Ledger::waiting_since() noexcept {
  Time since = Time::max();
  for (std::uint32_t source = 0; source != sources_; ++source) {
    const Turn* turn = queues_[source].first();
    if (turn != nullptr) since = std::min(since, turn->since);
  }
  return since;
}

// ---- sessions ------------------------------------------------------------------------------------------------------

void Ledger::feed_session(SessionEntry& session) {
  numbers_.session = std::max(numbers_.session, session.number);
  if (session.kind == SessionEventKind::kEnded) {
    if (ended_.is_full()) forget_ended();
    ended_.add(session.number);
    ended_left_ = true;
  }
  sessions_.emplace_back(std::move(session));
}

void Ledger::forget_ended() {
  deliveries_.for_each([this](Place place) {
    PendingDelivery& delivery = deliveries_[place];
    if (!ended_.has_older(delivery.session)) return;
    if (!delivery.gathers) ++dead_in_batch_;
    drop(place);
  });
  ended_.forget();
}

void Ledger::feed_released(std::uint32_t reactor, const Entry& entry) {
  const std::uint32_t place = received_.find(entry.session, entry.packet_id);
  if (place != ReceivedChanges::kNone) {
    const ReceivedId& id = received_[place];
    if (id.in_batch && id.waits) count_down(id.source, id.turn);
    received_.kill(place);
    return;
  }
  if (entry.waits) await_event(reactor);
  removed_ids_.push_back({entry.session, entry.packet_id});
}

void Ledger::feed_retained(Parcel& parcel, Entry& entry) {
  numbers_.retained = std::max(numbers_.retained, entry.number);
  TurnQueue& turns = queue(parcel.reactor());
  GatheredRetained& change = turns.at(turns.under_way()).retained.emplace_back();
  change.sequence = entry.number;
  change.waits = entry.waits;
  change.message = take_message(entry);
  if (!change.message) {
    change.cleared_topic = parcel.text(entry);
    return;
  }
  numbers_.message = std::max(numbers_.message, change.message->number());
  gathering_retained_bytes_ += change.message->footprint();
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

void Ledger::put_beside(Place place, const PendingDelivery* other, std::uint32_t reactor) {
  PendingDelivery& delivery = deliveries_[place];
  const bool waits = other != nullptr && other->waits;
  delivery.source = other != nullptr ? other->source : reactor;
  delivery.turn = other != nullptr ? other->turn : queue(reactor).under_way();
  delivery.gathers = other != nullptr && other->gathers;
  if (delivery.gathers) {
    queues_[delivery.source].at(delivery.turn).deliveries.push_back(place);
  } else {
    batch_.push_back(place);
  }
  if (waits) await(delivery);
}

void Ledger::await(PendingDelivery& delivery) {
  if (delivery.waits) return;
  delivery.waits = true;
  if (delivery.gathers) return;
  ++waiting_;
  ++queues_[delivery.source].at(delivery.turn).open;
  hope(delivery);
}

void Ledger::hope(PendingDelivery& delivery) noexcept {
  if (delivery.is_hope || !delivery.waits || delivery.gathers || !delivery.is_new) return;
  if (delivery.packet_id == 0 || delivery.qos != QoS::kAtLeastOnce) return;
  delivery.is_hope = true;
  ++hopes_;
}

void Ledger::count_down(std::uint32_t source, std::uint64_t turn) noexcept {
  --waiting_;
  --queues_[source].at(turn).open;
}

void Ledger::await_event(std::uint32_t reactor) {
  ++waiting_;
  TurnQueue& turns = queue(reactor);
  ++turns.at(turns.under_way()).open;
}

void Ledger::await_change(std::uint32_t reactor, Place place) {
  PendingDelivery& delivery = deliveries_[place];
  const std::uint64_t turn = queue(reactor).under_way();
  if (!delivery.gathers && !delivery.waits) {
    delivery.source = reactor;
    delivery.turn = turn;
  }
  await(delivery);
  if (delivery.source == reactor && delivery.turn <= turn) return;  // complete before this one anyway
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
    hope(delivery);
    if (entry.waits) await_change(reactor, place);
    return;
  }
  if (entry.has_message && number_of(entry) != 0) take_from_group(reactor, parcel, entry);
}

// A member has it from now on; where the group was to be written, the member is.
void Ledger::take_from_group(std::uint32_t reactor, Parcel& parcel, Entry& entry) {
  const Detail detail = parcel.detail(entry, scratch_);
  const std::uint64_t group_key = PendingDeliveries::kGroups | group_of(detail.group);
  const std::uint64_t number = entry.message->number();
  if (entry.durable && !ended_.has(entry.session) &&
      deliveries_.find(entry.session, entry.number) == PendingDeliveries::kNone) {
    numbers_.delivery = std::max(numbers_.delivery, entry.number);
    const Place place = add_delivery(entry.session, entry.number, take_message(entry));
    fill(deliveries_[place], entry, detail);
    const Place group = deliveries_.find(group_key, number);
    put_beside(place, group == PendingDeliveries::kNone ? nullptr : &deliveries_[group], reactor);
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
  if (!deliveries_[place].gathers) ++dead_in_batch_;
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
  if (!delivery.gathers) ++dead_in_batch_;
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
  if (!entry.has_message || number_of(entry) == 0) return;
  const std::uint64_t number = entry.message->number();
  if (deliveries_.find(group_key, number) == PendingDeliveries::kNone) {
    const Place place = add_delivery(group_key, number, Ref<const Message>::share(entry.message));
    const Place member = deliveries_.find(entry.session, entry.number);
    put_beside(place, member == PendingDeliveries::kNone ? nullptr : &deliveries_[member], parcel.reactor());
  }
  feed_done(entry);
}

void Ledger::drop(Place place) {
  PendingDelivery& delivery = deliveries_[place];
  if (delivery.waits && !delivery.gathers) {
    count_down(delivery.source, delivery.turn);
    if (delivery.is_hope) --hopes_;
  }
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
