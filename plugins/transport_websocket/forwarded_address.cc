#include "plugins/transport_websocket/forwarded_address.h"

#include <netinet/in.h>

#include <charconv>
#include <cstdint>
#include <cstring>

#include <mqloop/socket.h>

namespace mqloop::websocket {

namespace {

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<event::IpAddress> read_address(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return std::nullopt;
    return event::parse_ip(text.substr(1, end - 1));
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return event::parse_ip(text);
  }
  if (!is_port(text.substr(colon + 1))) return std::nullopt;
  return event::parse_ip(text.substr(0, colon));
}

std::string peer_text(const event::IpAddress& address) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (address.is_v4) {
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
    return address_text(reinterpret_cast<const sockaddr&>(v4));
  }
  v6.sin6_family = AF_INET6;
  std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
  return address_text(reinterpret_cast<const sockaddr&>(v6));
}

}  // namespace mqloop::websocket
