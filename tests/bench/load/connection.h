// One connection of the generator, and who is told what arrives on it. A Connection is opened and closed by the Loop;
// its owner, a scenario, keeps it in a vector that does not move meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/bench/load/out_buffer.h"
#include "tests/bench/load/web_socket.h"

namespace mqloop::load {

struct Connection {
  enum class State : uint8_t { kFree, kConnecting, kUp, kLeaving };

  int fd = -1;
  uint32_t index = 0;  // the scenario's own
  State state = State::kFree;
  uint8_t version = 4;
  bool wants_writable = false;
  bool is_dirty = false;
  bool is_closing = false;  // a WebSocket whose close frame is answered
  OutBuffer out;
  std::string cut;  // the start of a packet, or of an upgrade's answer, whose end has not come
  std::unique_ptr<WebSocketReader> web_socket;
  uint64_t opened_ns = 0;
  uint32_t acks = 0;  // SUBACK and UNSUBACK since it was opened
  uint16_t packet_id = 0;

  uint16_t next_packet_id() {
    packet_id = static_cast<uint16_t>(packet_id % 65535 + 1);
    return packet_id;
  }
};

struct Delivery {
  uint8_t first;  // byte of the packet: QoS, RETAIN and DUP
  std::string_view topic;
  std::string_view payload;
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_up(Connection&, bool /*session_present*/) {}
  virtual void on_suback(Connection&, uint32_t /*codes*/) {}  // UNSUBACK too
  virtual void on_publish(Connection&, const Delivery&) {}
  virtual void on_ack(Connection&) {}  // PUBACK, PUBCOMP, or a PUBREC that refuses
  virtual void on_close(Connection&) {}
};

}  // namespace mqloop::load
