// ReceivedChanges: packet identifiers of QoS 2 PUBLISH packets that come into the database or go from it. Owned by the
// ledger, the writer's thread. One that comes and goes before it was written is not written at all. Removals are
// written first: an identifier that was removed may have been used again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/slab_pool.h"
#include "plugins/publisher_sqlite/flat_index.h"

namespace mqloop::publisher_sqlite {

struct ReceivedId {
  std::uint64_t session = 0;
  std::uint64_t turn = 0;  // of reactor `source`, which waits for it
  std::uint32_t source = 0;
  std::uint16_t packet_id = 0;
  bool in_batch = false;  // else its turn is gathered still
  bool waits = false;
  bool dead = false;
};

class ReceivedChanges {
 public:
  static constexpr std::uint32_t kNone = FlatIndex::kNone;

  // kNone when it is there already.
  std::uint32_t add(std::uint64_t session, std::uint16_t packet_id) {
    if (find(session, packet_id) != kNone) return kNone;
    const auto created = ids_.emplace();
    created.object->session = session;
    created.object->packet_id = packet_id;
    index_.insert(hash_of(session, packet_id), created.handle.slot);
    return created.handle.slot;
  }
  [[nodiscard]] std::uint32_t find(std::uint64_t session, std::uint16_t packet_id) const noexcept {
    return index_.find(hash_of(session, packet_id), [&](std::uint32_t place) {
      const ReceivedId& id = *ids_.occupant(place);
      return id.session == session && id.packet_id == packet_id;
    });
  }
  [[nodiscard]] ReceivedId& operator[](std::uint32_t place) noexcept { return *ids_.occupant(place); }
  void kill(std::uint32_t place) noexcept {
    ReceivedId& id = (*this)[place];
    index_.erase(hash_of(id.session, id.packet_id), place);
    id.dead = true;
  }
  void release(std::uint32_t place) noexcept {
    if (!(*this)[place].dead) kill(place);
    ids_.erase(ids_.handle_of(place));
  }

 private:
  SlabPool<ReceivedId> ids_;  // by place
  FlatIndex index_;
};

}  // namespace mqloop::publisher_sqlite
