// A client on the simulated network whose every packet the test makes, and which writes down what comes back, as in
// "AUTH 18 nonce | CONNACK 00 | closed". It keeps no state and has no opinion. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "tests/support/simulated_network.h"

namespace mqloop::sim {

class TranscriptClient final : private LinkClient {
 public:
  // `method` is the Authentication Method that its packets will carry; empty: none.
  TranscriptClient(SimulatedNetwork& network, std::string id, std::string method = {});
  // Packets that belong to an exchange are told with their identifier, PUBLISH with all its flags too: "PUBLISH t m q2
  // #1 dup retain | PUBREL #1".
  void tell_exchanges() noexcept { tells_exchanges_ = true; }
  // Of the connections that follow; 5.0 unless this says otherwise.
  void set_version(ProtocolVersion version) noexcept { version_ = version; }
  TranscriptClient(const TranscriptClient&) = delete;
  TranscriptClient& operator=(const TranscriptClient&) = delete;
  ~TranscriptClient();

  // Opens a connection, the one that all else is about.
  void open();
  void send(const mqtt::Packet& packet);
  void send_bytes(std::span<const std::uint8_t> bytes);
  // What is sent between these two arrives together.
  void hold() { held_.emplace(); }
  void release();
  void reset();
  // It sends no more, and still listens.
  void finish();
  // It reads nothing more and does not close either.
  void stop_listening() { network_.set_reading(link_, false); }

  struct Connect {
    std::optional<std::string> data = {};
    std::optional<std::string> user_name = {};
    std::optional<std::string> password = {};
    bool clean_start = true;
    std::uint16_t keep_alive = 0;
    std::uint32_t expiry_interval = 0;
    std::uint32_t maximum_packet_size = 0;  // 0: none
    std::string will_topic = {};            // empty: no will
    QoS will_qos = QoS::kAtMostOnce;
    bool will_retain = false;
    std::uint32_t will_delay = 0;
  };
  // On a new connection.
  void connect() { connect(Connect{}); }
  void connect(const Connect& options);
  void auth(ReasonCode code, std::string_view data, std::string_view method);
  void auth(ReasonCode code, std::string_view data) { auth(code, data, method_); }
  void disconnect(ReasonCode code, std::optional<std::uint32_t> expiry_interval = {});
  void subscribe(std::string_view filter, std::uint16_t packet_id, QoS qos = QoS::kAtMostOnce);
  void unsubscribe(std::string_view filter, std::uint16_t packet_id);
  void publish(std::string_view topic, std::string_view payload);
  void publish(std::string_view topic, std::string_view payload, QoS qos, std::uint16_t packet_id, bool retain = false);
  // PUBACK, PUBREC, PUBREL or PUBCOMP.
  void acknowledge(mqtt::PacketType type, std::uint16_t packet_id);
  void ping() { send(mqtt::PingreqPacket{}); }

  // What has come since the last call, or nothing.
  [[nodiscard]] std::string take();
  // A number among the properties of the last CONNACK.
  [[nodiscard]] std::optional<std::uint32_t> announced(mqtt::PropertyId id) const;
  [[nodiscard]] bool is_open_at_broker() const { return network_.is_open_at_broker(link_); }

 private:
  void on_bytes(LinkId link, std::span<const std::uint8_t> bytes) override;
  void on_closed(LinkId link) override;
  [[nodiscard]] std::vector<std::uint8_t> filter_bytes(std::uint16_t packet_id, std::string_view filter) const;
  void send_request(std::uint8_t first, const std::vector<std::uint8_t>& rest);
  void note(std::string line);
  [[nodiscard]] std::string told(const mqtt::Packet& packet);
  [[nodiscard]] std::string told_of_exchange(const mqtt::Properties& properties) const;

  SimulatedNetwork& network_;
  const std::string id_;
  const std::string method_;
  bool tells_exchanges_ = false;
  ProtocolVersion version_ = ProtocolVersion::kV5;
  LinkId link_ = 0;
  std::vector<LinkId> links_;  // all that were ever opened: the network knows this client by them
  std::optional<mqtt::Decoder> decoder_;
  std::vector<std::uint8_t> input_;
  std::optional<std::vector<std::uint8_t>> held_;
  std::string transcript_;
  std::map<mqtt::PropertyId, std::uint32_t> announced_;
};

}  // namespace mqloop::sim
