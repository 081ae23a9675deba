// PendingDeliveries: deliveries of which something is to be written, found by {session, delivery}. Owned by the ledger,
// the writer's thread. A delivery that is in the database, and of which nothing has happened since, is not here.
//
//   a place is          because
//   new, gathering      its turn is not writable yet
//   new, in the batch   its row is to be inserted
//   changed             its row is in the database and is to be updated
//   dead                it is wanted no more, and nothing of it is to be written; the list that names it lets go of it
//
// What a group has not given to a member yet is a delivery too: `session` is kGroups | group, `delivery` the message's
// number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/protocol.h>

#include "plugins/publisher_sqlite/flat_index.h"

namespace mqloop::publisher_sqlite {

struct PendingDelivery {
  Ref<const Message> message;  // of a new one that is to be written with it
  std::unique_ptr<std::vector<std::uint32_t>> identifiers;
  std::uint64_t session = 0;
  std::uint64_t delivery = 0;
  std::uint64_t number = 0;  // of the message; 0: it has none any more, or it is not known which
  std::uint64_t turn = 0;    // of reactor `source`: that it is gathered in, or that waits for it
  std::uint32_t source = 0;
  std::uint32_t group = 0;
  std::uint32_t identifier = 0;
  std::uint16_t packet_id = 0;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  bool is_new = true;
  bool received = false;
  bool packet_id_changed = false;
  bool received_changed = false;
  bool gathers = false;  // in its turn; else in the batch
  bool waits = false;    // somebody waits for it; counted once it is in the batch
  bool is_hope = false;  // counted as one that may be acknowledged before it is written
  bool dead = false;
  bool is_weighed = false;  // what its message occupies is counted here
};

class PendingDeliveries {
 public:
  static constexpr std::uint64_t kGroups = std::uint64_t{1} << 63;
  static constexpr std::uint32_t kNone = FlatIndex::kNone;

  // A place that holds nothing but its key, which is not there yet.
  std::uint32_t add(std::uint64_t session, std::uint64_t delivery) {
    std::uint32_t place;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      place = free_.back();
      free_.pop_back();
    }
    places_[place].session = session;
    places_[place].delivery = delivery;
    index_.insert(hash_of(session, delivery), place);
    return place;
  }
  [[nodiscard]] std::uint32_t find(std::uint64_t session, std::uint64_t delivery) const noexcept {
    return index_.find(hash_of(session, delivery), [&](std::uint32_t place) {
      return places_[place].session == session && places_[place].delivery == delivery;
    });
  }
  // Until the next add().
  [[nodiscard]] PendingDelivery& operator[](std::uint32_t place) noexcept { return places_[place]; }

  void set_message(PendingDelivery& delivery, Ref<const Message> message) noexcept {
    drop_message(delivery);
    // One message for many comes to them one after the other, and occupies its memory once.
    delivery.is_weighed = message && message.get() != last_;
    if (delivery.is_weighed) bytes_ += message->footprint();
    last_ = message.get();
    delivery.message = std::move(message);
  }
  void drop_message(PendingDelivery& delivery) noexcept {
    if (delivery.is_weighed) bytes_ -= delivery.message->footprint();
    delivery.is_weighed = false;
    if (delivery.message) discarded_.push_back(std::move(delivery.message));
  }
  // Not to be found any more; its place is kept until release().
  void kill(std::uint32_t place) noexcept {
    PendingDelivery& delivery = places_[place];
    forget(place);
    drop_message(delivery);
    delivery.dead = true;
  }
  void release(std::uint32_t place) noexcept {
    if (!places_[place].dead) forget(place);
    drop_message(places_[place]);
    places_[place] = PendingDelivery();
    free_.push_back(place);
  }

  // Messages that are not wanted any more, to be let go of by somebody else.
  [[nodiscard]] std::vector<Ref<const Message>>& discarded() noexcept { return discarded_; }

  // Those that are not dead.
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }
  // What they and their messages occupy.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_ + (places_.size() - free_.size()) * sizeof(PendingDelivery);
  }
  // Calls visit(place) for each that is not dead; it may kill.
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (std::uint32_t place = 0; place != places_.size(); ++place) {
      const PendingDelivery& delivery = places_[place];
      if (delivery.session != 0 && !delivery.dead) visit(place);
    }
  }

 private:
  void forget(std::uint32_t place) noexcept {
    index_.erase(hash_of(places_[place].session, places_[place].delivery), place);
  }

  // Not a SlabPool: with that a message which is acknowledged before it is written costs a sixth more.
  std::vector<PendingDelivery> places_;
  std::vector<std::uint32_t> free_;
  FlatIndex index_;
  std::vector<Ref<const Message>> discarded_;
  std::size_t bytes_ = 0;
  const Message* last_ = nullptr;  // compared only
};

}  // namespace mqloop::publisher_sqlite
