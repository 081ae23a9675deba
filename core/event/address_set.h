// IP addresses and networks as the configuration writes them, and whether an address is among them. Made once,
// read-only from then on, any thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

namespace mqloop::event {

// An address of either family; one of IPv4 inside IPv6 (::ffff:192.0.2.1) is the IPv4 address.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // of IPv4 the first four
  bool is_v4 = false;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// Nothing where there is no IP address: a Unix socket, a text that is none.
[[nodiscard]] std::optional<IpAddress> ip_of(const sockaddr& address) noexcept;
// Of "192.0.2.1" or "2001:db8::1", with or without an interface (%eth0).
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view text) noexcept;
// Of a peer as Stream::peer_address() writes it: "192.0.2.1:51234", "[2001:db8::1]:51234".
[[nodiscard]] std::optional<IpAddress> ip_of_peer(std::string_view peer_address) noexcept;

class AddressSet {
 public:
  // "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". An error says what is wrong with the text, which it quotes.
  [[nodiscard]] Status add(std::string_view text);

  [[nodiscard]] bool empty() const noexcept { return networks_.empty(); }
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;

 private:
  struct Network {
    IpAddress address;  // of which the bits beyond the prefix are zero
    unsigned prefix;
  };
  std::vector<Network> networks_;
};

}  // namespace mqloop::event
