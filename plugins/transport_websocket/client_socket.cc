#include "plugins/transport_websocket/client_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace mqloop::websocket {

void ClientSocket::hold_for_the_end() noexcept {
  const int on = 1;
  setsockopt(descriptor(), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

}  // namespace mqloop::websocket
