// Well-formed UTF-8 (RFC 3629, Unicode table 3-7): no overlong form, no surrogate, nothing above U+10FFFF. U+FEFF is an
// ordinary character wherever it stands. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <string_view>

#include <mqloop/export.h>

namespace mqloop {

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// What MQTT calls a UTF-8 Encoded String: well-formed and without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
[[nodiscard]] MQLOOP_API bool is_utf8_without_nul(std::string_view text) noexcept;

// The length of the longest well-formed beginning of `text`; its size when all of it is well-formed.
[[nodiscard]] std::size_t utf8_prefix_length(std::string_view text) noexcept;

}  // namespace mqloop
