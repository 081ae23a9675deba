// The Stream over a socket: one libevent event, and nothing that an idle connection does not need.
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <utility>

#include <mqloop/socket.h>

namespace mqloop {

namespace {

// Unread bytes that are thrown away before a close, so that it does not become a reset which would take from the peer
// what was written last.
constexpr std::size_t kMostDiscarded = 1 << 20;

class SocketStream final : public Stream {
 public:
  explicit SocketStream(AcceptedSocket socket) noexcept
      : peer_address_(std::move(socket.peer_address)),
        identity_(std::move(socket.identity)),
        fd_(socket.fd),
        loopback_(socket.peer_is_loopback),
        tcp_(socket.is_tcp) {}
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;

  ~SocketStream() override {
    detach();
    if (tcp_ && !at_end_) recv(fd_, nullptr, kMostDiscarded, MSG_TRUNC | MSG_DONTWAIT);
    close(fd_);
  }

  Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept override {
    if (owner_ != nullptr) return {StatusCode::kInternal, "the stream is attached to a reactor already"};
    ::event_base* base = reactor.event_base();
    if (base == nullptr) return {StatusCode::kInvalidArgument, "a simulated reactor cannot watch a socket"};
    base_ = base;
    owner_ = &owner;
    watched_ = 0;
    if (watch(EV_READ)) return ok();
    owner_ = nullptr;
    return {StatusCode::kResourceExhausted, "libevent cannot watch the socket"};
  }

  bool detach() noexcept override {
    if (owner_ == nullptr) return true;
    watch(0);
    owner_ = nullptr;
    return true;
  }

  IoResult read(std::span<std::uint8_t> into) noexcept override {
    assert(!into.empty());
    for (;;) {
      const ssize_t size = recv(fd_, into.data(), into.size(), 0);
      if (size > 0) return {IoOutcome::kDone, 0, static_cast<std::size_t>(size)};
      if (size == 0) {
        at_end_ = true;
        return {IoOutcome::kEnd};
      }
      if (errno != EINTR) return failure(errno);
    }
  }

  IoResult write(std::span<const iovec> parts) noexcept override {
    assert(!parts.empty());
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = std::min<std::size_t>(parts.size(), IOV_MAX);
    for (;;) {
      const ssize_t size = sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (size >= 0) return {IoOutcome::kDone, 0, static_cast<std::size_t>(size)};
      if (errno != EINTR) return failure(errno);
    }
  }

  void watch_readable(bool on) noexcept override { watch(on ? watched_ | EV_READ : watched_ & ~EV_READ); }
  void watch_writable(bool on) noexcept override { watch(on ? watched_ | EV_WRITE : watched_ & ~EV_WRITE); }
  void finish_writing() noexcept override { shutdown(fd_, SHUT_WR); }
  std::string_view peer_address() const noexcept override { return peer_address_; }
  bool peer_is_loopback() const noexcept override { return loopback_; }
  const PeerIdentity* peer_identity() const noexcept override { return identity_.get(); }

 private:
  static IoResult failure(int error) noexcept {
    if (error == EAGAIN || error == EWOULDBLOCK) return {IoOutcome::kWouldBlock};
    return {IoOutcome::kError, error};
  }

  // One event for both directions: other interests mean that it is taken out, set anew and put in again.
  bool watch(int wanted) noexcept {
    if (owner_ == nullptr || wanted == watched_) return true;
    if (watched_ != 0) event_del(&event_);
    watched_ = static_cast<std::uint8_t>(wanted);
    if (wanted == 0) return true;
    event_assign(&event_, base_, fd_, static_cast<short>(wanted | EV_PERSIST), on_event, this);
    if (event_add(&event_, nullptr) == 0) return true;
    watched_ = 0;
    return false;
  }

  // The owner may destroy or detach the stream, so nothing is touched after it was told. When both directions are
  // ready, the second is put at the end of what libevent has to do now; event_del() takes it back from there.
  static void on_event(int /*fd*/, short what, void* self) {
    auto* stream = static_cast<SocketStream*>(self);
    StreamOwner* owner = stream->owner_;
    if ((what & EV_WRITE) == 0) {
      owner->on_readable();
      return;
    }
    if ((what & EV_READ) != 0) event_active(&stream->event_, EV_READ, 1);
    owner->on_writable();
  }

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

}  // namespace

std::unique_ptr<Stream> make_socket_stream(AcceptedSocket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
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
