#include <utility>

#include "core/base/failpoint.h"

#include "plugins/publisher_sqlite/ledger.h"

namespace mqloop::publisher_sqlite {

namespace {

// Rows of ended sessions that go with one batch: what it may cost others.
constexpr std::size_t kSweepBudget = 2000;

}  // namespace

store::Outcome Ledger::write(Rows& rows, store::Progress& progress) {
  rows_ = 0;
  Outcome outcome = write_sessions(rows);
  if (outcome.ok()) outcome = write_removals(rows);
  if (outcome.ok()) outcome = write_deliveries(rows);
  if (outcome.ok()) outcome = write_received(rows);
  if (outcome.ok()) outcome = write_retained(rows);
  if (outcome.ok()) outcome = remove_messages(rows);
  if (outcome.ok()) outcome = sweep(rows);
  if (!outcome.ok()) return outcome;
  progress.numbers = numbers_;
  if (wall_now_ != WallTime{}) progress.alive_at = wall_now_;
  return rows.set_progress(progress);
}

void Ledger::written() {
  sessions_.clear();
  for (const Place place : batch_) deliveries_.release(place);
  batch_.clear();
  dead_in_batch_ = 0;
  removals_.clear();
  for (const std::uint32_t place : received_batch_) received_.release(place);
  received_batch_.clear();
  removed_ids_.clear();
  retained_.written();
  for (const std::uint64_t number : std::exchange(unwanted_messages_, {})) {
    MessageReferences::Place* message = references_.find(number);
    if (message != nullptr && message->references == 0) references_.erase(*message);
  }
  waiting_ = hopes_ = 0;
  for (std::uint32_t source = 0; source != sources_; ++source) queues_[source].all_written();
  batch_early_ = 0;
  counts_.messages += inserted_messages_.size();
  counts_.rows += rows_;
  inserted_messages_.clear();
  released_messages_.clear();
  for (const std::uint64_t number : swept_messages_) release_message(number);
  swept_messages_.clear();
}

void Ledger::not_written() {
  for (const std::uint64_t number : inserted_messages_) {
    if (MessageReferences::Place* message = references_.find(number)) message->has_row = false;
  }
  for (const std::uint64_t number : released_messages_) references_.add(number);
  inserted_messages_.clear();
  released_messages_.clear();
  swept_messages_.clear();
  ended_left_ = true;  // what was swept is there again
}

std::optional<WallTime> Ledger::wall_time(MonotonicTime at) const noexcept {
  if (at == Message::kNever) return std::nullopt;
  return WallTime(at.time_since_epoch() + wall_offset_);
}

// ---- sessions ------------------------------------------------------------------------------------------------------

store::Outcome Ledger::write_sessions(Rows& rows) {
  for (const auto& change : sessions_) {
    Outcome outcome;
    if (const auto* session = std::get_if<SessionEntry>(&change)) {
      outcome = write_session(rows, *session);
    } else {
      const auto& it = std::get<SubscriptionEntry>(change);
      if (ended_.has(it.session)) continue;
      MQLOOP_FAILPOINT("subscription_row");
      outcome = it.removed ? rows.remove_subscription(it.session, it.filter)
                           : rows.put_subscription({it.session, it.filter, it.qos, it.options, it.identifier});
    }
    if (!outcome.ok()) return outcome;
    ++rows_;
  }
  return {};
}

store::Outcome Ledger::write_session(Rows& rows, const SessionEntry& session) {
  MQLOOP_FAILPOINT("session_row");
  if (session.kind == SessionEventKind::kEnded) return rows.end_session(session.number);
  store::SessionRow row{.number = session.number,
                        .client_id = session.client_id,
                        .has_user_name = session.has_user_name,
                        .user_name = session.user_name,
                        .expiry_interval = session.expiry_interval,
                        .connected = session.connected,
                        .gone_at = session.at,
                        .will = nullptr,
                        .principal = session.principal.get()};
  store::WillRow will;
  if (session.will) {
    will = {.topic = session.will->topic(),
            .payload = session.will->payload(),
            .properties = session.will->properties(),
            .qos = session.will->qos(),
            .retain = session.will->retain(),
            .delay_interval = session.will_delay,
            .message_expiry_interval = session.will_expiry};
    row.will = &will;
  }
  return rows.put_session(row);
}

// ---- deliveries ----------------------------------------------------------------------------------------------------

// Lowers the count of a message whose delivery has just been removed from the database; not_written() takes it back.
void Ledger::release_written(std::uint64_t number) {
  MessageReferences::Place* message = number == 0 ? nullptr : references_.find(number);
  if (message == nullptr || message->references == 0) return;
  released_messages_.push_back(number);
  if (--message->references == 0) unwanted_messages_.push_back(number);
}

store::Outcome Ledger::write_removals(Rows& rows) {
  for (const Removal& removal : removals_) {
    Outcome outcome;
    std::uint64_t released = 0;
    bool existed = false;
    if ((removal.session & PendingDeliveries::kGroups) != 0) {
      const std::string& group = group_names_[static_cast<std::uint32_t>(removal.session) - 1];
      outcome = rows.remove_shared_delivery(group, removal.number, existed);
    } else if (removal.asks) {
      outcome = rows.remove_delivery(removal.session, removal.delivery, released);
    } else {
      outcome = rows.remove_known_delivery(removal.session, removal.delivery, existed);
    }
    if (!outcome.ok()) return outcome;
    ++rows_;
    MQLOOP_FAILPOINT("delivery_removal");
    release_written(existed ? removal.number : released);
  }
  return {};
}

store::Outcome Ledger::write_deliveries(Rows& rows) {
  for (const Place place : batch_) {
    PendingDelivery& delivery = deliveries_[place];
    if (!delivery.dead && ended_.has(delivery.session)) {
      drop(place);
      ++dead_in_batch_;
    }
    if (delivery.dead) continue;
    Outcome outcome = delivery.is_new ? write_new(rows, delivery) : write_change(rows, delivery);
    if (!outcome.ok()) return outcome;
    ++rows_;
  }
  return {};
}

store::Outcome Ledger::write_new(Rows& rows, const PendingDelivery& delivery) {
  if (delivery.number != 0) {
    MessageReferences::Place* message = references_.find(delivery.number);
    if (!message->has_row) {
      store::MessageRow row = store::row_of(*delivery.message);
      row.expires_at = wall_time(delivery.message->expires_at());
      if (Outcome outcome = rows.insert_message(row); !outcome.ok()) return outcome;
      message->has_row = true;
      MQLOOP_FAILPOINT("message_row");
      inserted_messages_.push_back(delivery.number);
      ++rows_;
    }
  }
  if ((delivery.session & PendingDeliveries::kGroups) != 0) {
    return rows.insert_shared_delivery(group_names_[static_cast<std::uint32_t>(delivery.session) - 1], delivery.number);
  }
  store::DeliveryRow row{.session = delivery.session,
                         .number = delivery.delivery,
                         .message = delivery.number,
                         .qos = delivery.qos,
                         .retain = delivery.retain,
                         .received = delivery.received,
                         .packet_id = delivery.packet_id,
                         .identifier = delivery.identifier};
  if (delivery.identifiers) row.identifiers = *delivery.identifiers;
  if (delivery.group != 0) row.group = group_names_[delivery.group - 1];
  MQLOOP_FAILPOINT("delivery_row");
  return rows.insert_delivery(row);
}

store::Outcome Ledger::write_change(Rows& rows, const PendingDelivery& delivery) {
  MQLOOP_FAILPOINT("delivery_change");
  Outcome outcome;
  if (delivery.packet_id_changed) {
    outcome = rows.set_packet_id(delivery.session, delivery.delivery, delivery.packet_id, delivery.qos);
  }
  if (!outcome.ok() || !delivery.received_changed) return outcome;
  std::uint64_t released = 0;
  outcome = rows.set_received(delivery.session, delivery.delivery, released);
  if (outcome.ok()) release_written(released);
  return outcome;
}

store::Outcome Ledger::write_received(Rows& rows) {
  for (const RemovedId& id : removed_ids_) {
    if (Outcome outcome = rows.remove_received(id.session, id.packet_id); !outcome.ok()) return outcome;
    ++rows_;
  }
  for (const std::uint32_t place : received_batch_) {
    const ReceivedId& id = received_[place];
    if (id.dead || ended_.has(id.session)) continue;
    MQLOOP_FAILPOINT("received_row");
    if (Outcome outcome = rows.insert_received(id.session, id.packet_id); !outcome.ok()) return outcome;
    ++rows_;
  }
  return {};
}

// ---- what else -----------------------------------------------------------------------------------------------------

store::Outcome Ledger::write_retained(Rows& rows) {
  for (const RetainedChanges::Change& change : retained_.changes()) {
    MQLOOP_FAILPOINT("retained_row");
    Outcome outcome;
    if (change.message) {
      store::RetainedRow row{.message = store::row_of(*change.message),
                             .sequence = change.sequence,
                             .stored_at = wall_now_,
                             .principal = change.message->principal().get()};
      row.message.expires_at = wall_time(change.message->expires_at());
      outcome = rows.put_retained(row);
    } else {
      outcome = rows.clear_retained(change.topic());
    }
    if (!outcome.ok()) return outcome;
    ++rows_;
  }
  return {};
}

store::Outcome Ledger::remove_messages(Rows& rows) {
  for (const std::uint64_t number : unwanted_messages_) {
    const MessageReferences::Place* message = references_.find(number);
    if (message == nullptr || message->references != 0) continue;  // another one wants it by now
    MQLOOP_FAILPOINT("message_removal");
    if (Outcome outcome = rows.remove_message(number); !outcome.ok()) return outcome;
    ++rows_;
  }
  return {};
}

store::Outcome Ledger::sweep(Rows& rows) {
  if (!ended_left_) return {};
  Outcome outcome = rows.sweep_ended(kSweepBudget, swept_messages_, ended_left_);
  MQLOOP_FAILPOINT("sweep");
  rows_ += swept_messages_.size();
  return outcome;
}

}  // namespace mqloop::publisher_sqlite
