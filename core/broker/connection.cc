#include "core/broker/connection.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"
#include "core/mqtt/decoder.h"
#include "core/mqtt/reason_codes.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

namespace {

// Packets of one connection in one turn: more wait for the next, so that others have theirs.
constexpr int kPacketsPerTurn = 64;
// An acknowledgement counts for a part of one. A client that gets many messages a turn acknowledges them together, and
// over several turns that were short in between the batches of those who publish to it would fall apart.
constexpr int kAcksPerPacket = 16;
// Bytes behind the CONNECT or AUTH that a plugin is asked about.
constexpr std::size_t kMostReadAhead = 4096;
// Parts of one write: with chunks of 4 KiB a quarter of a megabyte.
constexpr std::size_t kPartsPerWrite = 64;

// With its Session and its Stream an idle connection stays below 1 KiB.
static_assert(sizeof(Connection) <= 256);

// Tells the shard how much more, or less, memory input takes at its end than at its beginning.
class InputNote {
 public:
  InputNote(Shard& shard, const event::InputBuffer& input) noexcept
      : shard_(shard), input_(input), before_(input.capacity()) {}
  InputNote(const InputNote&) = delete;
  InputNote& operator=(const InputNote&) = delete;
  ~InputNote() {
    if (input_.capacity() != before_) shard_.note_input(before_, input_.capacity());
  }

 private:
  Shard& shard_;
  const event::InputBuffer& input_;
  std::size_t before_;
};

mqtt::DecoderLimits decoder_limits(const LimitsSettings& limits) {
  mqtt::DecoderLimits result;
  result.maximum_packet_size = std::min(limits.packet_size_before_connect, limits.maximum_packet_size);
  return result;
}

}  // namespace

Connection::Connection(Shard& shard, std::unique_ptr<Stream> stream, ListenerGate& gate)
    : shard_(shard),
      gate_(&gate),
      stream_(std::move(stream)),
      decoder_(mqtt::Role::kServer, decoder_limits(*shard.listener(gate).limits)),
      receive_quota_(shard.listener(gate).limits->receive_maximum),
      output_(shard.loop().chunks()),
      last_seen_(shard.loop().now()),
      last_progress_(last_seen_),
      timer_(*this) {}

Connection::~Connection() {
  shard_.note_input(input_.capacity(), 0);
  if (gate_ != nullptr) gate_->left(*stream_);
}

Status Connection::start() {
  shard_.loop().timers().start(timer_, event::add_saturating(shard_.loop().now(), limits().connect_timeout));
  return stream_->attach(shard_.loop(), *this);
}

Status Connection::start(Arrival arrival) {
  Rare& rare = this->rare();
  rare.client_id = std::move(arrival.client_id);
  rare.client_id_assigned = arrival.client_id_assigned;
  rare.identity = std::move(arrival.identity);
  rare.will_is_allowed = arrival.will_is_allowed;
  rare.enhanced = std::move(arrival.enhanced);
  rare.came_home = true;
  input_.append(arrival.input);
  shard_.note_input(0, input_.capacity());
  state_ = State::kAuthenticating;
  if (Status status = start(); !status.ok()) return status;
  shard_.resume_later(*this);
  return ok();
}

// ---- another configuration -----------------------------------------------------------------------------------------

bool Connection::is_being_judged() const noexcept {
  if (waiting_) return true;
  if (!rare_) return false;
  const bool in_exchange = rare_->enhanced && rare_->enhanced->stage != EnhancedAuth::Stage::kIdle;
  return in_exchange || rare_->authenticated || !rare_->verdicts.empty();
}

// On its way to another reactor it has no gate any more.
bool Connection::listener_is_closed() const noexcept { return gate_ != nullptr && shard_.listener_is_closed(*gate_); }

// What it may do and get is the matter of its listener's chain, which may be another one now, or have somebody to ask
// for the first time.
//
// Which filters of a SUBSCRIBE a plugin is asked about, and so which verdict is whose, hangs on these limits: a packet
// that waits is judged afresh when they change.
void Connection::configuration_has_changed(std::span<const ListenerView> before) {
  if (state_ != State::kOpen) return;
  const Principal* principal = session_->principal().get();
  const bool has_chain = chain() != nullptr && !chain()->authorize.empty();
  if (has_chain != (principal != nullptr) || (has_chain && principal->chain() != chain()->name)) {
    adopt_principal(version(), true);
  }
  if (!rare_) return;
  if (rare_->verdicts.empty()) judge_filters_afresh();  // where nobody was asked, there may be somebody now
  if (rare_->verdicts.empty() && !run_.waiting()) return;
  if (before[gate_->slot()].limits->topics == limits().topics) return;
  rare_->verdicts.clear();
  judge_filters_afresh();
  if (!run_.waiting()) return;
  run_.cancel();
  go_on();
}

void Connection::judge_filters_afresh() noexcept {
  if (!rare_->filters) return;
  rare_->filters->judged = false;
  rare_->filters->question = 0;
}

const ListenerSettings& Connection::listener() const noexcept { return *shard_.listener(*gate_).settings; }

const Chain* Connection::chain() const noexcept { return shard_.listener(*gate_).chain; }

const LimitsSettings& Connection::limits() const noexcept { return *shard_.listener(*gate_).limits; }

Connection::Rare& Connection::rare() {
  if (!rare_) rare_ = std::make_unique<Rare>();
  return *rare_;
}

// ---- input ---------------------------------------------------------------------------------------------------------

void Connection::on_readable() noexcept {
  const InputNote note(shard_, input_);
  if (state_ == State::kLingering) {
    linger_read();
  } else if (waiting_ && state_ == State::kAuthenticating) {
    read_ahead();
  } else if (state_ < State::kClosing && !waiting_ && !in_resume_list) {
    read_some();
  }
}

void Connection::read_some() noexcept {
  if (is_paced_ && !may_read()) return;
  const std::span<std::uint8_t> scratch = shard_.loop().scratch();
  const std::size_t kept = input_.size();
  const bool large = kept > scratch.size() / 2;
  std::span<std::uint8_t> room;
  if (large) {
    room = input_.room(needed_);
  } else {
    // The unfinished packet of last time, and what comes now, in one piece.
    std::copy_n(input_.bytes().begin(), kept, scratch.begin());
    room = scratch.subspan(kept);
  }
  const IoResult result = stream_->read(room);
  if (result.outcome == IoOutcome::kWouldBlock) return;
  if (result.outcome != IoOutcome::kDone) {
    peer_is_gone(result);
    return;
  }
  shard_.counters().bytes_received.add(result.bytes);
  if (is_paced_) note_read(result.bytes);
  if (large) {
    input_.commit(result.bytes);
    decode_buffered();
  } else {
    input_.clear();
    const std::span<const std::uint8_t> bytes = scratch.first(kept + result.bytes);
    const std::size_t used = decode(bytes);
    if (used != bytes.size() && state_ < State::kClosing) input_.append(bytes.subspan(used), needed_);
  }
  if (state_ < State::kClosing && !waiting_ && stream_->has_unread()) shard_.resume_later(*this);
}

void Connection::decode_buffered() noexcept {
  const std::size_t used = decode(input_.bytes());
  if (state_ < State::kClosing) {
    input_.consume(used);
  } else {
    input_.clear();
  }
}

void Connection::resume() noexcept {
  const InputNote note(shard_, input_);
  if (state_ >= State::kClosing || waiting_) return;
  if (!input_.empty()) decode_buffered();
  if (state_ < State::kClosing && !waiting_ && !in_resume_list && stream_->has_unread()) read_some();
}

std::size_t Connection::decode(std::span<const std::uint8_t> bytes) {
  std::size_t used = 0;
  needed_ = 0;
  const std::uint64_t enough = shard_.delivery().served() + shard_.fan_outs().sizes().of_connection;
  for (int budget = kPacketsPerTurn * kAcksPerPacket; used != bytes.size();) {
    if (budget <= 0 || shard_.delivery().served() >= enough) {
      shard_.resume_later(*this);
      return used;
    }
    mqtt::Packet packet;
    // CONNECT is the one packet that changes the decoder, and it may have to be decoded again.
    const mqtt::Decoder before = decoder_;
    undecoded_ = bytes.subspan(used);
    const mqtt::DecodeResult result = decoder_.decode(undecoded_, packet);
    if (result.kind == mqtt::DecodeResult::Kind::kNeedMore) {
      needed_ = result.size;
      return used;
    }
    if (result.kind == mqtt::DecodeResult::Kind::kError) {
      malformed(result);
      return bytes.size();
    }
    budget -= std::holds_alternative<mqtt::AckPacket>(packet) ? 1 : kAcksPerPacket;
    const Flow flow = handle(packet);
    begun_before_ = flow == Flow::kWait;
    if (begun_before_) {
      decoder_ = before;
      return used;
    }
    if (rare_) rare_->verdicts.clear();
    if (flow == Flow::kEnd || state_ >= State::kClosing) return bytes.size();
    used += result.size;
    if (flow == Flow::kRest) return used;
  }
  return used;
}

Connection::Flow Connection::handle(mqtt::Packet& packet) {
  last_seen_ = shard_.loop().now();
  if (!begun_before_) {
    shard_.counters().packets_received.add();
    if (shard_.traces()) shard_.trace_packet(*this, "in", type_of(packet));
  }
  switch (type_of(packet)) {
    case mqtt::PacketType::kPublish:
      return handle_publish(*std::get_if<mqtt::PublishPacket>(&packet));
    case mqtt::PacketType::kPuback:
    case mqtt::PacketType::kPubrec:
    case mqtt::PacketType::kPubrel:
    case mqtt::PacketType::kPubcomp:
      return handle_ack(*std::get_if<mqtt::AckPacket>(&packet));
    case mqtt::PacketType::kPingreq:
      send(mqtt::PingrespPacket{});  // [MQTT-3.12.4-1]
      return Flow::kNext;
    case mqtt::PacketType::kSubscribe:
      return handle_subscribe(*std::get_if<mqtt::SubscribePacket>(&packet));
    case mqtt::PacketType::kUnsubscribe:
      return handle_unsubscribe(*std::get_if<mqtt::UnsubscribePacket>(&packet));
    case mqtt::PacketType::kConnect:
      return handle_connect(*std::get_if<mqtt::ConnectPacket>(&packet));
    case mqtt::PacketType::kDisconnect:
      return handle_disconnect(*std::get_if<mqtt::DisconnectPacket>(&packet));
    case mqtt::PacketType::kAuth:
      return handle_auth(*std::get_if<mqtt::AuthPacket>(&packet));
    default:
      // The decoder lets nothing else through.
      close(ReasonCode::kProtocolError, "a packet that a client must not send");
      return Flow::kEnd;
  }
}

void Connection::malformed(const mqtt::DecodeResult& result) {
  shard_.counters().packets_malformed.add();
  const mqtt::Verdict& verdict = result.verdict();
  std::string reason(verdict.explanation);
  reason.append(" [").append(verdict.rule).append("]");
  if (state_ != State::kAwaitConnect) {
    close(verdict.code, reason);
    return;
  }
  // A CONNECT that cannot be read. What level it asked for decides what answer it understands; without one it gets
  // none.
  if (!result.protocol_level) {
    drop(reason);
    return;
  }
  switch (*result.protocol_level) {
    case 3:
    case 4:
      if (verdict.code != ReasonCode::kUnsupportedProtocolVersion) {
        drop(reason);  // [MQTT-3.1.4-1] of 3.1.1
        return;
      }
      decoder_.set_version(static_cast<ProtocolVersion>(*result.protocol_level));
      break;
    case 5:
      decoder_.set_version(ProtocolVersion::kV5);
      break;
    default:
      // A level of tomorrow understands 0x84, one of yesterday 0x01.
      decoder_.set_version(*result.protocol_level > 5 ? ProtocolVersion::kV5 : ProtocolVersion::kV311);
      break;
  }
  refuse_connect(verdict.code, reason);
}

void Connection::peer_is_gone(const IoResult& result) noexcept {
  if (result.outcome == IoOutcome::kEnd) return drop("the client closed the connection");
  if (const std::string_view failure = stream_->failure(); !failure.empty()) return drop(failure);
  drop(from_errno(result.error, "the connection broke").message());
}

void Connection::linger_read() noexcept {
  const IoResult result = stream_->read(shard_.loop().scratch());
  if (result.outcome == IoOutcome::kEnd || result.outcome == IoOutcome::kError) die();
}

// What comes while a plugin is asked about a client that is not in yet: kept, up to a limit. When it ends and nothing
// else has come, there is nobody left to let in; whoever has sent more and gone is still to be heard.
void Connection::read_ahead() noexcept {
  const std::size_t ahead = input_.size() - mqtt::first_packet(input_.bytes()).size();
  IoResult result{IoOutcome::kEnd};
  if (ahead < kMostReadAhead) {
    const std::span<std::uint8_t> room = shard_.loop().scratch().first(kMostReadAhead - ahead);
    result = stream_->read(room);
    if (result.outcome == IoOutcome::kWouldBlock) return;
    if (result.outcome == IoOutcome::kDone) {
      shard_.counters().bytes_received.add(result.bytes);
      input_.append(room.first(result.bytes));
      return;
    }
    if (ahead == 0) return peer_is_gone(result);
  }
  stream_->watch_readable(false);
}

void Connection::wait_for_answer() noexcept {
  waiting_ = true;
  if (state_ == State::kAuthenticating) {
    timer_.stop();  // what the client owed is here; the plugin's own deadline holds now
  } else {
    stream_->watch_readable(false);
  }
}

void Connection::go_on() noexcept {
  if (state_ >= State::kClosing) return;
  waiting_ = false;
  last_seen_ = shard_.loop().now();  // the Keep Alive clock stood still while nothing was read
  stream_->watch_readable(true);
  shard_.resume_later(*this);
}

void Connection::unpause() noexcept { go_on(); }

// ---- access --------------------------------------------------------------------------------------------------------

const AccessVerdict* Connection::authorize(std::size_t index, AccessKind kind, std::string_view topic, QoS qos,
                                           bool retain) {
  static const AccessVerdict kAllowed{.allowed = true, .whole = true, .by = nullptr, .rule = {}};
  const Chain* const chain = this->chain();
  if (chain == nullptr || chain->authorize.empty()) return &kAllowed;
  Rare& rare = this->rare();
  if (index < rare.verdicts.size()) return &rare.verdicts[index];
  Access access(shard_.hooks().context(handle_));
  const Identity& identity = session_ != nullptr ? session_->identity() : *rare.identity;
  access.kind = kind;
  access.subscribe_rule = shard_.auth().subscribe;
  access.version = version();
  access.listener = listener().name;
  access.peer_address = peer_address();
  access.client_id = session_ != nullptr ? session_->client_id() : std::string_view(rare.client_id);
  access.has_user_name = identity.has_user_name;
  access.user_name = identity.user_name;
  access.topic = topic;
  if (const auto shared = kind == AccessKind::kSubscribe ? mqtt::parse_shared(topic) : std::nullopt) {
    access.topic = shared->filter;
    access.share_name = shared->share_name;
  }
  access.qos = qos;
  access.retain = retain;
  std::optional<AccessVerdict> verdict = shard_.hooks().authorize(*chain, access, *this, run_);
  if (!verdict) {
    wait_for_answer();
    return nullptr;
  }
  rare.verdicts.push_back(std::move(*verdict));
  return &rare.verdicts.back();
}

void Connection::on_authorized(AccessVerdict verdict) noexcept {
  rare().verdicts.push_back(std::move(verdict));
  go_on();
}

void Connection::log_refusal(std::string_view event, std::string_view topic, const AccessVerdict& verdict) {
  const std::string_view client = session_ != nullptr ? session_->client_id() : std::string_view(rare().client_id);
  const Identity& identity = session_ != nullptr ? session_->identity() : *rare().identity;
  const LogField fields[] = {{"client", client},
                             {"user", identity.user_name},
                             {"from", peer_address()},
                             {"listener", listener().name},
                             {"topic", topic},
                             {"by", verdict.by == nullptr ? std::string_view("nobody allowed it") : verdict.by->name},
                             {"rule", verdict.rule}};
  if (session_ == nullptr) return log_refused_connect(event, fields);
  shard_.refusal_log().of_client(shard_.loop().now(), session_->client_key(), event, fields);
}

void Connection::log_refused_connect(std::string_view event, std::span<const LogField> fields) {
  shard_.refusal_log().of_address(shard_.loop().now(), peer_address(), "auth", event, fields);
  rare().refusal_is_told = true;
}

// ---- output --------------------------------------------------------------------------------------------------------

mqtt::PeerLimits Connection::peer_limits() const noexcept { return {maximum_packet_size_, problem_information_}; }

Counters& Connection::shard_counters() noexcept { return shard_.counters(); }

void Connection::mark_dirty() noexcept { shard_.mark_dirty(*this); }

void Connection::send_bytes(std::span<const std::uint8_t> bytes) {
  if (state_ >= State::kClosing) return;
  shard_.counters().packets_sent.add();
  output_.append(bytes);
  mark_dirty();
}

PublishReceiver Connection::publish_receiver() noexcept {
  PublishReceiver receiver;
  receiver.version = decoder_.version();
  receiver.maximum_packet_size = maximum_packet_size_;
  if (topic_alias_maximum_ != 0) {
    if (rare().outbound_aliases.maximum() == 0) {
      rare_->outbound_aliases = mqtt::OutboundTopicAliases(topic_alias_maximum_);
    }
    receiver.aliases = &rare_->outbound_aliases;
  }
  return receiver;
}

void Connection::publish_written(std::size_t payload) noexcept {
  Counters& counters = shard_.counters();
  counters.packets_sent.add();
  counters.publishes_sent.add();
  counters.payload_sent.add(payload);
  if (shard_.traces()) shard_.trace_packet(*this, "out", mqtt::PacketType::kPublish);
  mark_dirty();
}

bool Connection::output_is_above_soft_limit() const noexcept { return output_.size() > limits().output.soft; }

void Connection::send_ack(mqtt::PacketType type, std::uint16_t packet_id, ReasonCode code, std::string_view reason) {
  mqtt::AckPacket packet;
  packet.type = type;
  packet.packet_id = packet_id;
  if (version() != ProtocolVersion::kV5) {
    send(packet);
    return;
  }
  packet.reason_code = code;
  mqtt::PropertyWriter properties;
  if (!reason.empty() && problem_information_) {
    packet.properties = properties.add(mqtt::PropertyId::kReasonString, reason).properties();
  }
  if (mqtt::fit(packet, version(), peer_limits())) send(packet);
}

void Connection::publish_acknowledged(mqtt::PacketType type, std::uint16_t packet_id, ReasonCode code,
                                      std::string_view reason) {
  if (!is_open()) return;
  if (type == mqtt::PacketType::kPuback || is_error(code)) receive_quota_.give_back();
  send_ack(type, packet_id, code, reason);
  MQLOOP_FAILPOINT("ack");
}

void Connection::flush() noexcept {
  if (state_ >= State::kLingering) return;
  if (peer_blocked_) {
    enforce_hard_limit();
    return;
  }
  while (!output_.empty()) {
    std::array<iovec, kPartsPerWrite> parts;
    const std::size_t count = output_.gather(parts);
    const IoResult result = stream_->write(std::span(parts).first(count));
    if (result.outcome == IoOutcome::kDone) {
      MQLOOP_FAILPOINT("sent");
      shard_.counters().bytes_sent.add(result.bytes);
      last_progress_ = shard_.loop().now();
      std::size_t offered = 0;
      for (std::size_t i = 0; i != count; ++i) offered += parts[i].iov_len;
      output_.consume(result.bytes);
      if (result.bytes == offered) continue;
    } else if (result.outcome != IoOutcome::kWouldBlock) {
      peer_is_gone(result);
      return;
    }
    peer_blocked_ = true;
    stream_->watch_writable(true);
    shard_.watch_progress(*this);
    enforce_hard_limit();
    return;
  }
  last_progress_ = shard_.loop().now();
  if (state_ == State::kClosing) {
    finish_close();
  } else if (session_ != nullptr) {
    // What waited for the output to shrink: nothing else will call for it.
    shard_.delivery().pump(*session_);
    shard_.replays().output_shrank();
  }
}

void Connection::enforce_hard_limit() noexcept {
  if (output_.size() > limits().output.hard) drop("unsent bytes are above limits.output.hard");
}

bool Connection::is_stalled() const noexcept {
  return peer_blocked_ && limits().output.stall != kInfinite &&
         shard_.loop().now() - last_progress_ >= limits().output.stall;
}

void Connection::on_writable() noexcept {
  if (!peer_blocked_) return;
  peer_blocked_ = false;
  stream_->watch_writable(false);
  flush();
  if (session_ != nullptr && may_send_now()) shard_.delivery().pump(*session_);
}

}  // namespace mqloop::broker
