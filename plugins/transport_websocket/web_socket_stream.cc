#include "plugins/transport_websocket/web_socket_stream.h"

#include <event2/event.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace mqloop::websocket {

namespace {

// Of the stream below in one read(), as long as they bring no payload: the rest waits for the next turn.
constexpr int kReadsPerTurn = 16;

}  // namespace

struct WebSocketStream::Opening {
  std::string request;  // the client's, as far as it has come; then the plain one
  std::string early;    // frames that came with the end of the request, and have not been read
};

WebSocketStream::WebSocketStream(AcceptedSocket socket, Ref<const UpgradePolicy> policy, LwsReactors& reactors)
    : WebSocketStream(std::make_unique<ClientSocket>(std::move(socket)), true, std::move(policy), reactors) {}

WebSocketStream::WebSocketStream(std::unique_ptr<Stream> below, Ref<const UpgradePolicy> policy, LwsReactors& reactors)
    : WebSocketStream(std::move(below), false, std::move(policy), reactors) {}

WebSocketStream::WebSocketStream(std::unique_ptr<Stream> below, bool is_socket, Ref<const UpgradePolicy> policy,
                                 LwsReactors& reactors)
    : below_(std::move(below)),
      sender_(*below_, is_socket ? static_cast<ClientSocket*>(below_.get()) : nullptr),
      reactors_(reactors),
      policy_(std::move(policy)),
      opening_(std::make_unique<Opening>()),
      is_socket_(is_socket) {}

WebSocketStream::~WebSocketStream() {
  forget_to_wake();
  // Nobody waits for the answer any more, but the client is to know that this is the end and no accident.
  if (!is_finishing_ && sender_.is_open() && phase_ == Phase::kFrames) {
    sender_.end_follows();
    close(CloseCode::kNormal, {});
  }
  if (owner_ == nullptr) return;
  if (!is_socket_) finish_below();
  below_->detach();
}

// ---- reactors ------------------------------------------------------------------------------------------------------

Status WebSocketStream::attach(ReactorApi& reactor, StreamOwner& owner) noexcept {
  if (owner_ != nullptr) return {StatusCode::kInternal, "the stream is attached to a reactor already"};
  if (reactor.event_base() == nullptr) {
    return {StatusCode::kInvalidArgument, "a simulated reactor has no descriptors for libwebsockets"};
  }
  if (phase_ == Phase::kFrames) {
    Ref<LwsReactor> lws_reactor = reactors_.of(reactor);
    if (!lws_reactor || !sender_.open(std::move(lws_reactor), opening_->request, FrameSender::Answer::kHasBeenSent)) {
      return {StatusCode::kResourceExhausted, "libwebsockets cannot take the connection over"};
    }
  }
  reactor_ = &reactor;
  owner_ = &owner;
  if (Status status = below_->attach(reactor, *this); !status.ok()) {
    owner_ = nullptr;
    return status;
  }
  wants_to_read_ = true;
  update_watching();
  if (has_unread()) wake();
  return ok();
}

bool WebSocketStream::detach() noexcept {
  if (owner_ == nullptr) return true;
  if (is_settled_ || waiting_ != nullptr || (!is_socket_ && !below_->detach()) || !sender_.leave()) return false;
  forget_to_wake();
  wants_to_read_ = wants_to_write_ = false;
  owner_ = nullptr;
  reactor_ = nullptr;
  return below_->detach();
}

void WebSocketStream::settle() noexcept {
  is_settled_ = true;
  policy_ = nullptr;
  if (opening_ != nullptr && opening_->early.empty()) opening_ = nullptr;
  below_->settle();
}

// ---- reading -------------------------------------------------------------------------------------------------------

bool WebSocketStream::has_unread() const noexcept {
  return phase_ == Phase::kEnded || (opening_ != nullptr && !opening_->early.empty()) || below_->has_unread();
}

IoResult WebSocketStream::read(std::span<std::uint8_t> into) noexcept {
  assert(!into.empty());
  std::size_t taken = 0;
  bool is_more = true;
  for (int i = 0; i != kReadsPerTurn && is_more && taken == 0 && phase_ != Phase::kEnded; ++i) {
    if (phase_ == Phase::kRequest) {
      read_request();
      is_more = has_unread();
    } else {
      taken = read_frames(into, is_more);
    }
  }
  update_watching();
  if (taken != 0) return {IoOutcome::kDone, 0, taken};
  if (phase_ == Phase::kEnded) return end_;
  if (is_more) wake();
  return {IoOutcome::kWouldBlock};
}

void WebSocketStream::read_request() noexcept {
  std::array<std::uint8_t, 4096> bytes;
  const IoResult got = below_->read(bytes);
  if (got.outcome == IoOutcome::kWouldBlock) return;
  if (got.outcome != IoOutcome::kDone) return end(got);
  std::string& request = opening_->request;
  request.append(reinterpret_cast<const char*>(bytes.data()), got.bytes);
  UpgradeResult result = read_upgrade(request, *policy_, below_->peer_address());
  if (result.kind == UpgradeResult::Kind::kNeedMore) return;
  if (result.kind == UpgradeResult::Kind::kRefused) return refuse(result.refusal);
  if (!accept(result)) end({IoOutcome::kError, ENOMEM});
}

bool WebSocketStream::accept(UpgradeResult& result) noexcept {
  opening_->early = opening_->request.substr(result.size);
  opening_->request = plain_request(result.upgrade.key, result.upgrade.subprotocol);
  // Who comes by a proxy is not on this machine, even if the proxy is.
  came_by_proxy_ = result.upgrade.came_by_proxy;
  if (!result.upgrade.client.empty()) {
    told_address_ = std::make_unique<const std::string>(std::move(result.upgrade.client));
  }
  phase_ = Phase::kFrames;
  Ref<LwsReactor> lws_reactor = reactors_.of(*reactor_);
  return lws_reactor && sender_.open(std::move(lws_reactor), opening_->request, FrameSender::Answer::kSend);
}

void WebSocketStream::refuse(const Refusal& refusal) noexcept {
  std::string answer = refusal_answer(refusal);
  const iovec part{answer.data(), answer.size()};
  (void)below_->write({&part, 1});
  below_->finish_writing();
  fail("WebSocket: upgrade refused: " + std::string(refusal.reason));
}

// The size of the payload. A short read of a socket tells that nothing is left.
std::size_t WebSocketStream::read_frames(std::span<std::uint8_t> into, bool& is_more) noexcept {
  std::size_t size = 0;
  if (opening_ != nullptr && !opening_->early.empty()) {
    std::string& early = opening_->early;
    size = std::min(into.size(), early.size());
    std::copy_n(early.begin(), size, into.begin());
    early.erase(0, size);
    if (is_settled_ && early.empty()) opening_ = nullptr;
    is_more = true;
  } else {
    const IoResult got = below_->read(into);
    if (got.outcome != IoOutcome::kDone) {
      is_more = false;
      if (got.outcome != IoOutcome::kWouldBlock) end(got);
      return 0;
    }
    size = got.bytes;
    is_more = size == into.size() || below_->has_unread();
  }
  return take_frames(into.first(size));
}

std::size_t WebSocketStream::take_frames(std::span<std::uint8_t> bytes) noexcept {
  FrameReader::Result result = reader_.take(bytes);
  if (result.ping && !is_finishing_) {
    if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
    waiting_->pong = std::move(result.ping);
    send_waiting();
  }
  if (result.close != CloseCode::kNone) {
    if (result.is_violation) fail("WebSocket: " + result.reason);
    end({IoOutcome::kEnd});
    close(result.close, std::move(result.reason));
  }
  return result.payload;
}

void WebSocketStream::end(IoResult result) noexcept {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  end_ = result;
}

void WebSocketStream::fail(std::string why) noexcept {
  failure_ = std::make_unique<const std::string>(std::move(why));
  end({IoOutcome::kError, EPROTO});
}

std::string_view WebSocketStream::failure() const noexcept {
  return failure_ == nullptr ? below_->failure() : std::string_view(*failure_);
}

// ---- writing -------------------------------------------------------------------------------------------------------

IoResult WebSocketStream::write(std::span<const iovec> parts) noexcept {
  assert(!parts.empty());
  if (!sender_.is_open() || is_finishing_) return {IoOutcome::kError, EPIPE};
  if (sender_.is_blocked()) return {IoOutcome::kWouldBlock};
  std::size_t done = holds_back_ ? 1 : 0;
  const std::size_t size = sender_.put_together(parts, done);
  holds_back_ = false;
  if (size == 0) return {IoOutcome::kDone, 0, done};
  if (!sender_.send_message(size)) {
    end({IoOutcome::kError, EPIPE});
    return {IoOutcome::kError, EPIPE};
  }
  done += size;
  if (!sender_.is_blocked()) return {IoOutcome::kDone, 0, done};
  holds_back_ = true;
  update_watching();
  if (--done == 0) return {IoOutcome::kWouldBlock};
  return {IoOutcome::kDone, 0, done};
}

void WebSocketStream::finish_writing() noexcept {
  if (phase_ == Phase::kRequest) return below_->finish_writing();
  sender_.end_follows();
  close(CloseCode::kNormal, {});
  finishes_below_ = true;
  finish_below();
  update_watching();
}

// Once all has gone that was to be sent.
void WebSocketStream::finish_below() noexcept {
  if (waiting_ != nullptr || sender_.is_blocked()) return;
  finishes_below_ = false;
  below_->finish_writing();
}

// One close frame is sent, and nothing behind it.
void WebSocketStream::close(CloseCode code, std::string reason) noexcept {
  if (std::exchange(is_finishing_, true)) return;
  if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
  waiting_->close = code;
  waiting_->reason = std::move(reason);
  send_waiting();
}

void WebSocketStream::send_waiting() noexcept {
  if (waiting_ == nullptr || !sender_.is_open() || sender_.is_blocked()) return;
  if (const std::optional<std::string> pong = std::exchange(waiting_->pong, {}); pong) {
    if (!sender_.send_pong(*pong)) return;
    if (waiting_->close != CloseCode::kNone && sender_.is_blocked()) return;
  }
  const std::unique_ptr<Waiting> waiting = std::move(waiting_);
  if (waiting->close != CloseCode::kNone) (void)sender_.send_close(waiting->close, waiting->reason);
}

// ---- events --------------------------------------------------------------------------------------------------------

void WebSocketStream::watch_readable(bool on) noexcept {
  wants_to_read_ = on;
  update_watching();
  if (on && owner_ != nullptr && has_unread()) wake();
}

void WebSocketStream::watch_writable(bool on) noexcept {
  wants_to_write_ = on;
  update_watching();
}

// What waits in the sender is waited for, whether the owner does or not.
void WebSocketStream::update_watching() noexcept {
  if (owner_ == nullptr) return;
  below_->watch_readable(wants_to_read_ && phase_ != Phase::kEnded);
  below_->watch_writable(wants_to_write_ || sender_.is_blocked());
}

// The owner may destroy the stream, so nothing is touched after it was told.
void WebSocketStream::on_writable() noexcept {
  const bool was_open = sender_.is_open();
  if (sender_.is_blocked()) sender_.flush();
  send_waiting();
  if (finishes_below_) finish_below();
  if (was_open && !sender_.is_open()) end({IoOutcome::kError, EPIPE});
  update_watching();
  if (phase_ == Phase::kEnded && wants_to_read_) wake();
  if (wants_to_write_ && !sender_.is_blocked()) owner_->on_writable();
}

// As if there were something to read.
void WebSocketStream::wake() noexcept {
  if (wake_ == nullptr) {
    wake_ = event_new(
        reactor_->event_base(), -1, 0,
        [](int, short, void* self) {
          auto* stream = static_cast<WebSocketStream*>(self);
          if (stream->wants_to_read_) stream->owner_->on_readable();
        },
        this);
  }
  if (wake_ != nullptr) event_active(wake_, EV_READ, 1);
}

void WebSocketStream::forget_to_wake() noexcept {
  if (wake_ != nullptr) event_free(std::exchange(wake_, nullptr));
}

std::string_view WebSocketStream::peer_address() const noexcept {
  return told_address_ == nullptr ? below_->peer_address() : std::string_view(*told_address_);
}

}  // namespace mqloop::websocket
