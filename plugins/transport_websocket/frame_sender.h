// What a server of WebSocket sends: the answer to the upgrade, messages, pongs and the close frame. libwebsockets makes
// them and sends them, and keeps what the system does not take at once. Belongs to its connection, above the Stream
// that the bytes go to; the reactor's thread only.
//
//   over a ClientSocket     libwebsockets has the descriptor itself
//   over any other Stream   it has one end of a pair of local sockets, and what comes out at the other end is given to
//   (TLS)                   the Stream; nothing stays in the pair when a call returns, and nothing goes in the other
//   way
//
// libwebsockets cannot hand a connection over to another reactor; but as nothing of what the client sends is known to
// it, another one there is as good, once it stands behind the upgrade.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <mqloop/transport.h>

#include "plugins/transport_websocket/client_socket.h"
#include "plugins/transport_websocket/lws_reactor.h"

namespace mqloop::websocket {

class FrameSender final : private LwsOwner {
 public:
  // `socket` is `below` where that is a ClientSocket, else null.
  FrameSender(Stream& below, ClientSocket* socket) noexcept : below_(below), socket_(socket) {}
  // Closes the socket, where libwebsockets has it.
  ~FrameSender();
  FrameSender(const FrameSender&) = delete;
  FrameSender& operator=(const FrameSender&) = delete;

  // Answers `request` (a plain_request()), or, after leave(), does as if. Not attached to a reactor, a ClientSocket may
  // get another descriptor by it. False: out of memory or descriptors.
  enum class Answer : bool { kSend, kHasBeenSent };
  [[nodiscard]] bool open(Ref<LwsReactor> reactor, std::string_view request, Answer answer) noexcept;
  // Lets go of this reactor. False when it cannot: something that was sent waits, or descriptors have run out.
  [[nodiscard]] bool leave() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return lws_ != nullptr; }
  // Some of what was sent waits for flush(), and nothing more may be sent: the stream below is to be watched.
  [[nodiscard]] bool is_blocked() const noexcept {
    return !unsent_.empty() || (lws_ != nullptr && LwsReactor::is_blocked(lws_));
  }
  // The stream below can be written.
  void flush() noexcept;

  // Puts a message together of what stands in `parts` behind `skipped` bytes, as much of it as goes into one; its size.
  [[nodiscard]] std::size_t put_together(std::span<const iovec> parts, std::size_t skipped) noexcept;
  // Sends it. False, here and below: the connection is broken, and is_open() no more.
  [[nodiscard]] bool send_message(std::size_t size) noexcept;
  [[nodiscard]] bool send_pong(std::string_view payload) noexcept;
  // What is sent from here on may go with the end of the stream, which comes at once: one packet in place of two.
  void end_follows() noexcept {
    if (socket_ != nullptr) socket_->hold_for_the_end();
  }
  // The last that is sent.
  [[nodiscard]] bool send_close(CloseCode code, std::string_view reason) noexcept;

 private:
  void on_gone() noexcept override;
  void carry_out(Answer answer = Answer::kSend) noexcept;
  void give_below(std::span<const std::uint8_t> bytes) noexcept;
  void end() noexcept;

  Stream& below_;
  ClientSocket* socket_;
  Ref<LwsReactor> reactor_;
  lws* lws_ = nullptr;
  int inner_ = -1;  // our end of the pair
  std::vector<std::uint8_t> unsent_;
};

}  // namespace mqloop::websocket
