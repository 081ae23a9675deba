// Base64 (RFC 4648, section 4) as password hashes are written in: with `=` at the end in mosquitto's formats, without
// in those of PHC. Strict, so that one value has one spelling: no white space, no line ends, no bits left over. Pure
// functions, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mqloop::password {

enum class Padding : bool { kNone, kEquals };

struct Decoded {
  static constexpr std::size_t kNoFault = static_cast<std::size_t>(-1);
  std::string bytes;
  // Where the text stops being base64; its size when it ends too early.
  std::size_t fault = kNoFault;
};

[[nodiscard]] Decoded decode_base64(std::string_view text, Padding padding);
[[nodiscard]] std::string encode_base64(std::string_view bytes, Padding padding);

}  // namespace mqloop::password
