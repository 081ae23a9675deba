#include "plugins/transport_websocket/address_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace mqloop::websocket {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_v4(const AddressBytes& address) { return std::equal(kMapped.begin(), kMapped.end(), address.begin()); }

std::optional<AddressBytes> read_host(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (text.size() >= host.size()) return std::nullopt;
  std::copy(text.begin(), text.end(), host.begin());
  AddressBytes address{};
  if (inet_pton(AF_INET6, host.data(), address.data()) == 1) return address;
  std::copy(kMapped.begin(), kMapped.end(), address.begin());
  if (inet_pton(AF_INET, host.data(), address.data() + kMapped.size()) == 1) return address;
  return std::nullopt;
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<AddressBytes> read_address(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return std::nullopt;
    return read_host(text.substr(1, end - 1));
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return read_host(text);
  if (!is_port(text.substr(colon + 1))) return std::nullopt;
  return read_host(text.substr(0, colon));
}

std::string address_text(const AddressBytes& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4(address)) {
    inet_ntop(AF_INET, address.data() + kMapped.size(), text.data(), text.size());
    return std::string(text.data()) + ":0";
  }
  inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  return '[' + std::string(text.data()) + "]:0";
}

bool is_loopback(const AddressBytes& address) noexcept {
  if (is_v4(address)) return address[kMapped.size()] == 127;
  constexpr AddressBytes kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return address == kLoopback;
}

std::optional<AddressRange> AddressRange::read(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = read_host(text.substr(0, slash));
  if (!address) return std::nullopt;
  AddressRange range{*address, 128};
  if (slash == std::string_view::npos) return range;
  const std::string_view digits = text.substr(slash + 1);
  const unsigned most = is_v4(*address) ? 32 : 128;
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || bits > most) return std::nullopt;
  range.bits = bits + (128 - most);
  return range;
}

bool AddressRange::contains(const AddressBytes& address) const noexcept {
  const std::size_t whole = bits / 8;
  if (!std::equal(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((first[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

}  // namespace mqloop::websocket
