#include "core/broker/session_table.h"

#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// client_key() is a keyed hash, of which the lowest bit is always set.
std::uint32_t place_of(std::uint64_t client_key) noexcept { return static_cast<std::uint32_t>(client_key >> 32); }

}  // namespace

SessionTable::SessionTable(Shard& shard) : shard_(shard) {}

SessionTable::~SessionTable() = default;

Session* SessionTable::find(std::string_view client_id) const noexcept {
  const std::uint32_t found = index_.find(place_of(shard_.client_key(client_id)), [&](std::uint32_t number) {
    return sessions_.occupant(number - 1)->client_id() == client_id;
  });
  return found == 0 ? nullptr : sessions_.occupant(found - 1);
}

void SessionTable::forget(const Session& session) noexcept {
  index_.erase(place_of(session.client_key()), session.slot() + 1);
}

Session* SessionTable::at(std::uint32_t slot, std::uint64_t number) const noexcept {
  Session* session = sessions_.occupant(slot);
  return session != nullptr && session->number() == number && !session->has_ended() ? session : nullptr;
}

Session& SessionTable::create(std::string_view client_id, Identity identity) {
  return create(client_id, std::move(identity), shard_.next_session_number());
}

Session& SessionTable::create(std::string_view client_id, Identity identity, std::uint64_t number) {
  const auto created = sessions_.emplace(shard_, number, client_id, std::move(identity));
  Session& session = *created.object;
  session.set_slot(created.handle.slot);
  index_.insert(place_of(session.client_key()), session.slot() + 1);
  shard_.counters().sessions.add();
  return session;
}

bool SessionTable::end(Session& session, EndOf cause) {
  if (session.will()) shard_.wills().publish(session);
  shard_.shared_members().session_ends(session);
  const bool later = shard_.publishing().session_event(SessionEventKind::kEnded, session);
  MQLOOP_FAILPOINT("session_ended");
  forget(session);
  shard_.directory().session_ended(session.client_id());
  shard_.counters().sessions.subtract();
  if (session.outbound() != nullptr && session.outbound()->queued() != 0) {
    shard_.drop(session, DropCause::kSessionEnded, session.outbound()->queued());
  }
  if (cause == EndOf::kExpiry) {
    shard_.counters().sessions_expired.add();
    shard_.log_session_expired(session);
  }
  session.end();
  if (session.clear_some(budget_)) {
    ended_.push_back(session.slot());
  } else {
    ending_.push_back(session.slot());
  }
  shard_.loop().request_turn();
  return later;
}

void SessionTable::clear_ended() {
  budget_.renew();
  while (!ending_.empty() && sessions_.occupant(ending_.front())->clear_some(budget_)) {
    ended_.push_back(ending_.front());
    ending_.pop_front();
  }
  if (!ending_.empty()) shard_.loop().request_turn();
}

void SessionTable::destroy_ended() noexcept {
  for (const std::uint32_t slot : std::exchange(ended_, {})) sessions_.erase(sessions_.handle_of(slot));
}

void SessionTable::publish_wills() {
  for_each([this](Session& session) { shard_.wills().publish(session); });
}

void SessionTable::clear() {
  sessions_.for_each([this](SlotHandle, Session& session) {
    if (!session.has_ended()) {
      shard_.shared_members().forget(session);
      forget(session);
      shard_.directory().session_ended(session.client_id());
      session.end();
    }
    while (!session.clear_some(budget_)) budget_.renew();
  });
  sessions_.clear();
  ending_.clear();
  ended_.clear();
}

}  // namespace mqloop::broker
