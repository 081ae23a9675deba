// Connection: one client's network connection, from accept to close: reads and decodes, hands each packet to the
// handler that has its name (handle_connect.cc, handle_publish.cc ...), collects what is to be written. Owned by the
// Shard of the reactor that its stream is attached to; that reactor's thread only.
//
//   state            meaning                                       goes to
//   kAwaitConnect    nothing but a CONNECT may come                kAuthenticating, kClosing
//   kAuthenticating  CONNECT has come; a plugin is asked, an AUTH   kOpen, kClosing, or away to its home
//                    of the client awaited, or a take-over braked
//   kOpening         its session stands, and is on its way to disk  kOpen, kClosing
//   kOpen            CONNACK 0 has been sent                       kClosing
//   kClosing         the last bytes are on their way out           kLingering, kDead
//   kLingering       all is written, the peer's end is awaited     kDead
//   kDead            destroyed at the end of this turn
//
// A handler that must wait for a plugin answers kWait: its packet stays in the input, nothing more is decoded, and when
// the verdict is there the packet is handled again from its start, now with the verdict at hand. So a handler changes
// nothing before it has all its verdicts. Nor is anything read meanwhile, but for a little from a client that is not in
// yet, so that one which has gone does not hold its place until the plugin has thought.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/transport.h>

#include "core/broker/configuration.h"
#include "core/broker/enhanced_auth.h"
#include "core/broker/hook_chain.h"
#include "core/broker/publish_writer.h"
#include "core/broker/publishing.h"
#include "core/broker/session.h"
#include "core/event/input_buffer.h"
#include "core/event/send_queue.h"
#include "core/event/timer_wheel.h"
#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "core/mqtt/send_quota.h"
#include "core/mqtt/topic_alias.h"

namespace mqloop::broker {

class ListenerGate;
class Shard;

// A connection on its way to its session's home: all that it is made of, and the bytes that it had read, its CONNECT
// first.
struct Arrival {
  std::unique_ptr<Stream> stream;
  ListenerGate* gate = nullptr;
  std::vector<std::uint8_t> input;
  std::string client_id;
  bool client_id_assigned = false;
  Identity identity;
  bool will_is_allowed = false;
  std::unique_ptr<EnhancedAuth> enhanced;
};

class Connection final : public StreamOwner, private AuthenticateOwner, private AuthorizeOwner {
 public:
  enum class State : std::uint8_t { kAwaitConnect, kAuthenticating, kOpening, kOpen, kClosing, kLingering, kDead };

  Connection(Shard& shard, std::unique_ptr<Stream> stream, ListenerGate& gate);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Starts reading. An error: the connection is to be destroyed.
  [[nodiscard]] Status start();
  // The same for one that comes from another reactor: its CONNECT is handled first.
  [[nodiscard]] Status start(Arrival arrival);

  // Its name in the Shard, which sets it before start().
  [[nodiscard]] ConnectionHandle handle() const noexcept { return handle_; }
  void set_handle(ConnectionHandle handle) noexcept { handle_ = handle; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_open() const noexcept { return state_ == State::kOpen; }
  [[nodiscard]] ProtocolVersion version() const noexcept { return decoder_.version(); }
  [[nodiscard]] Session* session() const noexcept { return session_; }
  [[nodiscard]] std::string_view peer_address() const noexcept { return stream_->peer_address(); }

  // Ends the connection: says why in the way that the version and state allow (CONNACK, DISCONNECT or nothing), writes
  // what is left and closes. The will is published unless the reason is that the client asked for none.
  void close(ReasonCode code, std::string_view reason);
  // Closes without a word to the client.
  void drop(std::string_view reason);
  // The broker stops.
  void shut_down(bool send_disconnect, bool publish_will);

  // ---- another configuration
  // A plugin of the configuration before is being asked, or a verdict of one is kept: that configuration must stay.
  [[nodiscard]] bool is_being_judged() const noexcept;
  [[nodiscard]] bool listener_is_closed() const noexcept;
  // `before`: the views of the shard until now.
  void configuration_has_changed(std::span<const ListenerView> before);

  // ---- what Delivery writes
  [[nodiscard]] event::SendQueue& output() noexcept { return output_; }
  [[nodiscard]] PublishReceiver publish_receiver() noexcept;
  void publish_written(std::size_t payload) noexcept;
  [[nodiscard]] bool output_is_above_soft_limit() const noexcept;
  // QoS 1 and 2 may be sent now, as far as the output is concerned.
  [[nodiscard]] bool may_send_now() const noexcept { return is_open() && !output_is_above_soft_limit(); }
  [[nodiscard]] mqtt::SendQuota& send_quota() noexcept { return send_quota_; }
  // How many unacknowledged messages its client may have.
  [[nodiscard]] std::uint16_t receive_maximum() const noexcept { return send_quota_.maximum(); }
  void send_ack(mqtt::PacketType type, std::uint16_t packet_id, ReasonCode code, std::string_view reason = {});
  // PUBACK or PUBREC for a PUBLISH of this client, at last.
  void publish_acknowledged(mqtt::PacketType type, std::uint16_t packet_id, ReasonCode code,
                            std::string_view reason = {});
  void send_bytes(std::span<const std::uint8_t> bytes);

  // ---- called by the Shard
  void on_readable() noexcept override;
  void on_writable() noexcept override;
  // Goes on with input that was left undecoded. The shard's resume list has let go of it.
  void resume() noexcept;
  // Writes what is collected; once a turn.
  void flush() noexcept;
  // That its session stands is on disk: CONNACK, and all that was put off until then.
  void session_stands() noexcept;
  // The owner of a group has taken this client in as a member.
  void shared_subscription_stands() noexcept;
  // The publishers' backlog is gone.
  void unpause() noexcept;
  // It takes nothing although much waits, for longer than limits.output.stall.
  [[nodiscard]] bool is_stalled() const noexcept;
  [[nodiscard]] bool is_blocked() const noexcept { return peer_blocked_ && state_ < State::kLingering; }

  // PUBCOMP for a PUBREL of this client, at last.
  // `first`: it was not said before.
  void publish_released(std::uint16_t packet_id, ReasonCode code, bool first);

  // How many answers to this client Publishing has that wait for a turn.
  std::uint32_t waiting_answers = 0;
  // Which of the shard's lists it stands in.
  bool in_dirty_list = false;
  bool in_resume_list = false;

 private:
  enum class Flow : std::uint8_t {
    kNext,  // handled: on to the next packet
    kWait,  // not handled yet: again later, from its start
    kEnd,   // the connection is closing, or has moved away
    kRest,  // handled: the next packet has to wait for an answer
  };
  struct Rare;
  struct Pace;
  // What CONNACK told the client it may do: it holds for this connection, whatever the limits become.
  struct Announced {
    std::uint8_t maximum_qos : 2 = 2;
    bool retain : 1 = true;
    bool wildcard : 1 = true;
    bool shared : 1 = true;
  };

  // input
  void read_some() noexcept;
  void linger_read() noexcept;
  void read_ahead() noexcept;
  void decode_buffered() noexcept;
  // Handles packets of `bytes` within the turn's budget; how many bytes were used.
  std::size_t decode(std::span<const std::uint8_t> bytes);
  Flow handle(mqtt::Packet& packet);
  void malformed(const mqtt::DecodeResult& result);
  void peer_is_gone(const IoResult& result) noexcept;
  void wait_for_answer() noexcept;
  void go_on() noexcept;

  // handle_connect.cc
  Flow handle_connect(const mqtt::ConnectPacket& packet);
  [[nodiscard]] bool connect_is_acceptable(const mqtt::ConnectPacket& packet);
  [[nodiscard]] bool choose_client_id(const mqtt::ConnectPacket& packet);
  [[nodiscard]] Flow authenticate(const mqtt::ConnectPacket& packet);
  [[nodiscard]] bool decide(AuthVerdict verdict, const mqtt::ConnectPacket& packet);
  [[nodiscard]] bool anonymous_is_allowed() const noexcept;
  [[nodiscard]] Flow authorize_will(const mqtt::ConnectPacket& packet);
  // Authentication is over.
  [[nodiscard]] Flow enter(const mqtt::ConnectPacket& packet);
  [[nodiscard]] Flow go_home();
  Flow open_session(const mqtt::ConnectPacket& packet);
  [[nodiscard]] bool can_be_kept(const Session* session, const mqtt::ConnectPacket& packet) const noexcept;
  // CONNACK has been sent.
  void opened(bool resumed);
  [[nodiscard]] Flow brake_take_over(const Session& session);
  void adopt_principal(ProtocolVersion version, bool resumed);
  void adopt_limits(const mqtt::ConnectPacket& packet);
  [[nodiscard]] std::uint32_t expiry_of(const mqtt::ConnectPacket& packet) const noexcept;
  void store_will(const mqtt::ConnectPacket& packet);
  [[nodiscard]] mqtt::Properties connack_properties(const mqtt::ConnectPacket& packet, mqtt::PropertyWriter& writer);
  void refuse_connect(ReasonCode code, std::string_view reason);
  void on_authenticated(AuthVerdict verdict) noexcept override;

  // handle_auth.cc
  Flow handle_auth(const mqtt::AuthPacket& packet);
  Flow go_on_connecting(const mqtt::AuthPacket& packet);
  [[nodiscard]] AuthStep auth_step(const mqtt::AuthPacket& packet);
  [[nodiscard]] bool challenge(AuthVerdict verdict);
  // False: the client cannot take it, and the connection is closing.
  bool send_auth(ReasonCode code, std::string_view data);
  Flow reauthenticate(const mqtt::AuthPacket& packet);
  void reauthenticated(AuthVerdict verdict);
  void on_step_deadline() noexcept;
  void reauthentication_failed(ReasonCode code, std::string_view reason, const PluginInstance* by);

  // handle_publish.cc
  Flow handle_publish(const mqtt::PublishPacket& packet);
  // No: it waits, and goes on by itself.
  [[nodiscard]] bool may_be_taken(const mqtt::PublishPacket& packet);
  void publish_repeated(std::uint16_t packet_id);
  [[nodiscard]] bool publish_is_acceptable(const mqtt::PublishPacket& packet, std::string_view& topic);
  Flow publish_allowed(const mqtt::PublishPacket& packet, std::string_view topic);
  void answer_publish(const mqtt::PublishPacket& packet, ReasonCode code, std::string_view reason = {});
  Flow publish_refused(const mqtt::PublishPacket& packet, std::string_view topic, const AccessVerdict& verdict);

  // handle_ack.cc
  Flow handle_ack(const mqtt::AckPacket& packet);
  void handle_pubrel(const mqtt::AckPacket& packet);
  void handle_delivery_ack(const mqtt::AckPacket& packet, mqtt::SenderEvent event);

  // handle_subscribe.cc
  Flow handle_subscribe(const mqtt::SubscribePacket& packet);
  struct FilterList;
  [[nodiscard]] FilterList filters_under_way();
  [[nodiscard]] Flow wait_with(FilterList list);
  [[nodiscard]] bool take_filter(std::string_view filter);
  void judge_filters_afresh() noexcept;
  // Nothing can be said of them to the publisher, which would have to keep it.
  [[nodiscard]] bool subscriptions_are_frozen() const noexcept;
  [[nodiscard]] Flow wait_for_end_of_trouble(FilterList list);
  [[nodiscard]] bool judge_subscriptions(const mqtt::SubscribePacket& packet, FilterList& list);
  [[nodiscard]] ReasonCode subscribe_one(const mqtt::SubscriptionRequest& request, const AccessVerdict& verdict,
                                         FilterList& list);
  [[nodiscard]] ReasonCode filter_is_acceptable(std::string_view filter) const noexcept;
  Flow handle_unsubscribe(const mqtt::UnsubscribePacket& packet);

  // connection_pace.cc: limits.rates
  void start_pacing();
  // False: not now, and it will go on by itself.
  [[nodiscard]] bool may_read() noexcept;
  [[nodiscard]] bool may_publish() noexcept;
  void note_read(std::size_t bytes) noexcept;
  void note_publish() noexcept;
  bool rest_until_due(std::chrono::milliseconds wait) noexcept;
  void on_rested() noexcept;

  // handle_disconnect.cc
  Flow handle_disconnect(const mqtt::DisconnectPacket& packet);

  // access
  // What the configuration says of the listener that the connection came by.
  [[nodiscard]] const ListenerSettings& listener() const noexcept;
  [[nodiscard]] const Chain* chain() const noexcept;  // null: whoever comes may enter and do everything
  [[nodiscard]] const LimitsSettings& limits() const noexcept;
  // The verdict on the `index`-th question of the packet that is being handled; nothing: it must wait.
  const AccessVerdict* authorize(std::size_t index, AccessKind kind, std::string_view topic, QoS qos, bool retain);
  void on_authorized(AccessVerdict verdict) noexcept override;
  void log_refusal(std::string_view event, std::string_view topic, const AccessVerdict& verdict);
  void log_refused_connect(std::string_view event, std::span<const LogField> fields);
  void log_end(std::string_view reason);

  // output
  // Encodes `packet` into the output; nothing where the version has no such packet, or after the last one.
  template <typename Packet>
  void send(const Packet& packet) {
    if (state_ >= State::kClosing) return;
    const std::size_t size = mqtt::encoded_size(packet, version());
    if (size == 0) return;
    shard_counters().packets_sent.add();
    if (size <= event::SendQueue::kMostReserved) {
      mqtt::encode(packet, version(), output_.reserve(size));
      output_.commit(size);
    } else {
      std::vector<std::uint8_t> bytes(size);
      mqtt::encode(packet, version(), bytes.data());
      output_.append(bytes);
    }
    mark_dirty();
  }
  // SUBACK and UNSUBACK: at once, or when the publisher has completed this turn or an earlier one.
  template <typename Packet>
  void send_answer(const Packet& packet, const FilterList& list);
  void mark_dirty() noexcept;
  [[nodiscard]] Counters& shard_counters() noexcept;
  [[nodiscard]] mqtt::PeerLimits peer_limits() const noexcept;

  // the end
  void begin_close(std::string_view reason, bool keep_will);
  void detach_session(bool keep_will);
  void enforce_hard_limit() noexcept;
  void finish_close() noexcept;
  void die() noexcept;
  void on_timer() noexcept;
  bool sent_something_meanwhile() noexcept;
  void start_keep_alive() noexcept;
  [[nodiscard]] std::chrono::milliseconds keep_alive_allowance() const noexcept;
  Rare& rare();

  Shard& shard_;
  ListenerGate* gate_;  // null once the connection has moved on
  std::unique_ptr<Stream> stream_;
  Session* session_ = nullptr;
  ConnectionHandle handle_;
  mqtt::Decoder decoder_;
  State state_ = State::kAwaitConnect;
  bool waiting_ = false;       // for an answer or a backlog: nothing is decoded
  bool peer_blocked_ = false;  // the last write did not go: writability is watched
  bool is_paced_ = false;      // limits.rates has something to say about it
  bool problem_information_ = true;
  bool normal_disconnect_ = false;  // DISCONNECT 0x00: no will
  bool begun_before_ = false;       // the packet under way was handled before, but not to its end
  Announced announced_;
  std::uint16_t topic_alias_maximum_ = 0;      // how many aliases may be sent to the client
  std::uint16_t announced_alias_maximum_ = 0;  // how many it may send
  std::uint16_t keep_alive_ = 0;               // seconds, as it binds the client
  mqtt::SendQuota send_quota_;
  mqtt::ReceiveQuota receive_quota_;
  std::uint32_t maximum_packet_size_ = 268'435'460;  // the client's
  event::InputBuffer input_;                         // what is not decoded yet
  std::size_t needed_ = 0;                           // size of the packet that begins it, 0 while unknown
  std::span<const std::uint8_t> undecoded_;          // while decoding: from the packet under way on
  event::SendQueue output_;
  MonotonicTime last_seen_{};      // a packet came
  MonotonicTime last_progress_{};  // output went, or there was none
  event::MemberTimer<Connection, &Connection::on_timer> timer_;
  PendingRun run_;              // a hook that has not answered yet
  std::unique_ptr<Rare> rare_;  // what most connections never need
};

}  // namespace mqloop::broker
