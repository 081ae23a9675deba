#include "core/broker/hash_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace mqloop::broker {

void HashIndex::Table::start(std::size_t slots) {
  const std::size_t segment_slots = std::min(slots, kSegmentSlots);
  capacity = slots;
  shift = 32U - static_cast<unsigned>(std::countr_zero(slots));
  segment_bits = static_cast<unsigned>(std::countr_zero(segment_slots));
  segments.resize(slots / segment_slots);
}

void HashIndex::Table::insert(Slot slot) {
  std::size_t place = home(slot.hash);
  Slot* free = at(place);
  while (free != nullptr && free->number != 0) free = at(++place);
  if (free == nullptr) {
    const std::size_t segment = place >> segment_bits;
    if (segment == segments.size()) segments.emplace_back();
    segments[segment] = std::make_unique<Slot[]>(std::size_t{1} << segment_bits);
    ++made;
    free = at(place);
  }
  *free = slot;
}

// Closes the gap: everything after it that may stand earlier moves up, so that no search meets an empty slot too early.
void HashIndex::Table::erase(std::size_t place) noexcept {
  Slot* gap = at(place);
  for (std::size_t next = place + 1;; ++next) {
    Slot* slot = at(next);
    if (slot == nullptr || slot->number == 0) break;
    if (home(slot->hash) > place) continue;
    *gap = *slot;
    gap = slot;
    place = next;
  }
  *gap = {};
}

void HashIndex::Table::drop_segment(std::size_t segment) noexcept {
  if (segments[segment] == nullptr) return;
  segments[segment].reset();
  --made;
}

void HashIndex::insert(std::uint32_t hash, std::uint32_t number) {
  if (current_.capacity == 0) current_.start(kMinimumCapacity);
  if (!moving() && size_ + 1 > current_.capacity / 4 * 3) next_.start(current_.capacity * 2);
  move_some();
  table_of(hash).insert({hash, number});
  ++size_;
}

std::size_t HashIndex::place_of(const Table& table, std::uint32_t hash, std::uint32_t number) const noexcept {
  std::size_t place = table.home(hash);
  while (table.at(place)->number != number) ++place;
  return place;
}

void HashIndex::erase(std::uint32_t hash, std::uint32_t number) noexcept {
  Table& table = table_of(hash);
  table.erase(place_of(table, hash, number));
  if (--size_ == 0) {
    *this = HashIndex();
    return;
  }
  shrink_if_worth_it();
  move_some();
}

void HashIndex::replace(std::uint32_t hash, std::uint32_t from, std::uint32_t to) noexcept {
  const Table& table = table_of(hash);
  table.at(place_of(table, hash, from))->number = to;
}

// To an eighth at most in one go: however many keys come while the slots move, they find room.
void HashIndex::shrink_if_worth_it() {
  if (moving() || current_.capacity == kMinimumCapacity || size_ >= current_.capacity / 8) return;
  next_.start(std::max({std::bit_ceil(size_ * 2), current_.capacity / 8, kMinimumCapacity}));
}

// Stops only behind an empty slot: a key whose home lies before such a slot cannot stand after it.
void HashIndex::move_some() {
  if (!moving()) return;
  const std::size_t segment_slots = std::size_t{1} << current_.segment_bits;
  const std::size_t first = cursor_ >> current_.segment_bits;
  std::size_t seen = 0;
  while (cursor_ < current_.extent()) {
    const Slot* slot = current_.at(cursor_);
    if (slot == nullptr) {
      cursor_ = (cursor_ / segment_slots + 1) * segment_slots;
    } else {
      if (slot->number != 0) next_.insert(*slot);
      ++cursor_;
    }
    if (++seen >= kSlotsPerStep && (slot == nullptr || slot->number == 0)) break;
  }
  for (std::size_t segment = first; segment < cursor_ >> current_.segment_bits; ++segment) {
    current_.drop_segment(segment);
  }
  if (cursor_ < current_.extent()) return;
  current_ = std::move(next_);
  next_ = Table();
  cursor_ = 0;
}

}  // namespace mqloop::broker
