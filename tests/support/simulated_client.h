// A scripted MQTT client on the simulated network: 3.1, 3.1.1 or 5.0, with the session state that the standard asks of
// a client (unacknowledged PUBLISH, received QoS 2 identifiers) kept across connections. It acknowledges when it is
// told to, or at once; it reports what happens to a ClientObserver and holds the broker to the rules that one
// connection can see by itself: packet identifiers, flow control, topic aliases, packet sizes, order of packets.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/protocol.h>
#include <mqloop/reason_code.h>

#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/topic_alias.h"
#include "tests/support/simulated_network.h"

namespace mqloop::sim {

class SimulatedClient;

// A PUBLISH as the client got it.
struct Received {
  std::string topic;
  std::string payload;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  bool dup = false;
  // The same message came under the same identifier before: the broker sent it again.
  bool again = false;
  std::vector<std::uint32_t> identifiers;
  std::optional<std::uint32_t> expiry_interval;
};

class ClientObserver {
 public:
  virtual void on_connected(SimulatedClient& client, bool session_present) = 0;
  virtual void on_refused(SimulatedClient& /*client*/, ReasonCode /*code*/) {}
  // The broker has closed the connection; `code` is that of its DISCONNECT.
  virtual void on_closed(SimulatedClient& /*client*/, std::optional<ReasonCode> /*code*/) {}
  // QoS 2: once for each exchange.
  virtual void on_message(SimulatedClient& /*client*/, const Received& /*message*/) {}
  // PUBACK, or PUBREC.
  virtual void on_publish_acknowledged(SimulatedClient& /*client*/, std::uint64_t /*tag*/, ReasonCode /*code*/) {}
  // The session was gone, and the exchange with it.
  virtual void on_publish_lost(SimulatedClient& /*client*/, std::uint64_t /*tag*/) {}
  virtual void on_publish_resent(SimulatedClient& /*client*/, std::uint64_t /*tag*/) {}
  virtual void on_subscribed(SimulatedClient& /*client*/, std::uint64_t /*tag*/,
                             std::span<const ReasonCode> /*codes*/) {}
  virtual void on_unsubscribed(SimulatedClient& /*client*/, std::uint64_t /*tag*/) {}
  // The broker has answered the request with this number: it has seen all that was sent before on this connection.
  virtual void on_answered(SimulatedClient& /*client*/, std::uint64_t /*request*/) {}
  virtual void on_fault(SimulatedClient& client, const std::string& what) = 0;

 protected:
  ~ClientObserver() = default;
};

struct WillOptions {
  std::string topic;
  std::string payload;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::uint32_t delay = 0;  // seconds
};

struct ConnectOptions {
  bool clean_start = true;
  std::uint32_t expiry_interval = 0;  // 5.0, seconds
  std::uint16_t keep_alive = 0;
  std::uint16_t receive_maximum = 65535;
  std::uint16_t topic_alias_maximum = 0;
  std::uint32_t maximum_packet_size = 0;  // 0: none
  std::optional<WillOptions> will = std::nullopt;
  std::optional<std::string> user_name = std::nullopt;
};

struct PublishRequest {
  std::string topic;
  std::string payload;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::uint16_t alias = 0;                                      // 5.0
  std::optional<std::uint32_t> expiry_interval = std::nullopt;  // 5.0
  std::uint64_t tag = 0;                                        // the caller's name for it
};

struct SubscribeEntry {
  std::string filter;
  mqtt::SubscriptionOptions options;
};

class SimulatedClient final : private LinkClient {
 public:
  enum class State : std::uint8_t { kOffline, kConnecting, kOnline, kDisconnecting };

  SimulatedClient(SimulatedNetwork& network, ClientObserver& observer, std::string id, ProtocolVersion version);
  SimulatedClient(const SimulatedClient&) = delete;
  SimulatedClient& operator=(const SimulatedClient&) = delete;
  ~SimulatedClient() = default;

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] ProtocolVersion version() const noexcept { return version_; }
  [[nodiscard]] bool is_v5() const noexcept { return version_ == ProtocolVersion::kV5; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_online() const noexcept { return state_ == State::kOnline; }
  // Counts connections: names the current or the last one.
  [[nodiscard]] std::uint64_t connection() const noexcept { return connections_; }
  [[nodiscard]] const ConnectOptions& options() const noexcept { return options_; }
  // The latest CONNECT was accepted: what session there is, is known.
  [[nodiscard]] bool may_be_resumed() const noexcept { return accepted_; }
  // The code of the DISCONNECT that it has sent on the current or the last connection.
  [[nodiscard]] std::optional<ReasonCode> disconnected() const noexcept { return disconnected_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return exchanges_.size(); }
  [[nodiscard]] std::size_t acks_waiting() const noexcept { return acks_.size(); }
  // Tags of publishes that are not acknowledged for good yet.
  [[nodiscard]] bool has_exchange(std::uint64_t tag) const noexcept;

  // Acknowledgements wait for send_acks().
  void delay_acks(bool on) noexcept { delays_acks_ = on; }

  // False while a connection that got no CONNACK is still open at the broker: which of the two would win is not known.
  [[nodiscard]] bool may_connect() const;
  // With a connection that is open already: another one, which takes over; the old one is left as it is.
  void connect(const ConnectOptions& options);
  void disconnect(ReasonCode code = ReasonCode::kNormalDisconnection, std::optional<std::uint32_t> expiry = {});
  // Ends without DISCONNECT: an orderly end of the stream, a reset, or silence.
  void hang_up();
  void reset();
  void vanish();
  void set_reading(bool on) { network_.set_reading(link_, on); }

  // Only while online. The numbers are those of on_answered(); 0: not now (too much in flight).
  std::uint64_t publish(const PublishRequest& request);
  std::uint64_t subscribe(std::span<const SubscribeEntry> entries, std::uint32_t identifier, std::uint64_t tag);
  std::uint64_t unsubscribe(std::span<const std::string> filters, std::uint64_t tag);
  std::uint64_t ping();
  // Sends at most `most` of the acknowledgements that wait, oldest first.
  void send_acks(std::size_t most);

  // Connections that were left behind and that the broker still has open.
  [[nodiscard]] std::size_t left_behind() const;

 private:
  struct Exchange {
    std::uint16_t packet_id;
    bool awaits_pubcomp;
    std::uint64_t request;  // its number on this connection
    PublishRequest publish;
  };
  struct Question {
    std::uint64_t tag;
    std::uint64_t request;
    bool is_subscribe;
    std::size_t filters;
  };
  struct Ack {
    mqtt::AckPacket packet;
    bool ends_delivery;  // one more may come
  };

  void on_bytes(LinkId link, std::span<const std::uint8_t> bytes) override;
  void on_closed(LinkId link) override;

  void leave();
  void forget_session();
  void end_connection();
  void send(const mqtt::Packet& packet);
  void acknowledge(mqtt::PacketType type, std::uint16_t packet_id, bool ends_delivery);
  void fault(const std::string& what);
  [[nodiscard]] std::uint16_t free_packet_id();
  void send_publish(const PublishRequest& request, std::uint16_t packet_id, bool dup);

  void handle(const mqtt::Packet& packet);
  void handle_connack(const mqtt::ConnackPacket& packet);
  void handle_publish(const mqtt::PublishPacket& packet);
  void handle_ack(const mqtt::AckPacket& packet);
  void handle_answer(std::uint16_t packet_id, bool is_subscribe, std::span<const ReasonCode> codes);
  void resume();

  SimulatedNetwork& network_;
  ClientObserver& observer_;
  const std::string id_;
  const ProtocolVersion version_;
  State state_ = State::kOffline;
  bool delays_acks_ = false;

  // Of the connection.
  LinkId link_ = 0;
  std::uint64_t connections_ = 0;
  ConnectOptions options_;
  std::optional<mqtt::Decoder> decoder_;
  std::vector<std::uint8_t> input_;
  std::uint64_t requests_ = 0;
  std::uint16_t server_receive_maximum_ = 65535;
  std::uint16_t server_alias_maximum_ = 0;
  mqtt::InboundTopicAliases inbound_aliases_;
  std::map<std::uint16_t, std::string> outbound_aliases_;
  std::map<std::uint16_t, Question> questions_;
  std::deque<std::uint64_t> pings_;
  std::size_t stray_pubcomps_ = 0;  // which may still come for exchanges that have ended
  std::deque<Ack> acks_;
  std::set<std::uint16_t> deliveries_;  // identifiers received here and not acknowledged for good
  bool accepted_ = false;
  std::optional<ReasonCode> disconnected_;
  std::optional<ReasonCode> farewell_;  // the broker's
  std::vector<LinkId> left_;            // taken over by a later connection of this client
  std::vector<LinkId> unsettled_;       // left before CONNACK

  // Of the session.
  bool keeps_session_ = false;  // 3.1
  bool ends_with_connection_ = true;
  std::deque<Exchange> exchanges_;
  std::set<std::uint16_t> received_;             // QoS 2, until PUBREL
  std::map<std::uint16_t, std::string> latest_;  // what came last under an identifier
  std::uint16_t last_packet_id_ = 0;
};

}  // namespace mqloop::sim
