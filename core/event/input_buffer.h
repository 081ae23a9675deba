// What a connection received and has not decoded yet: the tail of an unfinished packet, or what a turn's budget left.
// One pointer wide, and null while it is empty. It grows by doubling, with bytes that have come and never with what a
// length field promises. It belongs to its connection, and to that connection's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace mqloop::event {

class InputBuffer {
 public:
  InputBuffer() noexcept = default;

  [[nodiscard]] bool empty() const noexcept { return block_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return block_ == nullptr ? 0 : block_->end - block_->begin; }
  [[nodiscard]] std::size_t capacity() const noexcept { return block_ == nullptr ? 0 : block_->capacity; }
  // Valid until the next call of append() or room().
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept;

  // Copies `received` to the end. `needed` is how long the packet is that begins the buffer, 0 when that is not known
  // yet: the buffer does not grow beyond it in advance.
  void append(std::span<const std::uint8_t> received, std::size_t needed = 0);
  // Room to read into without a copy, at least one byte; as much again as there is, but not beyond `needed`. commit()
  // the bytes that were read.
  [[nodiscard]] std::span<std::uint8_t> room(std::size_t needed);
  void commit(std::size_t size) noexcept;
  // Drops decoded bytes from the front; the memory goes with the last of them.
  void consume(std::size_t size) noexcept;
  void clear() noexcept { block_.reset(); }

 private:
  struct Block {
    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t capacity;
    [[nodiscard]] std::uint8_t* data() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
  };
  struct Free {
    void operator()(Block* block) const noexcept;
  };

  // Makes sure that `more` bytes fit after the end.
  void grow(std::size_t more, std::size_t needed);

  std::unique_ptr<Block, Free> block_;
};
static_assert(sizeof(InputBuffer) == sizeof(void*));

}  // namespace mqloop::event
