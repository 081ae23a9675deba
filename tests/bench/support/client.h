// The protocol side of a client for benches: makes packets, and acknowledges at once whatever it is sent (QoS 2 in both
// roles). It believes the broker; what it counts is for the bench to look at. What its bytes travel on is for who
// derives from it. It keeps no buffer that is empty, so that the memory of a bench is the broker's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/protocol.h>

#include "core/mqtt/decoder.h"
#include "core/mqtt/packet.h"

namespace mqloop::bench {

class Client {
 public:
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void disconnect();
  void subscribe(std::string_view filter, QoS qos);
  void unsubscribe(std::string_view filter);
  void publish(std::string_view topic, std::string_view payload, QoS qos, bool retain = false);
  void ping();

  [[nodiscard]] bool is_connected() const noexcept { return connected_; }
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }  // PUBLISH that came
  [[nodiscard]] std::uint64_t answers() const noexcept { return answers_; }    // SUBACK, UNSUBACK, PINGRESP

 protected:
  Client(std::string id, ProtocolVersion version);
  ~Client() = default;

  // A session that is kept has the longest expiry there is.
  void send_connect(bool clean_start, bool keep_session);
  // Handles what has arrived, as far as it is whole packets.
  void answer();
  // There is something in sent_.
  virtual void has_sent() = 0;

  std::vector<std::uint8_t> sent_;     // and not taken yet
  std::vector<std::uint8_t> arrived_;  // and not looked at yet

 private:
  void send(const mqtt::Packet& packet);
  void handle(const mqtt::Packet& packet);
  void acknowledge(mqtt::PacketType type, std::uint16_t packet_id);
  std::uint16_t next_packet_id() noexcept;

  std::string id_;
  ProtocolVersion version_;
  mqtt::Decoder decoder_;
  std::uint16_t last_packet_id_ = 0;
  bool connected_ = false;
  std::uint64_t messages_ = 0;
  std::uint64_t answers_ = 0;
};

}  // namespace mqloop::bench
