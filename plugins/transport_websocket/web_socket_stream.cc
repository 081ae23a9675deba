#include "plugins/transport_websocket/web_socket_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include <mqloop/log.h>

#include "core/base/utf8.h"

namespace mqloop::websocket {

namespace {

// Unread bytes that are thrown away before a close, so that it does not become a reset which would take from the peer
// what was written last.
constexpr std::size_t kMostDiscarded = 1 << 20;
// What the pair of local sockets is given at a time; it holds much more.
constexpr ssize_t kCarried = 4096;
// Calls of libwebsockets in one read(): the rest waits for the next turn.
constexpr int kReadsPerTurn = 32;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

void discard_unread(int fd) { recv(fd, nullptr, kMostDiscarded, MSG_TRUNC | MSG_DONTWAIT); }

}  // namespace

struct WebSocketStream::Opening {
  std::string request;  // as far as it has come
  Upgrade upgrade;
  FrameTracker tracker;
  int inner = -1;  // our end of the pair
  std::vector<std::uint8_t> unsent;
  bool answered = false;  // 101 has been sent
};

struct WebSocketStream::Spill {
  std::vector<std::uint8_t> bytes;
  std::size_t taken = 0;
};

WebSocketStream::WebSocketStream(AcceptedSocket socket, Ref<const UpgradePolicy> policy, LwsReactors& reactors)
    : peer_address_(std::move(socket.peer_address)),
      identity_(std::move(socket.identity)),
      policy_(std::move(policy)),
      reactors_(reactors),
      opening_(std::make_unique<Opening>()),
      fd_(socket.fd),
      loopback_(socket.peer_is_loopback) {}

WebSocketStream::~WebSocketStream() {
  if (owner_ != nullptr) event_del(&event_);
  owner_ = nullptr;
  // Nobody waits for the answer any more, but the client is to know that this is the end and no accident.
  if (!is_finishing_) finish_writing();
  if (opening_ != nullptr) {
    let_go_of_pair();
    discard_unread(fd_);
    ::close(fd_);
  } else if (lws_ != nullptr) {
    discard_unread(fd_);
    lws_reactor_->kill(std::exchange(lws_, nullptr));
  }
}

// ---- reactors ------------------------------------------------------------------------------------------------------

Status WebSocketStream::attach(ReactorApi& reactor, StreamOwner& owner) noexcept {
  if (owner_ != nullptr) return {StatusCode::kInternal, "the stream is attached to a reactor already"};
  ::event_base* base = reactor.event_base();
  if (base == nullptr) return {StatusCode::kInvalidArgument, "a simulated reactor cannot watch a socket"};
  lws_reactor_ = reactors_.of(reactor);
  if (!lws_reactor_) return {StatusCode::kResourceExhausted, "libwebsockets cannot make a context"};
  reactor_ = &reactor;
  owner_ = &owner;
  event_assign(&event_, base, fd_, EV_READ, on_event, this);
  if (phase_ == Phase::kOpening) {
    if (!make_lws()) return {StatusCode::kResourceExhausted, "libwebsockets cannot take the connection over"};
    give_lws(opening_->tracker.prefix());
  }
  watched_ = EV_READ;
  update_events();
  if (has_unread()) event_active(&event_, EV_READ, 1);
  return ok();
}

bool WebSocketStream::detach() noexcept {
  if (owner_ == nullptr) return true;
  if (opening_ == nullptr) return false;
  watched_ = 0;
  update_events();
  event_del(&event_);
  let_go_of_pair();
  owner_ = nullptr;
  reactor_ = nullptr;
  lws_reactor_ = nullptr;
  return true;
}

void WebSocketStream::settle() noexcept {
  if (phase_ != Phase::kOpening) return;
  wants_to_settle_ = is_blocked();
  if (wants_to_settle_) return;
  const int place = LwsReactor::descriptor(lws_);
  const std::uint8_t watched = std::exchange(watched_, 0);
  update_events();
  event_del(&event_);
  if (dup3(fd_, place, O_CLOEXEC) >= 0) {
    ::close(fd_);
    ::close(opening_->inner);
    fd_ = place;
    opening_ = nullptr;
    policy_ = nullptr;
    phase_ = Phase::kOpen;
  }
  watched_ = watched;
  update_events();
}

// ---- reading -------------------------------------------------------------------------------------------------------

IoResult WebSocketStream::read(std::span<std::uint8_t> into) noexcept {
  assert(!into.empty());
  if (spill_ != nullptr) return take_spilled(into);
  if (phase_ == Phase::kEnded) return end_;
  into_ = into;
  switch (phase_) {
    case Phase::kRequest:
      read_request();
      break;
    case Phase::kOpening:
      read_opening();
      break;
    default:
      read_open();
      break;
  }
  const std::size_t taken = into.size() - into_.size();
  into_ = {};
  update_events();
  if (taken == 0) return phase_ == Phase::kEnded ? end_ : IoResult{IoOutcome::kWouldBlock};
  // No descriptor will tell of the end any more.
  if (phase_ == Phase::kEnded && (watched_ & EV_READ) != 0) event_active(&event_, EV_READ, 1);
  return {IoOutcome::kDone, 0, taken};
}

IoResult WebSocketStream::take_spilled(std::span<std::uint8_t> into) noexcept {
  const std::size_t size = std::min(into.size(), spill_->bytes.size() - spill_->taken);
  std::memcpy(into.data(), spill_->bytes.data() + spill_->taken, size);
  spill_->taken += size;
  if (spill_->taken == spill_->bytes.size()) spill_ = nullptr;
  return {IoOutcome::kDone, 0, size};
}

void WebSocketStream::read_request() noexcept {
  std::array<char, kCarried> bytes;
  const ssize_t size = recv(fd_, bytes.data(), bytes.size(), 0);
  if (size == 0) return end({IoOutcome::kEnd});
  if (size < 0) {
    if (!would_block(errno)) end({IoOutcome::kError, errno});
    return;
  }
  std::string& request = opening_->request;
  request.append(bytes.data(), static_cast<std::size_t>(size));
  UpgradeResult result = read_upgrade(request, *policy_, peer_address_);
  if (result.kind == UpgradeResult::Kind::kNeedMore) return;
  if (result.kind == UpgradeResult::Kind::kRefused) return refuse(result.refusal);
  const std::string frames = request.substr(result.size);
  request = {};
  opening_->upgrade = std::move(result.upgrade);
  // Who comes by a proxy is not on this machine, even if the proxy is.
  if (opening_->upgrade.came_by_proxy) loopback_ = false;
  if (!opening_->upgrade.client.empty()) {
    source_address_ = std::exchange(peer_address_, std::move(opening_->upgrade.client));
  }
  phase_ = Phase::kOpening;
  if (!make_lws()) return end({IoOutcome::kError, ENOMEM});
  take_frames({reinterpret_cast<const std::uint8_t*>(frames.data()), frames.size()});
}

void WebSocketStream::refuse(const Refusal& refusal) noexcept {
  const std::string answer = refusal_answer(refusal);
  send(fd_, answer.data(), answer.size(), MSG_NOSIGNAL);
  shutdown(fd_, SHUT_WR);
  log("upgrade refused", refusal.reason);
  end({IoOutcome::kError, EPROTO});
}

void WebSocketStream::read_opening() noexcept {
  std::array<std::uint8_t, kCarried> bytes;
  const ssize_t size = recv(fd_, bytes.data(), bytes.size(), 0);
  if (size > 0) return take_frames(std::span(bytes).first(static_cast<std::size_t>(size)));
  if (size == 0) return end({IoOutcome::kEnd});
  if (!would_block(errno)) end({IoOutcome::kError, errno});
}

// A short read tells that nothing is left; after a long one there may be more.
void WebSocketStream::read_open() noexcept {
  for (int i = 0; i != kReadsPerTurn; ++i) {
    const std::size_t room = into_.size();
    lws_reactor_->readable(lws_);
    if (lws_ == nullptr) return;
    if (room - into_.size() < LwsReactor::kReadSize / 2 || into_.size() < 2 * LwsReactor::kReadSize) break;
  }
  // Whether it has an answer to give, such as a pong, it does not tell.
  if (!is_blocked()) lws_reactor_->writable(lws_);
}

CloseCode WebSocketStream::on_payload(std::span<const std::uint8_t> payload, bool is_binary) noexcept {
  if (!is_binary) {  // [MQTT-6.0.0-1]
    log("closed", "binary frames only");
    end({IoOutcome::kError, EPROTO});
    return CloseCode::kUnsupportedData;
  }
  const std::size_t size = std::min(payload.size(), into_.size());
  std::copy_n(payload.begin(), size, into_.begin());
  into_ = into_.subspan(size);
  if (size == payload.size()) return CloseCode::kNone;
  if (spill_ == nullptr) spill_ = std::make_unique<Spill>();
  spill_->bytes.insert(spill_->bytes.end(), payload.begin() + static_cast<std::ptrdiff_t>(size), payload.end());
  return CloseCode::kNone;
}

// Codes below 5000 libwebsockets judges itself.
CloseCode WebSocketStream::on_close_frame(std::span<const std::uint8_t> payload) noexcept {
  if (payload.empty()) return CloseCode::kNone;
  CloseCode code = CloseCode::kNone;
  if (payload.size() == 1 || (payload[0] << 8 | payload[1]) >= 5000) {
    code = CloseCode::kProtocolError;
  } else {
    std::string reason(payload.begin() + 2, payload.end());
    std::replace(reason.begin(), reason.end(), '\0', ' ');
    if (!is_utf8_without_nul(reason)) code = CloseCode::kInvalidPayload;
  }
  if (code != CloseCode::kNone) end({IoOutcome::kError, EPROTO});
  return code;
}

void WebSocketStream::on_leaving() noexcept {
  if (lws_ != nullptr && !is_finishing_) end({IoOutcome::kEnd});
}

void WebSocketStream::on_gone() noexcept {
  if (lws_ == nullptr) return;
  lws_ = nullptr;
  if (opening_ == nullptr) {
    event_del(&event_);
    armed_ = 0;
  }
  end({IoOutcome::kEnd});
}

void WebSocketStream::end(IoResult result) noexcept {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  end_ = result;
}

void WebSocketStream::log(std::string_view event, std::string_view reason) const noexcept {
  reactor_->log().write(LogLevel::kDebug, "websocket", event, {{"from", peer_address_}, {"reason", reason}});
}

// ---- while it opens ------------------------------------------------------------------------------------------------

// Brings a connection of libwebsockets on this reactor to the point after the upgrade. The answer is the client's once.
bool WebSocketStream::make_lws() noexcept {
  std::array<int, 2> pair;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  opening_->inner = pair[0];
  established_ = false;
  lws_ = lws_reactor_->adopt(pair[1], *this);
  if (lws_ == nullptr) return false;
  const std::string request = plain_request(opening_->upgrade.key, opening_->upgrade.subprotocol);
  give_lws({reinterpret_cast<const std::uint8_t*>(request.data()), request.size()});
  if (!established_) return false;
  carry_out(std::exchange(opening_->answered, true) ? Outgoing::kDrop : Outgoing::kSend);
  return lws_ != nullptr;
}

void WebSocketStream::let_go_of_pair() noexcept {
  if (lws_ != nullptr) lws_reactor_->kill(std::exchange(lws_, nullptr));
  if (opening_->inner >= 0) ::close(std::exchange(opening_->inner, -1));
}

void WebSocketStream::take_frames(std::span<const std::uint8_t> bytes) noexcept {
  const FrameTracker::Step step = opening_->tracker.take(bytes);
  give_lws(bytes.first(step.good));
  if (step.code != CloseCode::kNone && phase_ == Phase::kOpening) {
    log("closed", step.reason);
    end({IoOutcome::kError, EPROTO});
    close_by_lws(step.code, step.reason);
    return;
  }
  if (lws_ != nullptr) lws_reactor_->writable(lws_);
  carry_out(Outgoing::kSend);
}

void WebSocketStream::give_lws(std::span<const std::uint8_t> bytes) noexcept {
  while (!bytes.empty() && lws_ != nullptr) {
    const std::span part = bytes.first(std::min<std::size_t>(bytes.size(), kCarried));
    if (::write(opening_->inner, part.data(), part.size()) != static_cast<ssize_t>(part.size())) {
      return end({IoOutcome::kError, EIO});
    }
    for (std::size_t read = 0; read < part.size() && lws_ != nullptr; read += LwsReactor::kReadSize) {
      lws_reactor_->readable(lws_);
    }
    bytes = bytes.subspan(part.size());
  }
}

// What libwebsockets has written goes to the client.
void WebSocketStream::carry_out(Outgoing what) noexcept {
  std::array<std::uint8_t, kCarried> bytes;
  for (bool flushed = false;;) {
    const ssize_t size = recv(opening_->inner, bytes.data(), bytes.size(), 0);
    if (size > 0) {
      flushed = false;
      if (what == Outgoing::kSend) {
        opening_->unsent.insert(opening_->unsent.end(), bytes.begin(), bytes.begin() + size);
      }
      if (size == kCarried) continue;
    }
    if (flushed || lws_ == nullptr || !LwsReactor::is_blocked(lws_)) break;
    lws_reactor_->writable(lws_);
    flushed = true;
  }
  send_unsent();
}

void WebSocketStream::send_unsent() noexcept {
  std::vector<std::uint8_t>& unsent = opening_->unsent;
  if (unsent.empty()) return;
  const ssize_t size = send(fd_, unsent.data(), unsent.size(), MSG_NOSIGNAL);
  if (size >= 0) {
    unsent.erase(unsent.begin(), unsent.begin() + size);
  } else if (!would_block(errno)) {
    unsent.clear();
    end({IoOutcome::kError, errno});
  }
}

// ---- writing -------------------------------------------------------------------------------------------------------

bool WebSocketStream::is_blocked() const noexcept {
  return (lws_ != nullptr && LwsReactor::is_blocked(lws_)) || (opening_ != nullptr && !opening_->unsent.empty());
}

IoResult WebSocketStream::write(std::span<const iovec> parts) noexcept {
  assert(!parts.empty());
  if (lws_ == nullptr || phase_ == Phase::kEnded) return {IoOutcome::kError, EPIPE};
  if (is_blocked()) return {IoOutcome::kWouldBlock};
  const std::span<std::uint8_t> frame = lws_reactor_->frame();
  std::size_t done = holds_back_ ? 1 : 0;
  std::size_t skipped = done;
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
  holds_back_ = false;
  if (size == 0) return {IoOutcome::kDone, 0, done};
  if (!lws_reactor_->send_frame(lws_, size)) {
    end({IoOutcome::kError, EPIPE});
    return end_;
  }
  if (opening_ != nullptr) carry_out(Outgoing::kSend);
  done += size;
  if (!is_blocked()) return {IoOutcome::kDone, 0, done};
  holds_back_ = true;
  update_events();
  if (--done == 0) return {IoOutcome::kWouldBlock};
  return {IoOutcome::kDone, 0, done};
}

void WebSocketStream::finish_writing() noexcept {
  if (phase_ == Phase::kRequest) shutdown(fd_, SHUT_WR);
  if (lws_ == nullptr || phase_ == Phase::kEnded) return;
  is_finishing_ = true;
  close_by_lws(CloseCode::kNormal, {});
}

void WebSocketStream::close_by_lws(CloseCode code, std::string_view reason) noexcept {
  lws_reactor_->close(lws_, code, reason);
  if (lws_ != nullptr) lws_reactor_->writable(lws_);
  if (opening_ != nullptr) carry_out(Outgoing::kSend);
}

// ---- events --------------------------------------------------------------------------------------------------------

void WebSocketStream::watch_readable(bool on) noexcept {
  watched_ = static_cast<std::uint8_t>(on ? watched_ | EV_READ : watched_ & ~EV_READ);
  update_events();
  if (on && owner_ != nullptr && has_unread()) event_active(&event_, EV_READ, 1);
}

void WebSocketStream::watch_writable(bool on) noexcept {
  watched_ = static_cast<std::uint8_t>(on ? watched_ | EV_WRITE : watched_ & ~EV_WRITE);
  update_events();
}

// One event for both directions. What libwebsockets could not send is waited for, whether the owner does or not.
void WebSocketStream::update_events() noexcept {
  const bool is_over = owner_ == nullptr || (opening_ == nullptr && lws_ == nullptr);
  int wanted = is_over ? 0 : watched_ | (is_blocked() ? EV_WRITE : 0);
  if (phase_ == Phase::kEnded) wanted &= ~EV_READ;
  if (wanted == armed_) return;
  if (armed_ != 0) event_del(&event_);
  armed_ = static_cast<std::uint8_t>(wanted);
  if (wanted == 0) return;
  event_assign(&event_, reactor_->event_base(), fd_, static_cast<short>(wanted | EV_PERSIST), on_event, this);
  if (event_add(&event_, nullptr) != 0) armed_ = 0;
}

// The owner may destroy or detach the stream, so nothing is touched after it was told. When both directions are ready,
// the second is put at the end of what libevent has to do now; event_del() takes it back from there.
void WebSocketStream::on_event(int /*fd*/, short what, void* self) {
  auto* stream = static_cast<WebSocketStream*>(self);
  if ((what & EV_WRITE) == 0) return stream->owner_->on_readable();
  if ((what & EV_READ) != 0) event_active(&stream->event_, EV_READ, 1);
  stream->flush();
}

// libwebsockets sends what is left of a frame, and only when that is gone what else it has to say, such as a pong.
void WebSocketStream::flush() noexcept {
  if (opening_ != nullptr) {
    send_unsent();
    if (opening_->inner >= 0) carry_out(Outgoing::kSend);
    if (wants_to_settle_) settle();
  } else {
    for (int i = 0; i != 2 && lws_ != nullptr && (i == 0 || !is_blocked()); ++i) lws_reactor_->writable(lws_);
  }
  update_events();
  const bool is_over = phase_ == Phase::kEnded && (watched_ & EV_READ) != 0;
  if (is_over) event_active(&event_, EV_READ, 1);
  if ((watched_ & EV_WRITE) != 0 && !is_blocked()) owner_->on_writable();
}

}  // namespace mqloop::websocket
