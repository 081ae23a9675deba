#include "core/event/socket_stream.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <utility>

namespace mqloop::event {

namespace {

constexpr std::size_t kMostDiscarded = 1 << 20;

IoResult failed(int error) noexcept {
  if (error == EAGAIN || error == EWOULDBLOCK) return {IoOutcome::kWouldBlock};
  return {IoOutcome::kError, error};
}

}  // namespace

SocketStream::SocketStream(AcceptedSocket socket) noexcept
    : peer_address_(std::move(socket.peer_address)),
      identity_(std::move(socket.identity)),
      fd_(socket.fd),
      loopback_(socket.peer_is_loopback),
      tcp_(socket.is_tcp) {}

SocketStream::~SocketStream() {
  SocketStream::detach();
  if (fd_ < 0) return;
  discard_unread();
  close(fd_);
}

Status SocketStream::attach(ReactorApi& reactor, StreamOwner& owner) noexcept {
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

bool SocketStream::detach() noexcept {
  watch(0);
  owner_ = nullptr;
  return true;
}

IoResult SocketStream::read(std::span<std::uint8_t> into) noexcept {
  assert(!into.empty());
  for (;;) {
    const ssize_t size = recv(fd_, into.data(), into.size(), 0);
    if (size > 0) return {IoOutcome::kDone, 0, static_cast<std::size_t>(size)};
    if (size == 0) {
      at_end_ = true;
      return {IoOutcome::kEnd};
    }
    if (errno != EINTR) return failed(errno);
  }
}

IoResult SocketStream::write(std::span<const iovec> parts) noexcept {
  assert(!parts.empty());
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = std::min<std::size_t>(parts.size(), IOV_MAX);
  for (;;) {
    const ssize_t size = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (size >= 0) return {IoOutcome::kDone, 0, static_cast<std::size_t>(size)};
    if (errno != EINTR) return failed(errno);
  }
}

void SocketStream::finish_writing() noexcept { shutdown(fd_, SHUT_WR); }

void SocketStream::set_descriptor(int fd) noexcept {
  watch(0);
  fd_ = fd;
}

void SocketStream::discard_unread() noexcept {
  if (tcp_ && !at_end_) recv(fd_, nullptr, kMostDiscarded, MSG_TRUNC | MSG_DONTWAIT);
}

// One event for both directions: other interests mean that it is taken out, set anew and put in again.
bool SocketStream::watch(int wanted) noexcept {
  if (owner_ == nullptr || wanted == watched_) return true;
  if (watched_ != 0) event_del(&event_);
  watched_ = 0;
  if (wanted == 0 || fd_ < 0) return true;
  event_assign(&event_, base_, fd_, static_cast<short>(wanted | EV_PERSIST), on_event, this);
  if (event_add(&event_, nullptr) != 0) return false;
  watched_ = static_cast<std::uint8_t>(wanted);
  return true;
}

// The owner may destroy or detach the stream, so nothing is touched after it was told. When both directions are ready,
// the second is put at the end of what libevent has to do now; event_del() takes it back from there.
void SocketStream::on_event(int /*fd*/, short what, void* self) {
  auto* stream = static_cast<SocketStream*>(self);
  StreamOwner* owner = stream->owner_;
  if ((what & EV_WRITE) == 0) return owner->on_readable();
  if ((what & EV_READ) != 0) event_active(&stream->event_, EV_READ, 1);
  owner->on_writable();
}

}  // namespace mqloop::event
