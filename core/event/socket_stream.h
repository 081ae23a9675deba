// The Stream over a connected socket: one libevent event for both directions, and nothing that an idle connection does
// not need. make_socket_stream() of <mqloop/socket.h> makes it; a plugin whose Stream has to know the descriptor
// derives from it, and is linked with socket_stream.cc.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cstdint>
#include <memory>
#include <string>

#include <mqloop/socket.h>
#include <mqloop/transport.h>

namespace mqloop::event {

class SocketStream : public Stream {
 public:
  explicit SocketStream(AcceptedSocket socket) noexcept;
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;
  ~SocketStream() override;

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

 protected:
  // -1: there is none any more, and nothing is watched.
  [[nodiscard]] int descriptor() const noexcept { return fd_; }
  // Another descriptor of the same connection, or -1; the one before is not closed. Nothing is watched then.
  void set_descriptor(int fd) noexcept;
  // Throws away what has come and was not read, so that a close does not become a reset which would take from the peer
  // what was written last.
  void discard_unread() noexcept;

 private:
  bool watch(int wanted) noexcept;
  static void on_event(int fd, short what, void* self);

  StreamOwner* owner_ = nullptr;  // null while detached
  ::event_base* base_ = nullptr;
  std::string peer_address_;
  std::unique_ptr<const PeerIdentity> identity_;  // null: there is no more than the address
  ::event event_;
  int fd_;
  std::uint8_t watched_ = 0;  // EV_READ, EV_WRITE
  bool loopback_;
  bool tcp_;
  bool at_end_ = false;
};
static_assert(sizeof(SocketStream) <= 256, "memory of an idle connection");

}  // namespace mqloop::event
