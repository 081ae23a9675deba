// AUTH (3.15) from a client, and what is sent for it. The table of all that may happen stands in enhanced_auth.h.
#include <utility>

#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"
#include "core/mqtt/reason_codes.h"

namespace mqloop::broker {

using Stage = EnhancedAuth::Stage;

Connection::Flow Connection::handle_auth(const mqtt::AuthPacket& packet) {
  if (packet.properties.authentication_method() != rare().enhanced->method) {  // [MQTT-4.12.0-5]
    close(ReasonCode::kProtocolError, "AUTH with another Authentication Method than CONNECT");
    return Flow::kEnd;
  }
  return is_open() ? reauthenticate(packet) : go_on_connecting(packet);
}

// The client's answer to a challenge before it is let in: with the plugin's consent its CONNECT goes on from there.
Connection::Flow Connection::go_on_connecting(const mqtt::AuthPacket& packet) {
  Rare& rare = this->rare();
  EnhancedAuth& auth = *rare.enhanced;
  if (packet.reason_code != ReasonCode::kContinueAuthentication) {
    close(ReasonCode::kProtocolError, "a re-authentication before the first authentication has ended");
    return Flow::kEnd;
  }
  mqtt::Packet decoded;
  (void)mqtt::Decoder(mqtt::Role::kServer).decode(auth.connect, decoded);  // it was decoded from these bytes before
  const mqtt::ConnectPacket& connect = *std::get_if<mqtt::ConnectPacket>(&decoded);
  if (!rare.identity) {
    if (!rare.authenticated) {
      auth.stage = Stage::kAsked;
      AuthStep step = auth_step(packet);
      step.client_id = rare.client_id;
      step.has_user_name = connect.user_name.has_value();
      step.user_name = connect.user_name.value_or(std::string_view());
      step.state = auth.state.get();
      rare.authenticated = auth.hooks->continue_auth(*auth.chain, step, auth.challenger, *this, run_);
      if (!rare.authenticated) {
        wait_for_answer();
        return Flow::kWait;
      }
    }
    if (!decide(*std::exchange(rare.authenticated, std::nullopt), connect)) return Flow::kEnd;
    if (!rare.identity) return Flow::kNext;  // challenged once more
  }
  return enter(connect);
}

AuthStep Connection::auth_step(const mqtt::AuthPacket& packet) {
  AuthStep step(shard_.hooks().context(handle_));
  step.authentication_method = rare().enhanced->method;
  if (const auto data = packet.properties.authentication_data()) {
    step.has_authentication_data = true;
    step.authentication_data = *data;
  }
  step.peer_address = peer_address();
  step.listener = listener().name;
  step.peer = stream_->peer_identity();
  return step;
}

// The plugin wants more of the client. False: the client cannot be told.
bool Connection::challenge(AuthVerdict verdict) {
  EnhancedAuth& auth = *rare().enhanced;
  auth.challenger = verdict.by;
  auth.state = std::move(verdict.state);
  if (!send_auth(ReasonCode::kContinueAuthentication, verdict.data)) return false;
  auth.stage = Stage::kChallenged;
  const MonotonicTime deadline = event::add_saturating(shard_.loop().now(), limits().connect_timeout);
  if (is_open()) {
    shard_.loop().timers().start(rare().step_timer.emplace(*this), deadline);
  } else {
    timer_.stop();
    shard_.loop().timers().start(timer_, deadline);
  }
  return true;
}

bool Connection::send_auth(ReasonCode code, std::string_view data) {
  mqtt::AuthPacket packet;
  packet.reason_code = code;
  mqtt::PropertyWriter properties;
  properties.add(mqtt::PropertyId::kAuthenticationMethod, rare().enhanced->method);  // [MQTT-4.12.0-5]
  if (!data.empty()) properties.add(mqtt::PropertyId::kAuthenticationData, data);
  packet.properties = properties.properties();
  if (!mqtt::fit(packet, version(), peer_limits())) {  // [MQTT-3.1.2-24]
    close(ReasonCode::kPacketTooLarge, "AUTH would be larger than the client's Maximum Packet Size");
    return false;
  }
  send(packet);
  return true;
}

// ---- re-authentication ---------------------------------------------------------------------------------------------

Connection::Flow Connection::reauthenticate(const mqtt::AuthPacket& packet) {
  EnhancedAuth& auth = *rare().enhanced;
  const bool begins = packet.reason_code == ReasonCode::kReAuthenticate;
  if (auth.stage != (begins ? Stage::kIdle : Stage::kChallenged)) {
    close(ReasonCode::kProtocolError,
          begins ? "a re-authentication while one is under way" : "AUTH that was not asked for");
    return Flow::kEnd;
  }
  if (begins) {
    if (chain() == nullptr) {  // a reload has taken it away, and there is nobody left to ask
      reauthentication_failed(ReasonCode::kNotAuthorized, "nobody knows this client", nullptr);
      return Flow::kEnd;
    }
    auth.begin(shard_.hooks(), *chain());
  }
  auth.stage = Stage::kAsked;
  rare().step_timer.reset();
  AuthStep step = auth_step(packet);
  step.reauthenticates = true;
  step.client_id = session_->client_id();
  step.has_user_name = session_->identity().has_user_name;
  step.user_name = session_->identity().user_name;
  step.state = auth.state.get();
  auto verdict = auth.hooks->continue_auth(*auth.chain, step, auth.challenger, *this, auth.run);
  if (verdict) reauthenticated(*std::move(verdict));
  return is_open() ? Flow::kNext : Flow::kEnd;
}

void Connection::reauthenticated(AuthVerdict verdict) {
  switch (verdict.outcome) {
    case AuthOutcome::kChallenged:
      (void)challenge(std::move(verdict));
      return;
    case AuthOutcome::kPassed:
      return reauthentication_failed(ReasonCode::kNotAuthorized, "nobody knows this client", nullptr);
    case AuthOutcome::kRejected:
      return reauthentication_failed(verdict.code, verdict.reason, verdict.by);
    case AuthOutcome::kAccepted:
      break;
  }
  // The session, and all that was allowed and kept in it, belongs to one identity.
  const Identity& identity = session_->identity();
  if (verdict.user_name && Identity{true, *verdict.user_name} != identity) {
    return reauthentication_failed(ReasonCode::kNotAuthorized, "the session belongs to somebody else", verdict.by);
  }
  rare().enhanced->finish();
  if (!send_auth(ReasonCode::kSuccess, verdict.data)) return;
  shard_.log().write(LogLevel::kInfo, "auth", "reauthenticated",
                     {{"client", session_->client_id()},
                      {"user", identity.user_name},
                      {"from", peer_address()},
                      {"listener", listener().name},
                      {"by", verdict.by->name}});
}

// A challenge that is never answered would keep what the plugin has kept for it as long as the connection.
void Connection::on_step_deadline() noexcept {
  if (!is_open()) return;
  reauthentication_failed(ReasonCode::kNotAuthorized, "no AUTH within limits.connect_timeout",
                          rare().enhanced->challenger);
}

// [MQTT-4.12.1-2]
void Connection::reauthentication_failed(ReasonCode code, std::string_view reason, const PluginInstance* by) {
  shard_.log().write(LogLevel::kInfo, "auth", "deny_reauthentication",
                     {{"client", session_->client_id()},
                      {"user", session_->identity().user_name},
                      {"from", peer_address()},
                      {"listener", listener().name},
                      {"by", by == nullptr ? std::string_view("nobody") : std::string_view(by->name)},
                      {"reason", reason}});
  const bool fits = mqtt::may_carry(mqtt::PacketType::kDisconnect, code, mqtt::Role::kServer);
  close(fits ? code : ReasonCode::kNotAuthorized, reason);
}

}  // namespace mqloop::broker
