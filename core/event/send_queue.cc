#include "core/event/send_queue.h"

#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace mqloop::event {

Chunk& SendQueue::chunk_with(std::size_t bytes) {
  if (last_ != nullptr && last_->free_room() >= bytes + sizeof(Chunk::Segment)) return *last_;
  Chunk* chunk = pool_->take();
  (last_ == nullptr ? first_ : last_->next) = chunk;
  last_ = chunk;
  return *chunk;
}

std::uint8_t* SendQueue::reserve(std::size_t size) {
  assert(size <= kMostReserved);
  Chunk& chunk = chunk_with(size);
  return chunk.room + chunk.used;
}

void SendQueue::commit(std::size_t size) noexcept {
  if (size == 0) {
    if (size_ == 0) clear();
    return;
  }
  Chunk& chunk = *last_;
  std::uint8_t* data = chunk.room + chunk.used;
  chunk.used = static_cast<std::uint16_t>(chunk.used + size);
  size_ += size;
  if (chunk.count > chunk.first) {
    Chunk::Segment& newest = chunk.segment(chunk.count - 1U);
    if (newest.owner == nullptr) {  // the chunk's own bytes follow each other without a gap
      newest.size += size;
      return;
    }
  }
  new (&chunk.segment(chunk.count)) Chunk::Segment{data, size, nullptr};
  ++chunk.count;
}

void SendQueue::append(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    Chunk& chunk = chunk_with(1);
    const std::size_t part = std::min(bytes.size(), chunk.free_room() - sizeof(Chunk::Segment));
    std::memcpy(chunk.room + chunk.used, bytes.data(), part);
    commit(part);
    bytes = bytes.subspan(part);
  }
}

void SendQueue::append_shared(Ref<const SharedObject> owner, std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  Chunk& chunk = chunk_with(0);
  new (&chunk.segment(chunk.count)) Chunk::Segment{bytes.data(), bytes.size(), owner.release()};
  ++chunk.count;
  size_ += bytes.size();
}

std::size_t SendQueue::gather(std::span<iovec> parts) const noexcept {
  std::size_t filled = 0;
  for (Chunk* chunk = first_; chunk != nullptr; chunk = chunk->next) {
    for (std::size_t index = chunk->first; index < chunk->count; ++index) {
      if (filled == parts.size()) return filled;
      const Chunk::Segment& segment = chunk->segment(index);
      parts[filled++] = {const_cast<std::uint8_t*>(segment.data), segment.size};
    }
  }
  return filled;
}

void SendQueue::consume(std::size_t size) noexcept {
  assert(size <= size_);
  size_ -= size;
  while (size != 0) {
    Chunk& chunk = *first_;
    Chunk::Segment& oldest = chunk.segment(chunk.first);
    if (size < oldest.size) {
      oldest.data += size;
      oldest.size -= size;
      return;
    }
    size -= oldest.size;
    if (oldest.owner != nullptr) oldest.owner->drop_ref();
    if (++chunk.first == chunk.count && &chunk != last_) drop_first_chunk();
  }
  if (size_ == 0) clear();
}

void SendQueue::drop_first_chunk() noexcept {
  Chunk* chunk = first_;
  first_ = chunk->next;
  if (first_ == nullptr) last_ = nullptr;
  pool_->give_back(chunk);
}

void SendQueue::clear() noexcept {
  while (first_ != nullptr) drop_first_chunk();
  size_ = 0;
}

}  // namespace mqloop::event
