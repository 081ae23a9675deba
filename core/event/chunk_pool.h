// The memory of unsent bytes: chunks of one size, shared by all send queues of a loop. A connection that has nothing to
// send holds none. Freed chunks are kept up to a cap, the rest goes back to the heap. The loop's own thread only; a
// chunk may be given back to another loop's pool than the one it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mqloop {
class SharedObject;
}

namespace mqloop::event {

// Bytes grow upwards from the front of `room`, and the descriptors of segments downwards from its end. A segment is a
// run of these bytes or of bytes that a shared object owns.
struct Chunk {
  struct Segment {
    const std::uint8_t* data;
    std::size_t size;
    const SharedObject* owner;  // holds one reference; null for the chunk's own bytes
  };
  static constexpr std::size_t kAllocation = 4080;  // with malloc's own header just below 4 KiB
  static constexpr std::size_t kRoom = kAllocation - 16;

  Chunk* next;
  std::uint16_t used;   // bytes of room that are taken at the front
  std::uint16_t first;  // the oldest segment that is not consumed
  std::uint16_t count;  // segments made so far
  alignas(8) std::uint8_t room[kRoom];

  Segment& segment(std::size_t index) noexcept {
    return *reinterpret_cast<Segment*>(room + kRoom - (index + 1) * sizeof(Segment));
  }
  [[nodiscard]] std::size_t free_room() const noexcept { return kRoom - used - count * sizeof(Segment); }
};
static_assert(sizeof(Chunk) == Chunk::kAllocation);

class ChunkPool {
 public:
  // 4 MiB: what a turn needs that writes to a thousand connections.
  static constexpr std::size_t kDefaultKept = 1024;

  explicit ChunkPool(std::size_t kept = kDefaultKept) noexcept : most_kept_(kept) {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  // An empty chunk.
  [[nodiscard]] Chunk* take();
  // Drops the references that the chunk's unconsumed segments hold.
  void give_back(Chunk* chunk) noexcept;

  // Chunks that hold something now; those that came from here less those that were given back here.
  [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }
  // Chunks that are kept free now.
  [[nodiscard]] std::size_t kept() const noexcept { return kept_; }

 private:
  Chunk* free_ = nullptr;
  std::size_t kept_ = 0;
  std::size_t in_use_ = 0;
  std::size_t most_kept_;
};

}  // namespace mqloop::event
