// NodePool<T>: objects named by dense 32-bit numbers, in chunks of 512 or of what its user says. Addresses never
// change, growing moves nothing, and a chunk is given back when it is empty and another one has room. The numbers are
// the links of trees whose owner knows that they are valid, so access checks nothing and touches no other memory (that
// is the difference to SlabPool, whose handles are checked). A number that is not in use names a default-constructed T
// or none at all. One thread at a time, or the owner's lock.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mqloop::broker {

template <typename T, std::uint32_t kChunkSize = 512>
class NodePool {
 public:
  // The lowest numbers of a new pool come first: 0, 1, 2 ...
  std::uint32_t take() {
    if (roomy_ == kNone) add_chunk();
    Chunk& chunk = *chunks_[roomy_];
    const std::uint32_t place = chunk.first_free;
    const std::uint32_t number = roomy_ * kChunkSize + place;
    chunk.first_free = chunk.next_free[place];
    if (++chunk.used == kChunkSize) unlink(roomy_);
    ++size_;
    return number;
  }

  // Destroys the object.
  void give_back(std::uint32_t number) noexcept {
    const std::uint32_t index = number / kChunkSize;
    Chunk& chunk = *chunks_[index];
    const std::uint32_t place = number % kChunkSize;
    std::destroy_at(&chunk.items[place]);
    std::construct_at(&chunk.items[place]);
    if (chunk.used == kChunkSize) {
      link(index);
      // The one that had room until now may be empty, kept as the last resort.
      if (chunk.next != kNone && chunks_[chunk.next]->used == 0) drop_chunk(chunk.next);
    }
    chunk.next_free[place] = static_cast<std::uint16_t>(chunk.first_free);
    chunk.first_free = place;
    --chunk.used;
    --size_;
    if (chunk.used == 0 && (chunk.next != kNone || chunk.previous != kNone)) drop_chunk(index);
  }

  [[nodiscard]] T& operator[](std::uint32_t number) noexcept {
    return chunks_[number / kChunkSize]->items[number % kChunkSize];
  }
  [[nodiscard]] const T& operator[](std::uint32_t number) const noexcept {
    return chunks_[number / kChunkSize]->items[number % kChunkSize];
  }

  // For a number from outside: null when its chunk does not exist. The object may be unused (default-constructed).
  [[nodiscard]] T* find(std::uint32_t number) noexcept {
    const std::uint32_t index = number / kChunkSize;
    return index < chunks_.size() && chunks_[index] != nullptr ? &(*this)[number] : nullptr;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Bytes taken from the heap.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return chunk_count_ * sizeof(Chunk) + chunks_.capacity() * sizeof(chunks_[0]);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Chunk {
    Chunk() noexcept {
      for (std::uint32_t i = 0; i < kChunkSize; ++i) next_free[i] = static_cast<std::uint16_t>(i + 1);
    }
    std::uint32_t used = 0;
    std::uint32_t first_free = 0;
    std::uint32_t previous = kNone;  // among the chunks with room
    std::uint32_t next = kNone;
    std::array<std::uint16_t, kChunkSize> next_free;
    std::array<T, kChunkSize> items{};
  };

  void add_chunk() {
    std::size_t index = 0;
    if (chunk_count_ == chunks_.size()) {
      index = chunks_.size();
      chunks_.emplace_back();
    } else {
      while (chunks_[index] != nullptr) ++index;
    }
    chunks_[index] = std::make_unique<Chunk>();
    ++chunk_count_;
    link(static_cast<std::uint32_t>(index));
  }

  void drop_chunk(std::uint32_t index) noexcept {
    unlink(index);
    chunks_[index].reset();
    --chunk_count_;
    while (chunks_.back() == nullptr) chunks_.pop_back();
    if (chunks_.size() <= chunks_.capacity() / 2) chunks_.shrink_to_fit();
  }

  void link(std::uint32_t index) noexcept {
    chunks_[index]->next = roomy_;
    if (roomy_ != kNone) chunks_[roomy_]->previous = index;
    roomy_ = index;
  }

  void unlink(std::uint32_t index) noexcept {
    Chunk& chunk = *chunks_[index];
    if (chunk.previous != kNone) {
      chunks_[chunk.previous]->next = chunk.next;
    } else {
      roomy_ = chunk.next;
    }
    if (chunk.next != kNone) chunks_[chunk.next]->previous = chunk.previous;
    chunk.previous = kNone;
    chunk.next = kNone;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::uint32_t roomy_ = kNone;
  std::size_t chunk_count_ = 0;
  std::size_t size_ = 0;
};

}  // namespace mqloop::broker
