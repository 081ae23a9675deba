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

// Of masked and of unmasked frames: what the data frames carried, and the control frames (opcode, payload, ";").
struct FrameReader {
  std::string payload;
  std::string control;
  int messages = 0;

  // True when `bytes` ends between frames.
  bool read(const std::string& bytes) {
    std::size_t at = 0;
    while (at + 2 <= bytes.size()) {
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
      const bool is_masked = (byte(at + 1) & 0x80) != 0;
      std::uint64_t size = byte(at + 1) & 0x7F;
      const std::size_t extended = size == 126 ? 2 : size == 127 ? 8 : 0;
      const std::size_t header = 2 + extended + (is_masked ? 4 : 0);
      if (at + header > bytes.size()) return false;
      if (extended != 0) size = 0;
      for (std::size_t i = 0; i != extended; ++i) size = size << 8 | byte(at + 2 + i);
      const std::size_t there = std::min<std::size_t>(size, bytes.size() - at - header);
      std::string data = bytes.substr(at + header, there);
      for (std::size_t i = 0; is_masked && i != data.size(); ++i) data[i] ^= bytes[at + header - 4 + i % 4];
      const bool is_control = (byte(at) & 0x08) != 0;
      if (!is_control) payload += data;
      if (there != size) return false;
      if (is_control) control += std::to_string(byte(at) & 0x0F) + data + ';';
      if (!is_control && (byte(at) & 0x80) != 0) ++messages;
      at += header + there;
    }
    return at == bytes.size();
  }
};

}  // namespace mqloop::websocket::testing
