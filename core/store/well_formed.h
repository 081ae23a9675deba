// Whether what stands in a file is what a broker could have written there: names, properties, and numbers that only a
// few values of have a meaning. For rows that are read, imported or salvaged; a broker's own packets have been checked
// by the decoder. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mqloop::store {

// A Topic Name (4.7): not empty, no wildcard, at most 65,535 bytes of UTF-8 without U+0000.
[[nodiscard]] bool is_topic_name(std::string_view text) noexcept;

// A Topic Filter, `$share/NAME/FILTER` included.
[[nodiscard]] bool is_subscription_filter(std::string_view text) noexcept;

// `$share/NAME/FILTER` (4.8.2).
[[nodiscard]] bool is_shared_filter(std::string_view text) noexcept;

// A UTF-8 Encoded String (1.5.4) of at most 65,535 bytes.
[[nodiscard]] bool is_utf8_string(std::string_view text) noexcept;

// Properties as Message::Content holds them: those of PUBLISH that a server forwards unchanged (3.3.2.3), without
// their length, each but User Property once.
[[nodiscard]] bool are_forwarded_properties(std::span<const std::uint8_t> properties) noexcept;

// A Subscription Options byte (3.8.3.1): no reserved bit, no reserved value.
[[nodiscard]] bool are_subscription_options(std::int64_t options) noexcept;

inline constexpr std::int64_t kHighestIdentifier = 268'435'455;  // of a subscription (3.8.2.1.2)

// Subscription Identifiers in a row: 4 bytes each, little end first. False: not what encode_identifiers() makes.
[[nodiscard]] std::vector<std::uint8_t> encode_identifiers(std::span<const std::uint32_t> identifiers);
[[nodiscard]] bool decode_identifiers(std::span<const std::uint8_t> bytes, std::vector<std::uint32_t>& out);

}  // namespace mqloop::store
