// FlatIndex: 32-bit hash -> number of an object that lives elsewhere; open addressing in one block, so that looking up,
// adding and removing touch a cache line or two and allocate nothing once the table has grown. Who looks up says how to
// tell a hit from another key of the same hash. One thread. Keys are numbers that the broker gives out itself: nobody
// can choose them to collide.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace mqloop::publisher_sqlite {

// Spreads numbers that rise by one, or by 64.
[[nodiscard]] inline std::uint32_t hash_of(std::uint64_t a, std::uint64_t b = 0) noexcept {
  std::uint64_t mixed = (a * 0x9E3779B97F4A7C15U) ^ (b * 0xC2B2AE3D27D4EB4FU);
  mixed ^= mixed >> 32;
  mixed *= 0xD6E8FEB86659FD93U;
  return static_cast<std::uint32_t>(mixed >> 32);
}

class FlatIndex {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  template <typename Is>
  [[nodiscard]] std::uint32_t find(std::uint32_t hash, Is&& is) const noexcept {
    if (size_ == 0) return kNone;
    for (std::size_t place = hash & mask_;; place = (place + 1) & mask_) {
      const Slot& slot = slots_[place];
      if (slot.number == kNone) return kNone;
      if (slot.hash == hash && is(slot.number)) return slot.number;
    }
  }

  // The key is not there yet.
  void insert(std::uint32_t hash, std::uint32_t number) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    put({hash, number});
    ++size_;
  }

  // The number is there under that hash.
  void erase(std::uint32_t hash, std::uint32_t number) noexcept {
    std::size_t hole = hash & mask_;
    while (slots_[hole].number != number) hole = (hole + 1) & mask_;
    --size_;
    // What was pushed past the hole moves up, so that no look-up ends too early.
    for (std::size_t place = (hole + 1) & mask_; slots_[place].number != kNone; place = (place + 1) & mask_) {
      const std::size_t home = slots_[place].hash & mask_;
      if (((place - home) & mask_) < ((place - hole) & mask_)) continue;
      slots_[hole] = slots_[place];
      hole = place;
    }
    slots_[hole].number = kNone;
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t number = kNone;
  };

  void put(Slot slot) noexcept {
    std::size_t place = slot.hash & mask_;
    while (slots_[place].number != kNone) place = (place + 1) & mask_;
    slots_[place] = slot;
  }

  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 64 : slots_.size() * 2));
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.number != kNone) put(slot);
    }
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
};

}  // namespace mqloop::publisher_sqlite
