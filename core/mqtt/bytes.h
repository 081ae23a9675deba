// ByteReader and ByteWriter: the wire forms of section 1.5 over bytes that the caller owns. A reader never passes its
// end: a field that would makes it fail, and a failed reader yields zeros and empty views from then on. A writer trusts
// that the caller counted. Inside core/mqtt only; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace mqloop::mqtt {

inline constexpr std::uint32_t kMaximumVariableByteInteger = 268'435'455;

[[nodiscard]] constexpr std::size_t variable_byte_integer_size(std::size_t value) noexcept {
  return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

struct VariableByteInteger {
  enum class Kind : std::uint8_t { kComplete, kUnfinished, kTooLong, kNotMinimal };
  Kind kind = Kind::kUnfinished;
  std::uint8_t size = 0;  // bytes, of kComplete
  std::uint32_t value = 0;
};

[[nodiscard]] constexpr VariableByteInteger read_variable_byte_integer(std::span<const std::uint8_t> bytes) noexcept {
  using Kind = VariableByteInteger::Kind;
  VariableByteInteger result;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == bytes.size()) return result;
    result.value |= static_cast<std::uint32_t>(bytes[i] & 0x7FU) << (7 * i);
    if (bytes[i] < 0x80) {
      // A last byte of 0 adds nothing, so the byte before could have been the last [MQTT-1.5.5-1].
      result.kind = i > 0 && bytes[i] == 0 ? Kind::kNotMinimal : Kind::kComplete;
      result.size = static_cast<std::uint8_t>(i + 1);
      return result;
    }
  }
  result.kind = Kind::kTooLong;
  return result;
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] const std::uint8_t* position() const noexcept { return at_; }

  std::span<const std::uint8_t> take(std::size_t size) noexcept {
    if (size > left()) {
      failed_ = true;
      at_ = end_;
      return {};
    }
    const std::span<const std::uint8_t> taken(at_, size);
    at_ += size;
    return taken;
  }
  std::span<const std::uint8_t> rest() noexcept { return take(left()); }

  std::uint8_t u8() noexcept {
    const auto bytes = take(1);
    return bytes.empty() ? std::uint8_t{0} : bytes[0];
  }
  std::uint16_t u16() noexcept {
    const auto bytes = take(2);
    return bytes.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>((bytes[0] << 8) | bytes[1]);
  }
  std::uint32_t u32() noexcept {
    const auto bytes = take(4);
    if (bytes.empty()) return 0;
    return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) |
           bytes[3];
  }
  // Binary Data; a string whose characters the caller judges is the same with other eyes.
  std::span<const std::uint8_t> binary() noexcept { return take(u16()); }
  std::string_view text() noexcept {
    const auto bytes = binary();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // Fails on what is unfinished too. The kind tells the caller why.
  VariableByteInteger variable_byte_integer() noexcept {
    const VariableByteInteger result = read_variable_byte_integer({at_, left()});
    if (result.kind == VariableByteInteger::Kind::kComplete) {
      at_ += result.size;
    } else {
      failed_ = true;
      at_ = end_;
    }
    return result;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool failed_ = false;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::uint8_t* out) noexcept : at_(out) {}

  [[nodiscard]] std::uint8_t* position() const noexcept { return at_; }
  void advance_to(std::uint8_t* at) noexcept { at_ = at; }

  ByteWriter& u8(std::uint8_t value) noexcept {
    *at_++ = value;
    return *this;
  }
  ByteWriter& u16(std::uint16_t value) noexcept {
    return u8(static_cast<std::uint8_t>(value >> 8)).u8(static_cast<std::uint8_t>(value));
  }
  ByteWriter& u32(std::uint32_t value) noexcept {
    return u16(static_cast<std::uint16_t>(value >> 16)).u16(static_cast<std::uint16_t>(value));
  }
  ByteWriter& variable_byte_integer(std::size_t value) noexcept {
    while (value >= 0x80) {
      u8(static_cast<std::uint8_t>(value | 0x80U));
      value >>= 7;
    }
    return u8(static_cast<std::uint8_t>(value));
  }
  ByteWriter& raw(std::span<const std::uint8_t> bytes) noexcept {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
    return *this;
  }
  ByteWriter& binary(std::span<const std::uint8_t> bytes) noexcept {
    return u16(static_cast<std::uint16_t>(bytes.size())).raw(bytes);
  }
  ByteWriter& text(std::string_view text) noexcept {
    return binary({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }

 private:
  std::uint8_t* at_;
};

}  // namespace mqloop::mqtt
