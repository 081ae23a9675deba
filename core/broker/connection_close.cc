// How a Connection ends: refused, disconnected, dropped or timed out; and what that means for its session.
#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// How long the last bytes may take, and how long the peer may take to read them and close.
constexpr std::chrono::milliseconds kClosingTime{2000};
constexpr std::chrono::milliseconds kLingeringTime{500};
// A turn's clock is that of its beginning, in whole milliseconds; a packet that it reads may have come later.
constexpr std::chrono::milliseconds kClockSlack{20};

}  // namespace

void Connection::close(ReasonCode code, std::string_view reason) {
  if (state_ >= State::kClosing) return;
  if (state_ == State::kAwaitConnect) {
    begin_close(reason, true);  // CONNACK answers a CONNECT, and none has come
    return;
  }
  if (state_ != State::kOpen) {
    refuse_connect(code, reason);
    return;
  }
  if (version() == ProtocolVersion::kV5) {
    mqtt::DisconnectPacket packet;
    packet.reason_code = code;
    mqtt::PropertyWriter properties;
    packet.properties = properties.add(mqtt::PropertyId::kReasonString, reason).properties();
    if (mqtt::fit(packet, version(), peer_limits())) send(packet);
  }
  begin_close(reason, true);
}

void Connection::drop(std::string_view reason) {
  if (state_ == State::kDead) return;
  if (state_ < State::kClosing) begin_close(reason, true);
  die();
}

void Connection::shut_down(bool send_disconnect, bool publish_will) {
  if (session_ != nullptr && !publish_will) session_->set_will(nullptr);
  if (send_disconnect) {
    close(is_open() ? ReasonCode::kServerShuttingDown : ReasonCode::kServerUnavailable, "the broker stops");
  } else if (state_ < State::kClosing) {
    begin_close("the broker stops", true);
  }
}

void Connection::begin_close(std::string_view reason, bool keep_will) {
  log_end(reason);
  state_ = State::kClosing;
  run_.cancel();
  if (rare_ && rare_->enhanced) rare_->enhanced->run.cancel();
  stream_->watch_readable(false);
  detach_session(keep_will);
  shard_.loop().timers().start(timer_, shard_.loop().now() + kClosingTime);
  mark_dirty();
}

void Connection::log_end(std::string_view reason) {
  if (session_ == nullptr) {
    if (rare_ && rare_->refusal_is_told) return;
    const std::string_view client = rare_ ? std::string_view(rare_->client_id) : std::string_view();
    const LogField fields[] = {{"client", client}, {"from", peer_address()}, {"reason", reason}};
    shard_.refusal_log().of_address(shard_.loop().now(), peer_address(), "connection", "closed", fields);
    return;
  }
  if (!shard_.log().enabled(LogLevel::kInfo, "connection")) return;
  const std::string drops = session_->drops() == nullptr ? std::string() : session_->drops()->text();
  const LogField fields[] = {
      {"client", session_->client_id()}, {"from", peer_address()}, {"reason", reason}, {"drops", drops}};
  shard_.log().write(LogLevel::kInfo, "connection", "disconnected", std::span(fields, drops.empty() ? 3 : 4));
}

void Connection::detach_session(bool keep_will) {
  if (rare_ && rare_->came_home) {
    // Announced at the directory, but it has not come to a session.
    rare_->came_home = false;
    shard_.directory().abandoned(rare_->client_id);
  }
  if (session_ == nullptr) return;
  Session& session = *std::exchange(session_, nullptr);
  if (!keep_will) session.set_will(nullptr);
  (void)shard_.publishing().session_event(SessionEventKind::kDisconnected, session);
  session.disconnected();
  if (session.is_durable()) shard_.shared_members().state_changed(session);
  if (!session.is_durable()) {
    shard_.sessions().end(session, SessionTable::EndOf::kConnection);
  } else if (session.will() && session.will()->delay_interval == 0) {
    shard_.wills().publish(session);
  }
}

void Connection::finish_close() noexcept {
  if (normal_disconnect_) {
    die();
    return;
  }
  state_ = State::kLingering;
  stream_->finish_writing();
  stream_->watch_readable(true);
  shard_.loop().timers().start(timer_, shard_.loop().now() + kLingeringTime);
}

void Connection::die() noexcept {
  if (state_ == State::kDead) return;
  state_ = State::kDead;
  timer_.stop();
  output_.clear();
  shard_.retire(*this);
}

void Connection::on_timer() noexcept {
  switch (state_) {
    case State::kAwaitConnect:
      if (!sent_something_meanwhile()) drop("no whole CONNECT within limits.connect_timeout");
      return;
    case State::kAuthenticating:
      if (waiting_) return go_on();  // brake_take_over(): no plugin's answer is awaited under this timer
      close(ReasonCode::kNotAuthorized, "no AUTH within limits.connect_timeout");
      return;
    case State::kOpening:
      close(ReasonCode::kServerUnavailable, "the broker could not keep the session within limits.connect_timeout");
      return;
    case State::kClosing:
    case State::kLingering:
      die();
      return;
    case State::kDead:
      return;
    case State::kOpen:
      break;
  }
  const MonotonicTime now = shard_.loop().now();
  if (waiting_ || in_resume_list) last_seen_ = now;
  if (now >= last_seen_ + keep_alive_allowance() && !sent_something_meanwhile()) {
    close(ReasonCode::kKeepAliveTimeout, "nothing came for one and a half Keep Alives");  // [MQTT-3.1.2-22]
  } else if (state_ == State::kOpen) {
    shard_.loop().timers().start(timer_, last_seen_ + keep_alive_allowance());
  }
}

// Timers of a process that was held up may run before what came in that time has been read; it came in time all the
// same. True when a packet did, when the connection has ended over it, or when limits.rates leaves unread what is
// there.
bool Connection::sent_something_meanwhile() noexcept {
  const MonotonicTime before = last_seen_;
  const State state = state_;
  on_readable();
  return state_ != state || last_seen_ != before || waiting_;
}

std::chrono::milliseconds Connection::keep_alive_allowance() const noexcept {
  const double grace = std::max(1.5, limits().keep_alive.grace);
  return std::chrono::milliseconds(static_cast<std::int64_t>(keep_alive_ * 1000.0 * grace)) + kClockSlack;
}

void Connection::start_keep_alive() noexcept {
  timer_.stop();
  if (keep_alive_ != 0) {
    shard_.loop().timers().start(timer_, shard_.loop().now() + keep_alive_allowance());
  }
}

}  // namespace mqloop::broker
