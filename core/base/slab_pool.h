// Objects in pages of 64, named by {slot, generation}: a handle may be kept across turns and threads, and finds nothing
// once its object has gone, even when the slot is used again. Addresses never change; a page is given back when it is
// empty and another one has room. The pool owns its objects; one thread at a time.
//
// Handle is any aggregate whose first two members are std::uint32_t slot and generation. Generation 0 is never given
// out, so that a value-initialised handle names nothing.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace mqloop {

struct SlotHandle {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;

  explicit operator bool() const noexcept { return generation != 0; }
  friend bool operator==(const SlotHandle&, const SlotHandle&) noexcept = default;
};

template <typename T, typename Handle = SlotHandle>
class SlabPool {
 public:
  static constexpr std::uint32_t kSlotsPerPage = 64;

  SlabPool() noexcept = default;
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;
  ~SlabPool() { clear(); }

  struct Created {
    Handle handle;
    T* object;
  };

  template <typename... Arguments>
  Created emplace(Arguments&&... arguments) {
    const std::uint32_t page_index = page_with_room();
    Page& page = *pages_[page_index].page;
    const auto bit = static_cast<std::uint32_t>(std::countr_one(page.used));
    T* object = new (page.storage(bit)) T(std::forward<Arguments>(arguments)...);
    page.used |= std::uint64_t{1} << bit;
    if (page.used == ~std::uint64_t{0}) with_room_.pop_back();
    ++size_;
    return {Handle{page_index * kSlotsPerPage + bit, page.generations[bit]}, object};
  }

  // The object, or null when it has gone.
  [[nodiscard]] T* find(Handle handle) noexcept {
    Page* page = page_of(handle.slot);
    if (page == nullptr || handle.generation == 0) return nullptr;
    const std::uint32_t bit = handle.slot % kSlotsPerPage;
    if ((page->used >> bit & 1) == 0 || page->generations[bit] != handle.generation) return nullptr;
    return page->object(bit);
  }
  [[nodiscard]] const T* find(Handle handle) const noexcept { return const_cast<SlabPool*>(this)->find(handle); }

  // Whatever lives in `slot` now, or null: for who knows that the slot has not changed hands.
  [[nodiscard]] T* occupant(std::uint32_t slot) const noexcept {
    Page* page = page_of(slot);
    const std::uint32_t bit = slot % kSlotsPerPage;
    return page != nullptr && (page->used >> bit & 1) != 0 ? page->object(bit) : nullptr;
  }

  // The handle of whatever lives in `slot` now; one that names nothing when the slot is free.
  [[nodiscard]] Handle handle_of(std::uint32_t slot) const noexcept {
    const Page* page = page_of(slot);
    const std::uint32_t bit = slot % kSlotsPerPage;
    if (page == nullptr || (page->used >> bit & 1) == 0) return {};
    return Handle{slot, page->generations[bit]};
  }

  // Destroys the object; false when it has gone already. Its destructor no longer finds it in the pool.
  bool erase(Handle handle) noexcept {
    T* object = find(handle);
    if (object == nullptr) return false;
    const std::uint32_t page_index = handle.slot / kSlotsPerPage;
    const std::uint32_t bit = handle.slot % kSlotsPerPage;
    Page& page = *pages_[page_index].page;
    if (++page.generations[bit] == 0) page.generations[bit] = 1;
    object->~T();
    const bool was_full = page.used == ~std::uint64_t{0};
    page.used &= ~(std::uint64_t{1} << bit);
    --size_;
    if (was_full) with_room_.push_back(page_index);
    if (page.used == 0) retire(page_index);
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // One more than the highest slot in use may be: for iterating in slices.
  [[nodiscard]] std::uint32_t slot_limit() const noexcept {
    return static_cast<std::uint32_t>(pages_.size()) * kSlotsPerPage;
  }

  // Calls visit(handle, object) for each; objects may be erased meanwhile, and new ones may or may not be visited.
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (std::uint32_t slot = 0; slot < slot_limit(); ++slot) {
      const Handle handle = handle_of(slot);
      if (T* object = find(handle)) visit(handle, *object);
    }
  }

  void clear() noexcept {
    for_each([this](Handle handle, T&) { erase(handle); });
  }

  // Bytes taken from the heap, the free slots included.
  [[nodiscard]] std::size_t memory() const noexcept {
    std::size_t bytes = pages_.capacity() * sizeof(Entry) + with_room_.capacity() * sizeof(std::uint32_t);
    for (const Entry& entry : pages_) bytes += entry.page == nullptr ? 0 : sizeof(Page);
    return bytes;
  }

 private:
  struct Page {
    std::uint64_t used = 0;
    std::array<std::uint32_t, kSlotsPerPage> generations;
    alignas(T) std::byte bytes[sizeof(T) * kSlotsPerPage];

    explicit Page(std::uint32_t first_generation) noexcept { generations.fill(first_generation); }
    void* storage(std::uint32_t bit) noexcept { return bytes + sizeof(T) * bit; }
    T* object(std::uint32_t bit) noexcept { return std::launder(static_cast<T*>(storage(bit))); }
  };
  struct Entry {
    std::unique_ptr<Page> page;
    std::uint32_t first_generation = 1;  // of a page that is made anew: above all that its slots have had
  };

  Page* page_of(std::uint32_t slot) const noexcept {
    const std::uint32_t index = slot / kSlotsPerPage;
    return index < pages_.size() ? pages_[index].page.get() : nullptr;
  }

  // The last of with_room_, which names every page that has a free slot, given back or not.
  std::uint32_t page_with_room() {
    if (with_room_.empty()) {
      with_room_.reserve(pages_.size() + 1);  // for every page, so that erase() never allocates
      pages_.emplace_back();
      with_room_.push_back(static_cast<std::uint32_t>(pages_.size() - 1));
    }
    Entry& entry = pages_[with_room_.back()];
    if (entry.page == nullptr) entry.page = std::make_unique<Page>(entry.first_generation);
    return with_room_.back();
  }

  // Keeps one empty page, so that an object that comes and goes does not move a page each time.
  void retire(std::uint32_t index) noexcept {
    if (spare_ != index && spare_ < pages_.size() && pages_[spare_].page != nullptr && pages_[spare_].page->used == 0) {
      Entry& entry = pages_[spare_];
      for (const std::uint32_t generation : entry.page->generations) {
        if (generation > entry.first_generation) entry.first_generation = generation;
      }
      entry.page.reset();
    }
    spare_ = index;
  }

  std::vector<Entry> pages_;
  std::vector<std::uint32_t> with_room_;
  std::uint32_t spare_ = ~std::uint32_t{0};
  std::size_t size_ = 0;
};

}  // namespace mqloop
