// Socket addresses as people read them, and who holds an address that cannot be had. No state, any thread; the look-up
// in /proc is for error messages at start, never for a running broker.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include <mqloop/status.h>

namespace mqloop::event {

struct PortOwner {
  std::optional<int> pid;  // absent when this process may not see whose the socket is
  std::string name;        // of the program, with pid
  std::uint32_t user_id = 0;
};

// Who listens on the TCP address `address` or on one that collides with it (the same port on all addresses), as
// /proc/net/tcp and /proc/net/tcp6 tell.
std::optional<PortOwner> find_port_owner(const sockaddr& address);

// What the failure `error` of bind() or listen() means and what a person may do about it.
Status listen_failure(int error, const sockaddr& address);

std::uint16_t port_of(const sockaddr& address) noexcept;
void set_port(sockaddr& address, std::uint16_t port) noexcept;
socklen_t length_of(const sockaddr& address) noexcept;

}  // namespace mqloop::event
