// What one connection has yet to write, in order: bytes that were copied in and bytes that a shared object owns. It
// owns nothing while it is empty and takes chunks from its loop's pool when it is not. The loop's own thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <mqloop/ref.h>

#include "core/event/chunk_pool.h"

struct iovec;  // <sys/uio.h>

namespace mqloop::event {

class SendQueue {
 public:
  // The most that reserve() can give in one piece.
  static constexpr std::size_t kMostReserved = Chunk::kRoom - sizeof(Chunk::Segment);

  explicit SendQueue(ChunkPool& pool) noexcept : pool_(&pool) {}
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue() { clear(); }

  // Copies `bytes`, however many, to the end.
  void append(std::span<const std::uint8_t> bytes);
  // Room for `size` bytes in one piece (at most kMostReserved), valid until the next call of any other function, which
  // is commit(): it makes the first of them part of the queue, none of them too.
  [[nodiscard]] std::uint8_t* reserve(std::size_t size);
  void commit(std::size_t size) noexcept;
  // Adds `bytes` without a copy; `owner` keeps them alive until they are consumed.
  void append_shared(Ref<const SharedObject> owner, std::span<const std::uint8_t> bytes);

  // Points `parts` at the oldest bytes, in order, and returns how many parts were filled.
  [[nodiscard]] std::size_t gather(std::span<iovec> parts) const noexcept;
  // Lets go of the oldest `size` bytes: they are written.
  void consume(std::size_t size) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  void clear() noexcept;
  // The connection has moved to another loop: chunks come from `pool` from here on.
  void use(ChunkPool& pool) noexcept { pool_ = &pool; }

 private:
  // Makes the last chunk one with `bytes` of room besides the descriptor of a new segment.
  Chunk& chunk_with(std::size_t bytes);
  void drop_first_chunk() noexcept;

  ChunkPool* pool_;
  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;
  std::size_t size_ = 0;
};
static_assert(sizeof(SendQueue) <= 32);

}  // namespace mqloop::event
