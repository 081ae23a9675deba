// What the tests of listeners share: who is told of connections, and the clients.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/transport.h>

#include "core/event/descriptor.h"

namespace mqloop::event::testing {

struct AcceptingSink final : StreamSink {
  void accepted(std::unique_ptr<Stream> stream) noexcept override { streams.push_back(std::move(stream)); }
  void refused(std::string_view peer_address, std::string_view reason) noexcept override {
    peers.emplace_back(peer_address);
    refusals.emplace_back(reason);
  }
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::string> peers;
  std::vector<std::string> refusals;
};

// The port that a listener on 127.0.0.1:0 got.
inline std::uint16_t port_in(const TransportListener& listener) {
  const std::string address(listener.address());
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

// A connected socket, or one without a descriptor.
inline Descriptor connect_to(const sockaddr& address, socklen_t size) {
  Descriptor fd(socket(address.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), &address, size) == 0 ? std::move(fd) : Descriptor();
}
inline Descriptor connect_tcp(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof address);
}
inline Descriptor connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof address);
}

inline bool send_text(const Descriptor& fd, std::string_view text) {
  return send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// What a stream has now.
inline std::string read_text(Stream& stream) {
  std::uint8_t bytes[256];
  const IoResult result = stream.read(bytes);
  return result.outcome == IoOutcome::kDone ? std::string(reinterpret_cast<char*>(bytes), result.bytes) : std::string();
}

}  // namespace mqloop::event::testing
