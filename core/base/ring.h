// Ring<T>: a queue in one growing block, cheap when short and nothing but a pointer when empty: its memory is given
// back with the last element. One thread. Elements move when it grows, so no pointers into it are kept.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace mqloop {

template <typename T>
class Ring {
 public:
  Ring() noexcept = default;
  Ring(Ring&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        head_(std::exchange(other.head_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Ring& operator=(Ring&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(capacity_, other.capacity_);
    std::swap(head_, other.head_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Ring() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // 0 is the oldest.
  T& operator[](std::size_t index) noexcept {
    assert(index < size_);
    return block_[(head_ + index) & (capacity_ - 1)];
  }
  const T& operator[](std::size_t index) const noexcept { return const_cast<Ring&>(*this)[index]; }
  T& front() noexcept { return (*this)[0]; }
  T& back() noexcept { return (*this)[size_ - 1]; }

  T& push_back(T value) {
    if (size_ == capacity_) grow();
    T* place = new (&block_[(head_ + size_) & (capacity_ - 1)]) T(std::move(value));
    ++size_;
    return *place;
  }

  void pop_front() noexcept {
    front().~T();
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
    if (size_ == 0) give_back();
  }

  // Takes out the element at `index`; the others keep their order. Cheap near either end.
  void erase(std::size_t index) noexcept {
    if (index < size_ / 2) {
      for (; index > 0; --index) (*this)[index] = std::move((*this)[index - 1]);
      pop_front();
      return;
    }
    for (; index + 1 < size_; ++index) (*this)[index] = std::move((*this)[index + 1]);
    back().~T();
    --size_;
    if (size_ == 0) give_back();
  }

  void clear() noexcept {
    while (size_ != 0) pop_front();
  }

 private:
  void grow() {
    const std::uint32_t capacity = capacity_ == 0 ? 4 : capacity_ * 2;
    T* block = std::allocator<T>().allocate(capacity);
    for (std::uint32_t i = 0; i != size_; ++i) {
      T& old = (*this)[i];
      new (&block[i]) T(std::move(old));
      old.~T();  // NOLINT(bugprone-use-after-move): a moved-from object still ends
    }
    if (block_ != nullptr) std::allocator<T>().deallocate(block_, capacity_);
    block_ = block;
    capacity_ = capacity;
    head_ = 0;
  }

  void give_back() noexcept {
    std::allocator<T>().deallocate(block_, capacity_);
    block_ = nullptr;
    capacity_ = 0;
    head_ = 0;
  }

  T* block_ = nullptr;
  std::uint32_t capacity_ = 0;  // a power of two
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace mqloop
