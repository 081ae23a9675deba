// The socket of a client, as a Stream, of which something else may have the descriptor too: libwebsockets writes to the
// socket itself and closes it in the end, while all that comes in, and every event, is this one's. Belongs to the
// connection; the reactor's thread only.
#pragma once

#include "core/event/socket_stream.h"

namespace mqloop::websocket {

class ClientSocket final : public event::SocketStream {
 public:
  using SocketStream::SocketStream;
  ~ClientSocket() override {
    if (is_lent_) set_descriptor(-1);
  }

  // -1 when it has been closed by whoever it was lent to.
  using SocketStream::descriptor;
  // Somebody else closes the descriptor from here on, and tells by closed().
  void lend() noexcept { is_lent_ = true; }
  void closed() noexcept { set_descriptor(-1); }
  // It is another descriptor now, and not lent; with none attached.
  void become(int fd) noexcept {
    set_descriptor(fd);
    is_lent_ = false;
  }
  // What is written from here on goes with the end.
  void hold_for_the_end() noexcept;
  using SocketStream::discard_unread;

 private:
  bool is_lent_ = false;
};

}  // namespace mqloop::websocket
