#include "core/event/input_buffer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace mqloop::event {

namespace {
constexpr std::size_t kSmallest = 64;
}

void InputBuffer::Free::operator()(Block* block) const noexcept { ::operator delete(block); }

std::span<const std::uint8_t> InputBuffer::bytes() const noexcept {
  if (block_ == nullptr) return {};
  return {block_->data() + block_->begin, block_->end - block_->begin};
}

void InputBuffer::grow(std::size_t more, std::size_t needed) {
  const std::size_t held = size();
  if (block_ != nullptr && block_->capacity - block_->end >= more) return;
  if (block_ != nullptr && block_->capacity - held >= more && block_->begin >= held) {
    std::memcpy(block_->data(), block_->data() + block_->begin, held);
    block_->begin = 0;
    block_->end = static_cast<std::uint32_t>(held);
    return;
  }
  std::size_t capacity = std::max(2 * held, kSmallest);
  capacity = std::max(capacity, held + more);
  if (needed >= held + more) capacity = std::min(capacity, needed);
  std::unique_ptr<Block, Free> block(static_cast<Block*>(::operator new(sizeof(Block) + capacity)));
  new (block.get()) Block{0, static_cast<std::uint32_t>(held), static_cast<std::uint32_t>(capacity)};
  if (held != 0) std::memcpy(block->data(), bytes().data(), held);
  block_ = std::move(block);
}

void InputBuffer::append(std::span<const std::uint8_t> received, std::size_t needed) {
  if (received.empty()) return;
  grow(received.size(), needed);
  std::memcpy(block_->data() + block_->end, received.data(), received.size());
  block_->end += static_cast<std::uint32_t>(received.size());
}

std::span<std::uint8_t> InputBuffer::room(std::size_t needed) {
  grow(1, needed);
  return {block_->data() + block_->end, block_->capacity - block_->end};
}

void InputBuffer::commit(std::size_t size) noexcept {
  if (block_ == nullptr) return;
  assert(size <= block_->capacity - block_->end);
  block_->end += static_cast<std::uint32_t>(size);
  if (block_->end == block_->begin) clear();
}

void InputBuffer::consume(std::size_t size) noexcept {
  if (block_ == nullptr) return;
  assert(size <= block_->end - block_->begin);
  block_->begin += static_cast<std::uint32_t>(size);
  if (block_->end == block_->begin) clear();
}

}  // namespace mqloop::event
