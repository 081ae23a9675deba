#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include <mqloop/socket.h>

#include "core/event/socket_stream.h"

namespace mqloop {

std::unique_ptr<Stream> make_socket_stream(AcceptedSocket socket) {
  return std::make_unique<event::SocketStream>(std::move(socket));
}

std::unique_ptr<Stream> make_socket_stream(int fd, const sockaddr& peer) {
  return make_socket_stream(
      AcceptedSocket{fd, peer.sa_family != AF_UNIX, address_is_loopback(peer), address_text(peer), nullptr});
}

std::unique_ptr<Stream> make_socket_stream(int fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) peer.ss_family = AF_UNSPEC;
  return make_socket_stream(fd, reinterpret_cast<const sockaddr&>(peer));
}

}  // namespace mqloop
