#include "plugins/transport_websocket/frame_sender.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace mqloop::websocket {

FrameSender::~FrameSender() {
  if (socket_ != nullptr && lws_ != nullptr) {
    socket_->detach();
    socket_->discard_unread();
  }
  end();
}

void FrameSender::end() noexcept {
  if (lws_ != nullptr) {
    if (socket_ != nullptr) socket_->closed();
    reactor_->kill(std::exchange(lws_, nullptr));
  }
  if (inner_ >= 0) ::close(std::exchange(inner_, -1));
  unsent_.clear();
}

bool FrameSender::open(Ref<LwsReactor> reactor, std::string_view request, Answer answer) noexcept {
  reactor_ = std::move(reactor);
  const bool is_answered = answer == Answer::kHasBeenSent;
  if (socket_ != nullptr && !is_answered) {
    socket_->lend();
    lws_ = reactor_->adopt(socket_->descriptor(), request, *this);
    if (lws_ == nullptr) socket_->closed();
    return lws_ != nullptr;
  }
  if (socket_ != nullptr) {
    lws_ = reactor_->adopt_answered(request, *this);
    if (lws_ == nullptr) return false;
    const int place = LwsReactor::descriptor(lws_);
    if (dup3(socket_->descriptor(), place, O_CLOEXEC) < 0) {
      reactor_->kill(std::exchange(lws_, nullptr));
      return false;
    }
    ::close(socket_->descriptor());
    socket_->become(place);
    socket_->lend();
    return true;
  }
  std::array<int, 2> pair;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  inner_ = pair[0];
  lws_ = reactor_->adopt(pair[1], request, *this);
  if (lws_ == nullptr) return false;
  carry_out(answer);
  return lws_ != nullptr;
}

bool FrameSender::leave() noexcept {
  if (lws_ == nullptr) return true;
  if (LwsReactor::is_blocked(lws_)) return false;
  if (socket_ != nullptr) {
    const int kept = fcntl(socket_->descriptor(), F_DUPFD_CLOEXEC, 0);
    if (kept < 0) return false;
    socket_->detach();
    end();
    socket_->become(kept);
  } else {
    std::vector<std::uint8_t> waiting = std::move(unsent_);
    end();
    unsent_ = std::move(waiting);
  }
  reactor_ = nullptr;
  return true;
}

void FrameSender::on_gone() noexcept {
  if (lws_ == nullptr) return;
  lws_ = nullptr;
  if (socket_ != nullptr) socket_->closed();
}

std::size_t FrameSender::put_together(std::span<const iovec> parts, std::size_t skipped) noexcept {
  const std::span<std::uint8_t> frame = reactor_->frame();
  std::size_t size = 0;
  for (const iovec& part : parts) {
    std::span bytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    const std::size_t skip = std::min(skipped, bytes.size());
    skipped -= skip;
    bytes = bytes.subspan(skip);
    bytes = bytes.first(std::min(bytes.size(), frame.size() - size));
    std::memcpy(frame.data() + size, bytes.data(), bytes.size());
    size += bytes.size();
    if (size == frame.size()) break;
  }
  return size;
}

bool FrameSender::send_message(std::size_t size) noexcept {
  if (!reactor_->send_frame(lws_, size)) {
    end();
    return false;
  }
  carry_out();
  return lws_ != nullptr;
}

bool FrameSender::send_pong(std::string_view payload) noexcept {
  if (!reactor_->send_pong(lws_, payload)) {
    end();
    return false;
  }
  carry_out();
  return lws_ != nullptr;
}

bool FrameSender::send_close(CloseCode code, std::string_view reason) noexcept {
  reactor_->send_close(lws_, code, reason);
  if (lws_ != nullptr) reactor_->writable(lws_);
  carry_out();
  return lws_ != nullptr;
}

void FrameSender::flush() noexcept {
  if (inner_ >= 0) {
    const std::vector<std::uint8_t> bytes = std::exchange(unsent_, {});
    give_below(bytes);
  } else if (lws_ != nullptr) {
    reactor_->writable(lws_);
  }
}

// What libwebsockets has written, until it has no more. The message that it was given is not needed any longer, so its
// place serves.
void FrameSender::carry_out(Answer answer) noexcept {
  while (inner_ >= 0) {
    const bool is_more = lws_ != nullptr && LwsReactor::is_blocked(lws_);
    const std::span<std::uint8_t> room = reactor_->frame();
    const ssize_t size = recv(inner_, room.data(), room.size(), 0);
    if (size > 0 && answer == Answer::kSend) give_below(room.first(static_cast<std::size_t>(size)));
    if (size == static_cast<ssize_t>(room.size())) continue;
    if (!is_more || lws_ == nullptr) return;
    reactor_->writable(lws_);
  }
}

void FrameSender::give_below(std::span<const std::uint8_t> bytes) noexcept {
  while (!bytes.empty() && unsent_.empty()) {
    const iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    const IoResult result = below_.write({&part, 1});
    if (result.outcome == IoOutcome::kWouldBlock) break;
    if (result.outcome != IoOutcome::kDone) return end();
    bytes = bytes.subspan(result.bytes);
  }
  unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
}

}  // namespace mqloop::websocket
