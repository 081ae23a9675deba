// MessageReferences: how many deliveries and groups want each message, those that are in the database and those that
// still wait to be written; and whether its row is there. Owned by the ledger, the writer's thread. 16 bytes a place:
// this is all that is kept in memory of a message that is on disk.
// Invariant: a message that nobody wants and that has no row is not in the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "plugins/publisher_sqlite/flat_index.h"

namespace mqloop::publisher_sqlite {

class MessageReferences {
 public:
  struct Place {
    std::uint64_t number = 0;  // 0: free
    std::uint32_t references = 0;
    bool has_row = false;
  };

  void reserve(std::size_t messages) {
    std::size_t places = 64;
    while (messages * 4 > places * 3) places *= 2;
    if (places > places_.size()) resize(places);
  }

  // Null when the number is not in the table. Until the next add().
  [[nodiscard]] Place* find(std::uint64_t number) noexcept {
    if (size_ == 0) return nullptr;
    Place& place = places_[place_of(number)];
    return place.number == 0 ? nullptr : &place;
  }

  Place& add(std::uint64_t number, std::uint32_t references = 1) {
    if ((size_ + 1) * 4 > places_.size() * 3) resize(places_.empty() ? 64 : places_.size() * 2);
    Place& place = places_[place_of(number)];
    if (place.number == 0) {
      place = {number, 0, false};
      ++size_;
    }
    place.references += references;
    return place;
  }

  void erase(Place& gone) noexcept {
    --size_;
    std::size_t hole = static_cast<std::size_t>(&gone - places_.data());
    for (std::size_t at = (hole + 1) & mask(); places_[at].number != 0; at = (at + 1) & mask()) {
      const std::size_t home = hash_of(places_[at].number) & mask();
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole] = {};
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] std::size_t mask() const noexcept { return places_.size() - 1; }
  [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
    std::size_t at = hash_of(number) & mask();
    while (places_[at].number != 0 && places_[at].number != number) at = (at + 1) & mask();
    return at;
  }
  void resize(std::size_t places) {
    std::vector<Place> old = std::exchange(places_, std::vector<Place>(places));
    for (const Place& place : old) {
      if (place.number != 0) places_[place_of(place.number)] = place;
    }
  }

  std::vector<Place> places_;
  std::size_t size_ = 0;
};

}  // namespace mqloop::publisher_sqlite
