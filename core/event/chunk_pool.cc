#include "core/event/chunk_pool.h"

#include <new>

#include <mqloop/ref.h>

namespace mqloop::event {

ChunkPool::~ChunkPool() {
  while (free_ != nullptr) {
    const Chunk* chunk = free_;
    free_ = chunk->next;
    delete chunk;
  }
}

Chunk* ChunkPool::take() {
  Chunk* chunk = free_;
  if (chunk == nullptr) {
    chunk = new Chunk;
  } else {
    free_ = chunk->next;
    --kept_;
  }
  ++in_use_;
  chunk->next = nullptr;
  chunk->used = chunk->first = chunk->count = 0;
  return chunk;
}

void ChunkPool::give_back(Chunk* chunk) noexcept {
  for (std::size_t index = chunk->first; index < chunk->count; ++index) {
    if (const SharedObject* owner = chunk->segment(index).owner) owner->drop_ref();
  }
  --in_use_;
  if (kept_ == most_kept_) {
    delete chunk;
    return;
  }
  chunk->next = free_;
  free_ = chunk;
  ++kept_;
}

}  // namespace mqloop::event
