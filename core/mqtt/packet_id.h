// Packet Identifiers (2.2.1). PacketIdTable is a sparse map from identifier to a state of 0 to 3, where 0 is "free":
// six identifiers live in the object itself, more on the heap in pages that come and go with their use.
// PacketIdAllocator draws identifiers from 1 to 65,535 in rotation and never hands out one that is in use. Both belong
// to one session and to its thread. Invariant: an empty table owns no memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace mqloop::mqtt {

class PacketIdTable {
 public:
  PacketIdTable() noexcept;
  PacketIdTable(PacketIdTable&& other) noexcept;
  PacketIdTable& operator=(PacketIdTable&& other) noexcept;
  ~PacketIdTable();

  [[nodiscard]] std::uint8_t get(std::uint16_t id) const noexcept;
  // `id` is not 0 and `state` at most 3; 0 frees.
  void set(std::uint16_t id, std::uint8_t state);
  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  [[nodiscard]] bool empty() const noexcept { return used_ == 0; }
  // The first free identifier of from, from + 1 ... 65535, 1, 2 ...; 0 when all are taken. `from` is not 0.
  [[nodiscard]] std::uint16_t next_free(std::uint16_t from) const noexcept;
  void clear() noexcept;

 private:
  static constexpr std::size_t kInline = 6;
  struct Pages;

  [[nodiscard]] std::size_t find_inline(std::uint16_t id) const noexcept;
  void set_inline(std::size_t slot, std::uint16_t id, std::uint8_t state) noexcept;
  void move_to_pages();
  void move_to_object() noexcept;

  std::unique_ptr<Pages> pages_;                 // null while all fits into the object
  std::array<std::uint16_t, kInline> inline_{};  // 0: an empty slot
  std::uint16_t inline_states_ = 0;              // two bits for each slot
  std::uint16_t used_ = 0;
};

class PacketIdAllocator {
 public:
  // 0 when every identifier is in use. What comes back is in use until released.
  [[nodiscard]] std::uint16_t allocate();
  // Takes an identifier that a stored session brings along; false when it is in use or 0.
  [[nodiscard]] bool reserve(std::uint16_t id);
  // False when it was not in use: then nothing has changed.
  bool release(std::uint16_t id);
  [[nodiscard]] bool in_use(std::uint16_t id) const noexcept { return table_.get(id) != 0; }
  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  void clear() noexcept { table_.clear(); }

 private:
  PacketIdTable table_;
  std::uint16_t last_ = 0;
};

}  // namespace mqloop::mqtt
