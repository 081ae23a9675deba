// A range of IP addresses, "192.0.2.0/24" or "2001:db8::/32" or one address. An IPv4 address inside IPv6 counts as
// IPv4. No state, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mqloop::websocket {

// IPv4 as the last four bytes of ::ffff:0:0/96.
using AddressBytes = std::array<std::uint8_t, 16>;

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; nothing when it is none of them.
[[nodiscard]] std::optional<AddressBytes> read_address(std::string_view text);
// As Stream::peer_address() writes it, with port 0.
[[nodiscard]] std::string address_text(const AddressBytes& address);
[[nodiscard]] bool is_loopback(const AddressBytes& address) noexcept;

struct AddressRange {
  AddressBytes first{};
  unsigned bits = 128;  // that all its addresses have in common

  [[nodiscard]] static std::optional<AddressRange> read(std::string_view text);
  [[nodiscard]] bool contains(const AddressBytes& address) const noexcept;
};

}  // namespace mqloop::websocket
