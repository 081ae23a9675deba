// ReceivedChanges: packet identifiers of QoS 2 PUBLISH packets that come into the database or go from it. Owned by the
// ledger, the writer's thread. One that comes and goes before it was written is not written at all. Removals are
// written first: an identifier that was removed may have been used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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
    std::uint32_t place;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      place = free_.back();
      free_.pop_back();
    }
    places_[place] = ReceivedId();
    places_[place].session = session;
    places_[place].packet_id = packet_id;
    index_.insert(hash_of(session, packet_id), place);
    return place;
  }
  [[nodiscard]] std::uint32_t find(std::uint64_t session, std::uint16_t packet_id) const noexcept {
    return index_.find(hash_of(session, packet_id), [&](std::uint32_t place) {
      return places_[place].session == session && places_[place].packet_id == packet_id;
    });
  }
  [[nodiscard]] ReceivedId& operator[](std::uint32_t place) noexcept { return places_[place]; }
  void kill(std::uint32_t place) noexcept {
    ReceivedId& id = places_[place];
    index_.erase(hash_of(id.session, id.packet_id), place);
    id.dead = true;
  }
  void release(std::uint32_t place) noexcept {
    if (!places_[place].dead) kill(place);
    free_.push_back(place);
  }

 private:
  std::vector<ReceivedId> places_;
  std::vector<std::uint32_t> free_;
  FlatIndex index_;
};

}  // namespace mqloop::publisher_sqlite
