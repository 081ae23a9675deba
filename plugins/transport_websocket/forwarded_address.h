// An address as proxies write it into X-Forwarded-For. No state, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/event/address_set.h"

namespace mqloop::websocket {

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; nothing when it is none of them.
[[nodiscard]] std::optional<event::IpAddress> read_address(std::string_view text);
// As Stream::peer_address() writes it, with port 0.
[[nodiscard]] std::string peer_text(const event::IpAddress& address);

}  // namespace mqloop::websocket
