// SlotTable<T>: owns objects and names each by {slot, generation}, a handle that is never valid again once its object
// is gone. For what may be asked for later by somebody who cannot know whether it still lives. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace mqloop {

template <typename T>
class SlotTable {
 public:
  struct Handle {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };

  // The object's handle, to be told to the object before it is put.
  [[nodiscard]] Handle reserve() {
    if (free_.empty()) {
      slots_.push_back({nullptr, 1});
      return {static_cast<std::uint32_t>(slots_.size() - 1), 1};
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return {slot, slots_[slot].generation};
  }
  T& put(Handle handle, std::unique_ptr<T> object) {
    slots_[handle.slot].object = std::move(object);
    ++size_;
    return *slots_[handle.slot].object;
  }

  // Null when the handle's object is gone.
  [[nodiscard]] T* find(Handle handle) const noexcept {
    if (handle.slot >= slots_.size() || slots_[handle.slot].generation != handle.generation) return nullptr;
    return slots_[handle.slot].object.get();
  }
  // For a slot that is known to be occupied.
  [[nodiscard]] T& at(std::uint32_t slot) const noexcept { return *slots_[slot].object; }
  [[nodiscard]] T* occupant(std::uint32_t slot) const noexcept { return slots_[slot].object.get(); }
  // Exclusive bound of the slots in use.
  [[nodiscard]] std::uint32_t bound() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // Ends the handle and hands the object back.
  std::unique_ptr<T> take(std::uint32_t slot) {
    Slot& entry = slots_[slot];
    ++entry.generation;
    free_.push_back(slot);
    --size_;
    return std::move(entry.object);
  }

 private:
  struct Slot {
    std::unique_ptr<T> object;
    std::uint32_t generation;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace mqloop
