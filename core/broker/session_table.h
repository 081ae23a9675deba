// The sessions whose home is one reactor: found by client identifier or by slot, made, resumed and ended here. Owned by
// its Shard, whose thread alone uses it. Invariant: every session has an entry in the ClientDirectory that names this
// reactor.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/slab_pool.h"
#include "core/broker/hash_index.h"
#include "core/broker/session.h"

namespace mqloop::broker {

class SessionTable {
 public:
  explicit SessionTable(Shard& shard);
  ~SessionTable();

  [[nodiscard]] Session* find(std::string_view client_id) const noexcept;
  // For a slot whose session is known to live, as that of a subscriber.
  [[nodiscard]] Session* at(std::uint32_t slot) const noexcept { return sessions_.occupant(slot); }
  // By the number too, for a slot that was remembered across turns.
  [[nodiscard]] Session* at(std::uint32_t slot, std::uint64_t number) const noexcept;
  Session& create(std::string_view client_id, Identity identity);
  // The same for one that had this number in an earlier run.
  Session& create(std::string_view client_id, Identity identity, std::uint64_t number);

  enum class EndOf : std::uint8_t { kConnection, kExpiry, kDiscard };
  // Ends the session: a will that waits is published, subscriptions and queues go. The session must not be connected.
  // True: who waits for that end is to be answered when the turn is complete.
  // It is found no more, and destroyed by destroy_ended(): whoever ends it may still be inside one of its functions.
  bool end(Session& session, EndOf cause);
  // Goes on with those that had too much for the turn in which they ended; once a turn.
  void clear_ended();
  void destroy_ended() noexcept;
  // Sessions that have ended and still stand in the tables of subscriptions.
  [[nodiscard]] std::size_t ending() const noexcept { return ending_.size(); }
  // Every will there is: of who is connected, and those whose delay has not passed.
  void publish_wills();
  // The broker stops: everything goes, no wills.
  void clear();

  // Calls use(Session&) for each, those that have ended included.
  template <typename Use>
  void for_each(Use use) {
    sessions_.for_each([&use](SlotHandle, Session& session) { use(session); });
  }
  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }

 private:
  void forget(const Session& session) noexcept;

  Shard& shard_;
  SlabPool<Session> sessions_;
  FilterBudget budget_;               // for sessions that end
  std::deque<std::uint32_t> ending_;  // slots, in the order in which they ended
  std::vector<std::uint32_t> ended_;  // slots, to be destroyed
  HashIndex index_;                   // by Session::client_key() -> slot + 1
};

}  // namespace mqloop::broker
