// The socket of a client, as a Stream, of which something else may have the descriptor too: libwebsockets writes to the
// socket itself and closes it in the end, while all that comes in, and every event, is this one's. Belongs to the
// connection; the reactor's thread only.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cstdint>
#include <memory>
#include <string>

#include <mqloop/socket.h>
#include <mqloop/transport.h>

namespace mqloop::websocket {

class ClientSocket final : public Stream {
 public:
  explicit ClientSocket(AcceptedSocket socket) noexcept;
  ~ClientSocket() override;
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept override;
  bool detach() noexcept override;
  IoResult read(std::span<std::uint8_t> into) noexcept override;
  IoResult write(std::span<const iovec> parts) noexcept override;
  void watch_readable(bool on) noexcept override { watch(on ? watched_ | EV_READ : watched_ & ~EV_READ); }
  void watch_writable(bool on) noexcept override { watch(on ? watched_ | EV_WRITE : watched_ & ~EV_WRITE); }
  void finish_writing() noexcept override;
  [[nodiscard]] std::string_view peer_address() const noexcept override { return peer_address_; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return loopback_; }
  [[nodiscard]] const PeerIdentity* peer_identity() const noexcept override { return identity_.get(); }

  // -1 when it has been closed by whoever it was lent to.
  [[nodiscard]] int descriptor() const noexcept { return fd_; }
  // Somebody else closes the descriptor from here on, and tells by closed().
  void lend() noexcept { is_lent_ = true; }
  void closed() noexcept;
  // It is another descriptor now, and not lent; with none attached.
  void become(int fd) noexcept;
  // What is written from here on goes with the end.
  void hold_for_the_end() noexcept;
  // Throws away what has come and was not read, so that a close does not become a reset which would take from the peer
  // what was written last.
  void discard_unread() noexcept;

 private:
  bool watch(int wanted) noexcept;
  static void on_event(int fd, short what, void* self);

  StreamOwner* owner_ = nullptr;  // null while detached
  ::event_base* base_ = nullptr;
  std::string peer_address_;
  std::unique_ptr<const PeerIdentity> identity_;
  ::event event_;
  int fd_;
  std::uint8_t watched_ = 0;  // EV_READ, EV_WRITE
  bool loopback_;
  bool is_lent_ = false;
  bool at_end_ = false;
};

}  // namespace mqloop::websocket
