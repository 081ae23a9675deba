// What the loop does with packets from the broker: as little as answers and checks need.
#include "tests/bench/load/base.h"
#include "tests/bench/load/loop.h"

namespace mqloop::load {

namespace {

enum PacketType : uint8_t {
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSuback = 9,
  kUnsuback = 11,
};

constexpr uint8_t kFirstFailure = 0x80;  // among reason codes
constexpr uint32_t kLargestPacket = 4 << 20;

}  // namespace

char* Loop::handle_packets(Connection& connection, char* begin, char* end) {
  while (end - begin >= 2) {
    const char* body = begin + 1;
    uint32_t length = 0;
    for (uint32_t shift = 0;; shift += 7) {
      if (shift > 21) die("bad Remaining Length from the broker");
      if (body == end) return begin;
      const uint8_t digit = byte_of(*body++);
      length |= static_cast<uint32_t>(digit & 127) << shift;
      if ((digit & 128) == 0) break;
    }
    if (static_cast<size_t>(end - body) < length) {
      if (length + 16 > kLargestPacket) die("a packet that is larger than the read buffer");
      return begin;
    }
    handle_packet(connection, byte_of(*begin), body, body + length);
    begin += body - begin + length;
    if (connection.fd < 0) return end;
  }
  return begin;
}

void Loop::handle_packet(Connection& connection, uint8_t first, const char* body, const char* end) {
  const bool is_failure = end - body > 2 && byte_of(body[2]) >= kFirstFailure;
  switch (first >> 4) {
    case kPublish:
      return handle_publish(connection, first, body, end);
    case kPuback:
    case kPubcomp:
      counters_.negative += is_failure ? 1 : 0;
      return handler_->on_ack(connection);
    case kPubrec:
      if (!is_failure) return answer(connection, 0x62, body);
      ++counters_.negative;
      return handler_->on_ack(connection);
    case kPubrel:
      return answer(connection, 0x70, body);
    case kConnack:
      if (body[1] != 0) die("CONNACK refused with code %d", int{byte_of(body[1])});
      connection.state = Connection::State::kUp;
      return handler_->on_up(connection, (body[0] & 1) != 0);
    case kSuback:
    case kUnsuback:
      return handle_acks(connection, body + 2, end, first >> 4 == kSuback);
    default:  // PINGRESP, DISCONNECT
      return;
  }
}

void Loop::handle_publish(Connection& connection, uint8_t first, const char* body, const char* end) {
  const std::string_view topic(body + 2, read_u16(body));
  const char* at = topic.data() + topic.size();
  const int qos = first >> 1 & 3;
  const char* packet_id = at;
  if (qos != 0) at += 2;
  if (connection.version == 5) {
    const uint32_t properties = read_length(at);
    at += properties;
  }
  counters_.duplicates += first >> 3 & 1;
  handler_->on_publish(connection, {first, topic, {at, static_cast<size_t>(end - at)}});
  if (qos != 0) answer(connection, qos == 1 ? 0x40 : 0x50, packet_id);
}

void Loop::handle_acks(Connection& connection, const char* codes, const char* end, bool is_suback) {
  if (connection.version == 5) {
    const uint32_t properties = read_length(codes);
    codes += properties;
  }
  for (const char* code = codes; code < end; ++code) counters_.refused += byte_of(*code) >= kFirstFailure ? 1 : 0;
  ++connection.acks;
  handler_->on_suback(connection, is_suback ? static_cast<uint32_t>(end - codes) : 0);
}

void Loop::answer(Connection& connection, uint8_t first, const char* packet_id) {
  char* out = room(connection, 4);
  out[0] = static_cast<char>(first);
  out[1] = 2;
  out[2] = packet_id[0];
  out[3] = packet_id[1];
}

}  // namespace mqloop::load
