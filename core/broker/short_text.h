// ShortText: a text of at most 65,535 bytes that never changes, in 16 bytes: up to 14 lie inside, more on the heap. For
// the levels of topics and for client identifiers, of which there are millions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace mqloop::broker {

class ShortText {
 public:
  ShortText() noexcept = default;
  explicit ShortText(std::string_view text) : size_(static_cast<std::uint16_t>(text.size())) {
    char* bytes = inside_;
    if (text.size() > sizeof(inside_)) {
      bytes = new char[text.size()];
      std::memcpy(inside_ + kPointerOffset, &bytes, sizeof(bytes));
    }
    if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
  }
  ShortText(const ShortText&) = delete;
  ShortText& operator=(ShortText&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(inside_, other.inside_);
    return *this;
  }
  ~ShortText() {
    if (size_ > sizeof(inside_)) delete[] data();
  }

  [[nodiscard]] std::string_view view() const noexcept { return {data(), size_}; }
  friend bool operator==(const ShortText& a, std::string_view b) noexcept { return a.view() == b; }
  [[nodiscard]] std::size_t footprint() const noexcept { return size_ > sizeof(inside_) ? size_ : 0; }

 private:
  static constexpr std::size_t kPointerOffset = 6;  // where the object is aligned for one

  [[nodiscard]] const char* data() const noexcept {
    if (size_ <= sizeof(inside_)) return inside_;
    const char* bytes;
    std::memcpy(&bytes, inside_ + kPointerOffset, sizeof(bytes));
    return bytes;
  }

  alignas(8) std::uint16_t size_ = 0;
  char inside_[14] = {};
};
static_assert(sizeof(ShortText) == 16);

}  // namespace mqloop::broker
