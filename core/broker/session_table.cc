#include "core/broker/session_table.h"

#include "core/broker/shard.h"

namespace mqloop::broker {

SessionTable::SessionTable(Shard& shard, HashSeed seed) : shard_(shard), by_client_id_(0, SeededStringHash{seed}) {}

SessionTable::~SessionTable() = default;

Session* SessionTable::find(std::string_view client_id) const noexcept {
  const auto found = by_client_id_.find(client_id);
  return found == by_client_id_.end() ? nullptr : sessions_.occupant(found->second);
}

Session* SessionTable::at(std::uint32_t slot, std::uint64_t number) const noexcept {
  if (slot >= sessions_.bound()) return nullptr;
  Session* session = sessions_.occupant(slot);
  return session != nullptr && session->number() == number ? session : nullptr;
}

Session& SessionTable::create(std::string_view client_id, Identity identity) {
  const auto handle = sessions_.reserve();
  Session& session = sessions_.put(handle, std::make_unique<Session>(shard_, handle.slot, shard_.next_session_number(),
                                                                     client_id, std::move(identity)));
  by_client_id_.emplace(session.client_id(), handle.slot);
  shard_.counters().sessions.add();
  return session;
}

void SessionTable::end(Session& session, EndOf cause) {
  if (session.will()) shard_.publish_will(session);
  shard_.publishing().session_event(SessionEventKind::kEnded, session);
  session.unsubscribe_all();
  by_client_id_.erase(session.client_id());
  shard_.directory().session_ended(session.client_id());
  shard_.counters().sessions.subtract();
  if (cause == EndOf::kExpiry) shard_.log_session_expired(session);
  // Who ends a session may still be inside one of its functions (a timer's): it dies at the end of the turn.
  shard_.bury(sessions_.take(session.slot()));
}

void SessionTable::clear() {
  for (std::uint32_t slot = 0; slot != sessions_.bound(); ++slot) {
    if (Session* session = sessions_.occupant(slot)) {
      session->unsubscribe_all();
      by_client_id_.erase(session->client_id());
      shard_.directory().session_ended(session->client_id());
      sessions_.take(slot);
    }
  }
}

}  // namespace mqloop::broker
