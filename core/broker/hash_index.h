// HashIndex: 32-bit hash -> 32-bit number, open addressing, for keys that live elsewhere: who looks up says how to tell
// a hit from another key of the same hash. Numbers are never 0. One thread at a time, or the owner's lock.
// No operation is long: growing and shrinking move a few slots with every change. A slot's place is made of the hash's
// upper bits and probing runs forward without wrapping round, so both tables of a move lie in the same order: what
// lies before `cursor_` has moved, all else has not, and each key is looked for in one table only. Tables come in
// segments that are made when first written to and freed as the cursor leaves them behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mqloop::broker {

class HashIndex {
 public:
  HashIndex() noexcept = default;
  HashIndex(HashIndex&&) noexcept = default;
  HashIndex& operator=(HashIndex&&) noexcept = default;

  // The number under `hash` for which `is(number)` is true; 0 when there is none.
  template <typename Is>
  [[nodiscard]] std::uint32_t find(std::uint32_t hash, Is&& is) const noexcept {
    const Slot* slot = find_slot(hash, is);
    return slot == nullptr ? 0 : slot->number;
  }

  // The caller knows that the key is not there yet.
  void insert(std::uint32_t hash, std::uint32_t number);
  // The caller knows that it is there.
  void erase(std::uint32_t hash, std::uint32_t number) noexcept;
  void replace(std::uint32_t hash, std::uint32_t from, std::uint32_t to) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Bytes taken from the heap.
  [[nodiscard]] std::size_t footprint() const noexcept { return current_.footprint() + next_.footprint(); }
  // Slots that a growth or shrinkage under way has still to pass; 0: none is under way.
  [[nodiscard]] std::size_t to_move() const noexcept { return moving() ? current_.extent() - cursor_ : 0; }

 private:
  static constexpr std::size_t kSegmentSlots = 4096;
  static constexpr std::size_t kMinimumCapacity = 16;
  static constexpr std::size_t kSlotsPerStep = 32;

  struct Slot {
    std::uint32_t hash;
    std::uint32_t number;  // 0: empty
  };

  struct Table {
    std::vector<std::unique_ptr<Slot[]>> segments;  // null: all empty. There are more when the last slots run over
    std::size_t capacity = 0;                       // a power of two; 0: no table
    std::size_t made = 0;                           // segments that are not null
    unsigned shift = 0;                             // 32 - log2(capacity)
    unsigned segment_bits = 0;                      // log2(slots to a segment)

    void start(std::size_t slots);
    [[nodiscard]] std::size_t home(std::uint32_t hash) const noexcept { return hash >> shift; }
    [[nodiscard]] std::size_t extent() const noexcept { return segments.size() << segment_bits; }
    [[nodiscard]] Slot* at(std::size_t place) const noexcept {
      const std::size_t segment = place >> segment_bits;
      if (segment >= segments.size() || segments[segment] == nullptr) return nullptr;
      return &segments[segment][place & ((std::size_t{1} << segment_bits) - 1)];
    }
    void insert(Slot slot);
    void erase(std::size_t place) noexcept;
    void drop_segment(std::size_t segment) noexcept;
    [[nodiscard]] std::size_t footprint() const noexcept {
      return (made << segment_bits) * sizeof(Slot) + segments.capacity() * sizeof(segments[0]);
    }
  };

  [[nodiscard]] bool moving() const noexcept { return next_.capacity != 0; }
  // While nothing moves the cursor is 0 and no home lies before it.
  [[nodiscard]] const Table& table_of(std::uint32_t hash) const noexcept {
    return current_.home(hash) < cursor_ ? next_ : current_;
  }
  [[nodiscard]] Table& table_of(std::uint32_t hash) noexcept {
    return current_.home(hash) < cursor_ ? next_ : current_;
  }

  template <typename Is>
  [[nodiscard]] Slot* find_slot(std::uint32_t hash, Is&& is) const noexcept {
    if (size_ == 0) return nullptr;
    const Table& table = table_of(hash);
    for (std::size_t place = table.home(hash);; ++place) {
      Slot* slot = table.at(place);
      if (slot == nullptr || slot->number == 0) return nullptr;
      if (slot->hash == hash && is(slot->number)) return slot;
    }
  }

  [[nodiscard]] std::size_t place_of(const Table& table, std::uint32_t hash, std::uint32_t number) const noexcept;
  void move_some();
  void shrink_if_worth_it();

  Table current_;
  Table next_;
  std::size_t cursor_ = 0;
  std::size_t size_ = 0;
};

}  // namespace mqloop::broker
