#include "tests/bench/load/packets.h"

#include <unistd.h>

#include "tests/bench/load/base.h"

namespace mqloop::load {

namespace {

char* write_u16(char* out, uint32_t value) {
  *out++ = static_cast<char>(value >> 8);
  *out++ = static_cast<char>(value);
  return out;
}

char* write_length(char* out, uint32_t value) {
  do {
    const uint32_t digit = value & 127;
    value >>= 7;
    *out++ = static_cast<char>(value != 0 ? digit | 128 : digit);
  } while (value != 0);
  return out;
}

uint32_t length_size(uint32_t value) { return value > 2097151 ? 4 : value > 16383 ? 3 : value > 127 ? 2 : 1; }

void put_u16(std::string& bytes, uint32_t value) {
  char digits[2];
  bytes.append(digits, write_u16(digits, value));
}

void put_length(std::string& bytes, uint32_t value) {
  char digits[4];
  bytes.append(digits, write_length(digits, value));
}

void put_text(std::string& bytes, std::string_view text) {
  put_u16(bytes, static_cast<uint32_t>(text.size()));
  bytes += text;
}

std::string packet(uint8_t first, const std::string& body) {
  std::string bytes(1, static_cast<char>(first));
  put_length(bytes, static_cast<uint32_t>(body.size()));
  return bytes + body;
}

}  // namespace

uint32_t read_length(const char*& at) {
  uint32_t value = 0;
  for (uint32_t shift = 0;; shift += 7) {
    const uint8_t digit = byte_of(*at++);
    value |= static_cast<uint32_t>(digit & 127) << shift;
    if ((digit & 128) == 0) return value;
  }
}

ConnectPacket connect_packet(int version, const std::string& client_id, bool clean, uint32_t expiry_seconds) {
  constexpr uint16_t kKeepAlive = 1200;
  std::string body;
  put_text(body, "MQTT");
  body += static_cast<char>(version);
  body += static_cast<char>(clean ? 2 : 0);
  put_u16(body, kKeepAlive);
  if (version == 5) {
    std::string properties;
    if (expiry_seconds != 0) {  // Session Expiry Interval
      properties += '\x11';
      put_u16(properties, expiry_seconds >> 16);
      put_u16(properties, expiry_seconds & 65535);
    }
    properties += '\x21';  // Receive Maximum
    put_u16(properties, 65535);
    put_length(body, static_cast<uint32_t>(properties.size()));
    body += properties;
  }
  put_text(body, client_id);
  return {packet(0x10, body), version};
}

std::string client_id(const char* tag, uint64_t number) {
  return "mq" + std::string(tag) + std::to_string(getpid() % 100000) + "-" + std::to_string(number);
}

std::string subscribe_packet(int version, uint16_t packet_id, const std::vector<std::string>& filters, int qos) {
  std::string body;
  put_u16(body, packet_id);
  if (version == 5) body += '\0';
  for (const std::string& filter : filters) {
    put_text(body, filter);
    body += static_cast<char>(qos);
  }
  return packet(0x82, body);
}

std::string unsubscribe_packet(int version, uint16_t packet_id, const std::vector<std::string>& filters) {
  std::string body;
  put_u16(body, packet_id);
  if (version == 5) body += '\0';
  for (const std::string& filter : filters) put_text(body, filter);
  return packet(0xA2, body);
}

uint32_t Publish::remaining() const {
  return static_cast<uint32_t>(2 + topic.size() + (qos != 0 ? 2 : 0) + (version == 5 ? 1 : 0)) + payload;
}

uint32_t Publish::size() const { return 1 + length_size(remaining()) + remaining(); }

char* Publish::encode(char* out) const {
  *out++ = static_cast<char>(0x30 | qos << 1 | (retain ? 1 : 0));
  out = write_length(out, remaining());
  out = write_u16(out, static_cast<uint32_t>(topic.size()));
  out = append(out, topic);
  if (qos != 0) out = write_u16(out, packet_id);
  if (version == 5) *out++ = 0;
  return out;
}

PublishTemplate::PublishTemplate(const Publish& publish) : bytes_(publish.size(), '\0') {
  payload_at_ = static_cast<uint32_t>(publish.encode(bytes_.data()) - bytes_.data());
  if (publish.qos != 0) packet_id_at_ = payload_at_ - (publish.version == 5 ? 3 : 2);
  for (uint32_t i = 0; i < publish.payload; ++i) bytes_[payload_at_ + i] = static_cast<char>('a' + i % 26);
}

void PublishTemplate::write(char* out, uint16_t packet_id, const Stamp& stamp) const {
  std::memcpy(out, bytes_.data(), bytes_.size());
  if (packet_id_at_ != 0) write_u16(out + packet_id_at_, packet_id);
  std::memcpy(out + payload_at_, &stamp, sizeof stamp);
}

}  // namespace mqloop::load
