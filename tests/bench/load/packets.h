// The packets that the generator sends, encoded once where they can be; and the stamp at the start of each payload by
// which a delivery is told apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mqloop::load {

// The first bytes of a payload, in the order of this machine: whoever receives it is this process.
struct Stamp {
  uint32_t publisher;
  uint32_t sequence;
  uint64_t value;  // the time it was due, or whatever the scenario tells itself
};
static_assert(sizeof(Stamp) == 16);

struct ConnectPacket {
  std::string bytes;
  int version = 4;
};
ConnectPacket connect_packet(int version, const std::string& client_id, bool clean = true, uint32_t expiry_seconds = 0);
// Unique on this machine: a tag, the process and a number.
std::string client_id(const char* tag, uint64_t number);

std::string subscribe_packet(int version, uint16_t packet_id, const std::vector<std::string>& filters, int qos);
std::string unsubscribe_packet(int version, uint16_t packet_id, const std::vector<std::string>& filters);
inline constexpr std::string_view kDisconnect{"\xE0\x00", 2};

// A PUBLISH whose payload is written by who sends it.
struct Publish {
  std::string_view topic;
  int version = 4;
  int qos = 0;
  bool retain = false;
  uint16_t packet_id = 0;
  uint32_t payload = 0;

  uint32_t size() const;          // of the whole packet
  char* encode(char* out) const;  // all up to the payload; returns where that goes

 private:
  uint32_t remaining() const;
};

// A PUBLISH that is sent again and again: only its packet identifier and its stamp change.
class PublishTemplate {
 public:
  PublishTemplate() = default;
  explicit PublishTemplate(const Publish& publish);

  uint32_t size() const { return static_cast<uint32_t>(bytes_.size()); }
  void write(char* out, uint16_t packet_id, const Stamp& stamp) const;

 private:
  std::string bytes_;
  uint32_t packet_id_at_ = 0;
  uint32_t payload_at_ = 0;
};

// Reads a Variable Byte Integer that is known to be whole.
uint32_t read_length(const char*& at);
inline uint16_t read_u16(const char* at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(at[0]) << 8 | static_cast<uint8_t>(at[1]));
}

}  // namespace mqloop::load
