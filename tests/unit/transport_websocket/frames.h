// WebSocket frames as a client makes them, and a reader of such that takes them as they are.
#pragma once

#include <cstdint>
#include <string>

namespace mqloop::websocket::testing {

// `first`: FIN, reserved bits and opcode. The mask is not zero.
inline std::string frame(int first, const std::string& payload, const std::string& mask = "\x11\x22\x33\x44") {
  std::string bytes(1, static_cast<char>(first));
  const std::size_t extended = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
  const std::size_t length = extended == 0 ? payload.size() : extended == 2 ? 126 : 127;
  bytes += static_cast<char>(0x80 | length);
  for (std::size_t i = extended; i-- != 0;) bytes += static_cast<char>(payload.size() >> (8 * i));
  bytes += mask;
  for (std::size_t i = 0; i != payload.size(); ++i) bytes += static_cast<char>(payload[i] ^ mask[i % 4]);
  return bytes;
}

// Of a server's frames: what the messages carried, how many they were, and the control frames (opcode, payload, ";").
struct ServerFrames {
  std::string payload;
  std::string control;
  int messages = 0;

  // False when `bytes` ends inside of a frame, or has what no server may send.
  bool read(const std::string& bytes) {
    std::size_t at = 0;
    while (at + 2 <= bytes.size()) {
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
      const unsigned opcode = byte(at) & 0x0F;
      std::uint64_t size = byte(at + 1);
      const std::size_t extended = size == 126 ? 2 : size == 127 ? 8 : 0;
      if ((byte(at) & 0xF0) != 0x80 || size > 127 || at + 2 + extended > bytes.size()) return false;
      if (extended != 0) size = 0;
      for (std::size_t i = 0; i != extended; ++i) size = size << 8 | byte(at + 2 + i);
      at += 2 + extended;
      if (size > bytes.size() - at) return false;
      const std::string data = bytes.substr(at, size);
      at += size;
      if ((opcode & 0x08) != 0) {
        control += std::to_string(opcode) + data + ';';
      } else {
        payload += data;
        ++messages;
      }
    }
    return at == bytes.size();
  }
};

}  // namespace mqloop::websocket::testing
