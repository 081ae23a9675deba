// CONNECT (3.1): is it one that we take, who is it, which session is it for, and CONNACK (3.2).
#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"
#include "core/mqtt/reason_codes.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

namespace {

constexpr std::size_t kLongestClientId = 1024;

std::string_view version_name(ProtocolVersion version) noexcept {
  switch (version) {
    case ProtocolVersion::kV31:
      return "3.1";
    case ProtocolVersion::kV311:
      return "3.1.1";
    case ProtocolVersion::kV5:
      return "5.0";
  }
  return "?";
}

bool listener_takes(const ListenerSettings& listener, ProtocolVersion version) noexcept {
  switch (version) {
    case ProtocolVersion::kV31:
      return listener.level_3;
    case ProtocolVersion::kV311:
      return listener.level_4;
    case ProtocolVersion::kV5:
      return listener.level_5;
  }
  return false;
}

// Seconds.
std::uint16_t longest_keep_alive(const LimitsSettings& limits) noexcept {
  return static_cast<std::uint16_t>(std::chrono::floor<std::chrono::seconds>(limits.keep_alive.max).count());
}

mqtt::TopicLimits topic_limits(const LimitsSettings& limits) noexcept {
  return {limits.topics.max_levels, limits.topics.max_length};
}

}  // namespace

Connection::Flow Connection::handle_connect(const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  if (!rare.identity) {
    state_ = State::kAuthenticating;
    if (!rare.authenticated && !connect_is_acceptable(packet)) return Flow::kEnd;
    if (const Flow flow = authenticate(packet); flow != Flow::kNext) return flow;
    if (!rare.identity) return Flow::kNext;  // challenged: its AUTH goes on from here
  }
  return enter(packet);
}

Connection::Flow Connection::enter(const mqtt::ConnectPacket& packet) {
  if (const Flow flow = authorize_will(packet); flow != Flow::kNext) return flow;
  if (!rare().came_home) {
    if (const Flow flow = go_home(); flow != Flow::kNext) return flow;
  }
  return open_session(packet);
}

bool Connection::connect_is_acceptable(const mqtt::ConnectPacket& packet) {
  if (!listener_takes(listener(), packet.version)) {
    refuse_connect(ReasonCode::kUnsupportedProtocolVersion, "this listener does not take this version of MQTT");
    return false;
  }
  problem_information_ = packet.properties.request_problem_information();
  maximum_packet_size_ = packet.properties.maximum_packet_size().value_or(maximum_packet_size_);
  if (const auto method = packet.properties.authentication_method()) {
    if (chain() == nullptr || !shard_.hooks().knows_method(*chain(), *method)) {
      // [MQTT-4.12.0-1]
      refuse_connect(ReasonCode::kBadAuthenticationMethod,
                     "no plugin of this listener knows this Authentication Method");
      return false;
    }
    rare().enhanced = std::make_unique<EnhancedAuth>(*method);
  }
  const LimitsSettings& limits = this->limits();
  if (packet.will) {
    if (static_cast<std::uint8_t>(packet.will->qos) > limits.max_qos) {
      refuse_connect(ReasonCode::kQoSNotSupported, "the Will QoS is above limits.max_qos");  // [MQTT-3.2.2-12]
      return false;
    }
    if (packet.will->retain && !limits.retain.enabled) {
      refuse_connect(ReasonCode::kRetainNotSupported, "retained messages are switched off");  // [MQTT-3.2.2-13]
      return false;
    }
    if (!mqtt::within_limits(packet.will->topic, topic_limits(limits))) {
      refuse_connect(ReasonCode::kTopicNameInvalid, "the Will Topic is beyond limits.topics");
      return false;
    }
    if (is_brokers_own(packet.will->topic)) {
      refuse_connect(ReasonCode::kNotAuthorized, "the Will Topic is the broker's own");
      return false;
    }
  }
  return choose_client_id(packet);
}

bool Connection::choose_client_id(const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  if (packet.client_id.size() > kLongestClientId) {
    refuse_connect(ReasonCode::kClientIdentifierNotValid, "the Client Identifier has more than 1024 bytes");
    return false;
  }
  if (!packet.client_id.empty()) {
    rare.client_id = packet.client_id;
    return true;
  }
  // 3.1 knows no empty identifier; 3.1.1 wants Clean Session with it [MQTT-3.1.3-8]; 5.0 is told the assigned one.
  if (packet.version == ProtocolVersion::kV31 || (packet.version == ProtocolVersion::kV311 && !packet.clean_start)) {
    refuse_connect(ReasonCode::kClientIdentifierNotValid, "an empty Client Identifier needs Clean Session");
    return false;
  }
  rare.client_id = shard_.make_client_id();  // [MQTT-3.1.3-6]
  rare.client_id_assigned = true;
  return true;
}

Connection::Flow Connection::authenticate(const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  if (rare.authenticated) {
    return decide(*std::exchange(rare.authenticated, std::nullopt), packet) ? Flow::kNext : Flow::kEnd;
  }
  if (chain() == nullptr) {
    // `chain: none`: whoever comes may enter, without a name.
    rare.identity.emplace();
    return Flow::kNext;
  }
  ConnectRequest request(shard_.hooks().context(handle_));
  request.client_id = rare.client_id;
  request.has_user_name = packet.user_name.has_value();
  request.user_name = packet.user_name.value_or(std::string_view());
  request.has_password = packet.password.has_value();
  if (packet.password) {
    request.password = {reinterpret_cast<const char*>(packet.password->data()), packet.password->size()};
  }
  request.version = packet.version;
  request.clean_start = packet.clean_start;
  request.keep_alive = packet.keep_alive;
  request.peer_address = peer_address();
  request.listener = listener().name;
  request.peer = stream_->peer_identity();
  if (rare.enhanced) {
    rare.enhanced->begin(shard_.hooks(), *chain());
    rare.enhanced->stage = EnhancedAuth::Stage::kAsked;
    request.has_authentication_method = true;
    request.authentication_method = rare.enhanced->method;
    if (const auto data = packet.properties.authentication_data()) {
      request.has_authentication_data = true;
      request.authentication_data = *data;
    }
  }
  std::optional<AuthVerdict> verdict = shard_.hooks().authenticate(*chain(), request, *this, run_);
  if (!verdict) {
    wait_for_answer();
    return Flow::kWait;
  }
  return decide(*std::move(verdict), packet) ? Flow::kNext : Flow::kEnd;
}

void Connection::on_authenticated(AuthVerdict verdict) noexcept {
  if (is_open()) return reauthenticated(std::move(verdict));
  rare().authenticated = std::move(verdict);
  go_on();
}

// Sets the identity or challenges, or refuses: then it is false.
bool Connection::decide(AuthVerdict verdict, const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  if (verdict.outcome == AuthOutcome::kChallenged && rare.enhanced) {
    EnhancedAuth& auth = *rare.enhanced;
    if (auth.connect.empty()) {
      const auto connect = mqtt::first_packet(undecoded_);
      auth.connect.assign(connect.begin(), connect.end());
    }
    return challenge(std::move(verdict));
  }
  if (verdict.outcome == AuthOutcome::kAccepted) {
    if (rare.enhanced) {
      rare.enhanced->finish();
      rare.enhanced->data = std::move(verdict.data);
    }
    Identity identity;
    identity.has_user_name = verdict.user_name.has_value() || packet.user_name.has_value();
    identity.user_name = verdict.user_name.value_or(std::string(packet.user_name.value_or(std::string_view())));
    rare.identity = std::move(identity);
    return true;
  }
  // Whoever asks for an exchange wants to be sure of the broker too: without one it is not let in.
  if (verdict.outcome == AuthOutcome::kPassed && !rare.enhanced && anonymous_is_allowed()) {
    rare.identity.emplace();
    return true;
  }
  if (verdict.outcome == AuthOutcome::kChallenged) {
    verdict.outcome = AuthOutcome::kRejected;
    verdict.code = ReasonCode::kImplementationSpecificError;
    verdict.reason = "the plugin has challenged a client that named no Authentication Method";
  }
  const bool rejected = verdict.outcome == AuthOutcome::kRejected;
  const std::string_view reason = rejected ? std::string_view(verdict.reason) : "nobody knows this client";
  const LogField fields[] = {
      {"client", rare.client_id},
      {"user", packet.user_name.value_or(std::string_view())},
      {"from", peer_address()},
      {"listener", listener().name},
      {"by", rejected && verdict.by != nullptr ? std::string_view(verdict.by->name) : "auth.anonymous"},
      {"reason", verdict.log_reason.empty() ? reason : std::string_view(verdict.log_reason)}};
  log_refused_connect("deny", fields);
  refuse_connect(rejected ? verdict.code : ReasonCode::kNotAuthorized, reason);
  return false;
}

bool Connection::anonymous_is_allowed() const noexcept {
  switch (listener().anonymous) {
    case Anonymous::kNever:
      return false;
    case Anonymous::kLoopback:
      return stream_->peer_is_loopback();
    case Anonymous::kAlways:
      return true;
  }
  return false;
}

Connection::Flow Connection::authorize_will(const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  if (!packet.will || rare.will_is_allowed) return Flow::kNext;
  const AccessVerdict* verdict =
      authorize(0, AccessKind::kWill, packet.will->topic, packet.will->qos, packet.will->retain);
  if (verdict == nullptr) return Flow::kWait;
  if (!verdict->allowed) {
    shard_.counters().wills_denied.add();
    log_refusal("deny_will", packet.will->topic, *verdict);
    refuse_connect(ReasonCode::kNotAuthorized, "no permission for the Will Topic");
    return Flow::kEnd;
  }
  rare.will_is_allowed = true;
  return Flow::kNext;
}

// A session never moves; the connection moves to it.
Connection::Flow Connection::go_home() {
  Rare& rare = this->rare();
  const std::uint32_t home = shard_.directory().claim(rare.client_id, shard_.index());
  rare.came_home = true;
  if (home == shard_.index()) return Flow::kNext;
  if (!stream_->detach()) {
    refuse_connect(ReasonCode::kServerBusy, "this transport cannot reach the session's reactor");
    return Flow::kEnd;
  }
  Arrival arrival;
  arrival.gate = std::exchange(gate_, nullptr);
  std::span<const std::uint8_t> unhandled = undecoded_;
  if (rare.enhanced && !rare.enhanced->connect.empty()) {
    // CONNECT left the input when the client was challenged; the AUTH that begins the input has been answered.
    arrival.input = std::exchange(rare.enhanced->connect, {});
    unhandled = unhandled.subspan(mqtt::first_packet(unhandled).size());
  }
  arrival.input.insert(arrival.input.end(), unhandled.begin(), unhandled.end());
  arrival.client_id = std::move(rare.client_id);
  arrival.client_id_assigned = rare.client_id_assigned;
  arrival.identity = std::move(*rare.identity);
  arrival.will_is_allowed = rare.will_is_allowed;
  arrival.enhanced = std::move(rare.enhanced);
  arrival.stream = std::move(stream_);
  rare.came_home = false;  // the arrival has taken over what was announced
  shard_.send_home(home, std::move(arrival));
  die();
  return Flow::kEnd;
}

Connection::Flow Connection::open_session(const mqtt::ConnectPacket& packet) {
  Rare& rare = this->rare();
  SessionTable& sessions = shard_.sessions();
  Session* session = sessions.find(rare.client_id);
  if (session != nullptr && session->identity() != *rare.identity) {
    const LogField fields[] = {{"client", rare.client_id},
                               {"user", rare.identity->user_name},
                               {"from", peer_address()},
                               {"listener", listener().name},
                               {"reason", "the session belongs to somebody else"}};
    log_refused_connect("deny", fields);
    refuse_connect(ReasonCode::kNotAuthorized, "the session belongs to somebody else");
    return Flow::kEnd;
  }
  if (!can_be_kept(session, packet)) {
    refuse_connect(ReasonCode::kServerUnavailable, "the broker cannot keep sessions at present");
    return Flow::kEnd;
  }
  if (session != nullptr && session->connection() != nullptr) {
    if (const Flow flow = brake_take_over(*session); flow != Flow::kNext) return flow;
  }
  adopt_limits(packet);
  mqtt::ConnackPacket connack;
  mqtt::PropertyWriter properties;
  connack.properties = connack_properties(packet, properties);
  if (!mqtt::fit(connack, packet.version, peer_limits())) {
    // All that is left in it the client must know, so without it there is no connection [MQTT-3.1.2-24].
    refuse_connect(ReasonCode::kPacketTooLarge, "CONNACK would be larger than the client's Maximum Packet Size");
    return Flow::kEnd;
  }
  if (session != nullptr && session->connection() != nullptr) {
    shard_.counters().take_overs.add();
    shard_.take_over_brake().taken_over(session->client_key(), shard_.loop().now());
    session->connection()->close(ReasonCode::kSessionTakenOver, "another connection has taken the session over");
    MQLOOP_FAILPOINT("take_over");
    session = sessions.find(rare.client_id);  // one that ended with its connection is gone [MQTT-3.1.4-3]
  }
  const bool resumed = session != nullptr && !packet.clean_start;  // [MQTT-3.1.2-4] [MQTT-3.1.2-5]
  Publishing& publishing = shard_.publishing();
  bool later = publishing.is_unsettled(shard_.client_key(rare.client_id));
  if (session != nullptr && !resumed) later |= sessions.end(*session, SessionTable::EndOf::kDiscard);
  if (!resumed) session = &sessions.create(rare.client_id, *rare.identity);
  shard_.directory().settled(rare.client_id);
  rare.came_home = false;

  session_ = session;
  session->connected(*this, listener());
  adopt_principal(packet.version, resumed);
  session->set_expiry_interval(expiry_of(packet));
  store_will(packet);
  shard_.shared_members().state_changed(*session);
  const bool kept = publishing.keeps_session(session->is_durable());
  if (session->is_kept() && !kept) later |= publishing.session_event(SessionEventKind::kEnded, *session);
  session->set_kept(kept);
  const bool told_later =
      publishing.session_event(resumed ? SessionEventKind::kResumed : SessionEventKind::kCreated, *session);
  later |= told_later && !(resumed && shard_.trouble());  // who is back in trouble is served, as what it was before
  MQLOOP_FAILPOINT("session_opened");
  connack.session_present = resumed;  // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
  if (!later) {
    send(connack);
    opened(resumed);
    return Flow::kNext;
  }
  state_ = State::kOpening;
  rare.resumed = resumed;
  rare.connack.resize(mqtt::encoded_size(connack, packet.version));
  mqtt::encode(connack, packet.version, rare.connack.data());
  publishing.open_when_complete(handle_);
  wait_for_answer();
  shard_.loop().timers().start(timer_, event::add_saturating(shard_.loop().now(), limits().connect_timeout));
  return Flow::kRest;
}

// In trouble the publisher takes no new session, nor lets go of one, and what it has been told of one does not settle.
bool Connection::can_be_kept(const Session* session, const mqtt::ConnectPacket& packet) const noexcept {
  if (!shard_.trouble()) return true;
  if (shard_.publishing().is_unsettled(shard_.client_key(rare_->client_id))) return false;
  if (session != nullptr && session->is_durable()) return !packet.clean_start;
  return !shard_.publishing().keeps_session(expiry_of(packet) != 0);
}

void Connection::session_stands() noexcept {
  if (state_ != State::kOpening) return;
  MQLOOP_FAILPOINT("session_stands");
  send_bytes(std::exchange(rare_->connack, {}));
  opened(rare_->resumed);
  go_on();
}

void Connection::opened(bool resumed) {
  Session* const session = session_;
  shard_.counters().connects_accepted.add();
  state_ = State::kOpen;
  stream_->settle();
  decoder_.connack_sent();
  decoder_.set_maximum_packet_size(limits().maximum_packet_size);
  start_keep_alive();
  const char* const kept = resumed ? "resumed" : "new";
  shard_.log().write(LogLevel::kInfo, "connection", "connected",
                     {{"client", session->client_id()},
                      {"user", session->identity().user_name},
                      {"from", peer_address()},
                      {"listener", listener().name},
                      {"version", version_name(version())},
                      {"session", kept}});
  std::unique_ptr<EnhancedAuth> enhanced = std::move(rare_->enhanced);
  rare_.reset();
  if (enhanced) {
    enhanced->connect = {};
    enhanced->data = {};
    this->rare().enhanced = std::move(enhanced);
  }
  start_pacing();
  if (resumed) shard_.delivery().resume(*session);
}

// Clients that fight for one identifier have to wait, each under its own limits.connect_timeout.
Connection::Flow Connection::brake_take_over(const Session& session) {
  const MonotonicTime now = shard_.loop().now();
  const MonotonicTime due = shard_.take_over_brake().due(session.client_key());
  if (due <= now) return Flow::kNext;
  auto& until = rare().braked_until;
  if (!until) {
    until = event::add_saturating(now, limits().connect_timeout);
    shard_.counters().take_overs_braked.add();
    LogBrake& log = shard_.take_over_brake().log(session.client_key());
    if (log.may_log(now)) {
      const std::uint64_t left_out = log.take_left_out();
      const std::string others = std::to_string(left_out);
      const LogField fields[] = {{"client", session.client_id()},
                                 {"from", peer_address()},
                                 {"held_by", session.connection()->peer_address()},
                                 {"reason", "clients take over this identifier from each other"},
                                 {"left_out", others}};
      shard_.log().write(LogLevel::kWarn, "connection", "braked", std::span(fields, left_out == 0 ? 4 : 5));
    }
  } else if (*until <= now) {
    refuse_connect(ReasonCode::kServerBusy, "others take over this Client Identifier all the time");
    return Flow::kEnd;
  }
  wait_for_answer();
  shard_.loop().timers().start(timer_, std::min(due, *until));
  return Flow::kWait;
}

// A session that comes through another chain than before has been allowed nothing there yet.
void Connection::adopt_principal(ProtocolVersion version, bool resumed) {
  Ref<const Principal> principal;
  if (const Chain* chain = this->chain(); chain != nullptr && !chain->authorize.empty()) {
    const Identity& identity = session_->identity();
    principal = Principal::create({session_->client_id(), identity.has_user_name, identity.user_name, chain->name,
                                   listener().name, peer_address(), version});
  }
  const Principal* before = session_->principal().get();
  const bool same_chain = before != nullptr && principal && before->chain() == principal->chain();
  if (resumed && principal && !same_chain) {
    session_->check_deliveries(Subscriber::kCheckDelivery | Subscriber::kNeedsAllow);
  }
  session_->set_principal(std::move(principal));
}

std::uint32_t Connection::expiry_of(const mqtt::ConnectPacket& packet) const noexcept {
  std::uint32_t asked = packet.clean_start ? 0 : kExpiryNever;  // [MQTT-3.1.2-6] of 3.1.1
  if (packet.version == ProtocolVersion::kV5) asked = packet.properties.session_expiry_interval();
  return std::min(asked, longest_session_expiry(limits()));
}

void Connection::adopt_limits(const mqtt::ConnectPacket& packet) {
  const LimitsSettings& limits = this->limits();
  std::uint16_t receive_maximum = limits.max_in_flight;
  keep_alive_ = packet.keep_alive;
  if (packet.version == ProtocolVersion::kV5) {
    problem_information_ = packet.properties.request_problem_information();
    maximum_packet_size_ = packet.properties.maximum_packet_size().value_or(maximum_packet_size_);
    receive_maximum = std::min(receive_maximum, packet.properties.receive_maximum());
    keep_alive_ = std::min(keep_alive_, longest_keep_alive(limits));
    topic_alias_maximum_ = std::min(limits.topic_alias_maximum, packet.properties.topic_alias_maximum());
  }
  send_quota_ = mqtt::SendQuota(receive_maximum);
  receive_quota_ = mqtt::ReceiveQuota(limits.receive_maximum);
  announced_.maximum_qos = limits.max_qos & 3U;
  announced_.retain = limits.retain.enabled;
  announced_.wildcard = limits.subscriptions.wildcard;
  announced_.shared = limits.subscriptions.shared;
  announced_alias_maximum_ = limits.topic_alias_maximum;
}

void Connection::store_will(const mqtt::ConnectPacket& packet) {
  if (!packet.will) {
    session_->set_will(nullptr);
    return;
  }
  mqtt::PublishPacket publish;
  publish.topic = packet.will->topic;
  publish.payload = packet.will->payload;
  publish.qos = packet.will->qos;
  publish.retain = packet.will->retain;
  publish.properties = packet.will->properties.without(mqtt::PropertyId::kWillDelayInterval);
  auto will = std::make_unique<StoredWill>();
  will->message = make_message(publish, Message::kNever, session_->client_key(), session_->principal().get());
  will->message_expiry_interval = packet.will->properties.message_expiry_interval();
  will->delay_interval = packet.will->properties.will_delay_interval();
  session_->set_will(std::move(will));
}

mqtt::Properties Connection::connack_properties(const mqtt::ConnectPacket& packet, mqtt::PropertyWriter& writer) {
  if (packet.version != ProtocolVersion::kV5) return {};
  const LimitsSettings& limits = this->limits();
  const Rare& rare = this->rare();
  using Id = mqtt::PropertyId;
  const std::uint32_t expiry = expiry_of(packet);
  if (expiry != packet.properties.session_expiry_interval()) writer.add(Id::kSessionExpiryInterval, expiry);
  if (limits.receive_maximum != 65535) writer.add(Id::kReceiveMaximum, limits.receive_maximum);
  if (limits.max_qos < 2) writer.add(Id::kMaximumQoS, limits.max_qos);
  if (!limits.retain.enabled) writer.add(Id::kRetainAvailable, 0);
  writer.add(Id::kMaximumPacketSize, limits.maximum_packet_size);
  if (rare.client_id_assigned) writer.add(Id::kAssignedClientIdentifier, rare.client_id);  // [MQTT-3.2.2-16]
  if (limits.topic_alias_maximum != 0) writer.add(Id::kTopicAliasMaximum, limits.topic_alias_maximum);
  if (!limits.subscriptions.wildcard) writer.add(Id::kWildcardSubscriptionAvailable, 0);
  if (!limits.subscriptions.shared) writer.add(Id::kSharedSubscriptionAvailable, 0);
  if (keep_alive_ != packet.keep_alive) writer.add(Id::kServerKeepAlive, keep_alive_);
  if (rare.enhanced) {
    writer.add(Id::kAuthenticationMethod, rare.enhanced->method);  // [MQTT-4.12.0-5]
    if (!rare.enhanced->data.empty()) writer.add(Id::kAuthenticationData, rare.enhanced->data);
  }
  return writer.properties();
}

void Connection::refuse_connect(ReasonCode code, std::string_view reason) {
  shard_.counters().connects_refused.add();
  mqtt::ConnackPacket connack;
  connack.reason_code =
      mqtt::may_carry(mqtt::PacketType::kConnack, code, mqtt::Role::kServer) ? code : ReasonCode::kUnspecifiedError;
  mqtt::PropertyWriter properties;
  if (version() == ProtocolVersion::kV5 && !reason.empty()) {
    connack.properties = properties.add(mqtt::PropertyId::kReasonString, reason).properties();
  }
  // 3.x: without a return code that fits there is no CONNACK [MQTT-3.2.2-6].
  if (mqtt::fit(connack, version(), peer_limits())) send(connack);
  begin_close(reason, true);
}

}  // namespace mqloop::broker
