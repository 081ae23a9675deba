#include "core/event/address_set.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

namespace mqloop::event {

namespace {

constexpr unsigned kMappedBits = 96;  // what ::ffff:0:0 is before the IPv4 address

IpAddress of_v4(const void* bytes) noexcept {
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes, 4);
  address.is_v4 = true;
  return address;
}

IpAddress of_v6(const in6_addr& bytes) noexcept {
  if (IN6_IS_ADDR_V4MAPPED(&bytes)) return of_v4(&bytes.s6_addr[12]);
  IpAddress address;
  std::memcpy(address.bytes.data(), &bytes, 16);
  return address;
}

// The address without the bits beyond the prefix.
IpAddress masked(IpAddress address, unsigned prefix) noexcept {
  for (unsigned i = 0; i != address.bytes.size(); ++i) {
    const unsigned kept = prefix <= 8 * i ? 0 : std::min(8U, prefix - 8 * i);
    address.bytes[i] &= static_cast<std::uint8_t>(0xFF00U >> kept);
  }
  return address;
}

std::string text_of(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.is_v4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

Status wrong(std::string_view text, std::string_view why) {
  return invalid_argument("'" + std::string(text) + "' " + std::string(why));
}

}  // namespace

std::optional<IpAddress> ip_of(const sockaddr& address) noexcept {
  if (address.sa_family == AF_INET) return of_v4(&reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  if (address.sa_family == AF_INET6) return of_v6(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  return std::nullopt;
}

std::optional<IpAddress> parse_ip(std::string_view text) noexcept {
  text = text.substr(0, text.find('%'));
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return std::nullopt;
  std::copy(text.begin(), text.end(), copy.begin());
  in_addr v4;
  if (inet_pton(AF_INET, copy.data(), &v4) == 1) return of_v4(&v4);
  in6_addr v6;
  if (inet_pton(AF_INET6, copy.data(), &v6) == 1) return of_v6(v6);
  return std::nullopt;
}

std::optional<IpAddress> ip_of_peer(std::string_view peer_address) noexcept {
  const bool is_v6 = peer_address.starts_with('[');
  const std::size_t end = is_v6 ? peer_address.find(']') : peer_address.rfind(':');
  if (end == std::string_view::npos) return std::nullopt;
  return parse_ip(is_v6 ? peer_address.substr(1, end - 1) : peer_address.substr(0, end));
}

Status AddressSet::add(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::optional<IpAddress> address =
      text.find('%') == std::string_view::npos ? parse_ip(text.substr(0, slash)) : std::nullopt;
  if (!address) return wrong(text, "is no IP address or network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32");
  // 96 bits of a network that is written as IPv4 inside IPv6 are not of the IPv4 address.
  const unsigned skipped =
      address->is_v4 && text.substr(0, slash).find(':') != std::string_view::npos ? kMappedBits : 0;
  const unsigned longest = address->is_v4 ? 32 : 128;
  unsigned prefix = longest;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc() || end != digits.data() + digits.size() || prefix < skipped ||
        prefix - skipped > longest) {
      return wrong(text, "has no prefix length from " + std::to_string(skipped) + " to " +
                             std::to_string(skipped + longest) + " behind the slash");
    }
    prefix -= skipped;
  }
  const IpAddress network = masked(*address, prefix);
  if (network != *address) {
    return wrong(text, "is an address in a network; write " + text_of(network) + '/' + std::to_string(prefix) +
                           " for the network or " + text_of(*address) + " for the address");
  }
  networks_.push_back({network, prefix});
  return ok();
}

bool AddressSet::contains(const IpAddress& address) const noexcept {
  return std::any_of(networks_.begin(), networks_.end(), [&address](const Network& network) {
    return network.address.is_v4 == address.is_v4 && masked(address, network.prefix) == network.address;
  });
}

}  // namespace mqloop::event
