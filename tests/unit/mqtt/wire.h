// Bytes for the protocol tests as a reader of the standard would write them down: hexadecimal, with text in quotes.
//   wire("30 07 00 03 'a/b' 'hi'")
// and decoding out of a heap block of exactly their size, so that a sanitizer sees the first byte read beyond the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"

namespace mqloop::mqtt::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes wire(std::string_view text) {
  Bytes bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
    } else if (text[i] == '\'') {
      for (++i; text[i] != '\''; ++i) bytes.push_back(static_cast<std::uint8_t>(text[i]));
      ++i;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
      i += 2;
    }
  }
  return bytes;
}

inline std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789ABCDEF"[byte >> 4];
    text += "0123456789ABCDEF"[byte & 15];
    text += ' ';
  }
  return text;
}

inline std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A fixed header of `first` and the right Remaining Length in front of `body`.
inline Bytes framed(std::uint8_t first, const Bytes& body) {
  Bytes bytes{first};
  std::size_t length = body.size();
  do {
    bytes.push_back(static_cast<std::uint8_t>((length & 0x7F) | (length > 0x7F ? 0x80 : 0)));
    length >>= 7;
  } while (length > 0);
  return bytes + body;
}

// A heap block of exactly the size of `bytes`; the packet decoded from it lives as long.
class ExactBlock {
 public:
  explicit ExactBlock(std::span<const std::uint8_t> bytes)
      : block_(new std::uint8_t[bytes.size()]), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(block_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {block_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> block_;
  std::size_t size_;
};

struct Decoded {
  explicit Decoded(std::span<const std::uint8_t> bytes) : block(bytes) {}
  ExactBlock block;
  DecodeResult result;
  Packet packet;

  template <typename T>
  const T& as() const {
    return std::get<T>(packet);
  }
};

constexpr bool is_v5(ProtocolVersion version) { return version == ProtocolVersion::kV5; }

// A CONNECT without anything to spare, with an Authentication Method "m" when asked for.
inline Bytes minimal_connect(ProtocolVersion version, bool with_method = false) {
  if (version == ProtocolVersion::kV31) return wire("10 0F 00 06 'MQIsdp' 03 02 00 00 00 01 'c'");
  if (version == ProtocolVersion::kV311) return wire("10 0D 00 04 'MQTT' 04 02 00 00 00 01 'c'");
  if (with_method) return wire("10 12 00 04 'MQTT' 05 02 00 00 04 15 00 01 'm' 00 01 'c'");
  return wire("10 0E 00 04 'MQTT' 05 02 00 00 00 00 01 'c'");
}

// The decoder of `self` after a CONNECT and an accepting CONNACK of that version; AUTH is allowed in 5.0.
inline Decoder open_decoder(Role self, ProtocolVersion version) {
  Decoder decoder(self);
  Packet packet;
  if (self == Role::kServer) {
    (void)decoder.decode(minimal_connect(version, is_v5(version)), packet);
    decoder.connack_sent();
  } else {
    decoder.set_version(version);
    decoder.set_authentication_method_used(is_v5(version));
    (void)decoder.decode(is_v5(version) ? wire("20 03 00 00 00") : wire("20 02 00 00"), packet);
  }
  return decoder;
}

// Decodes one packet that `sender` sends. CONNECT and CONNACK come first, everything else on an open connection.
inline Decoded decode_from(Role sender, ProtocolVersion version, const Bytes& bytes, DecoderLimits limits = {}) {
  Decoded decoded{bytes};
  const auto type = bytes.empty() ? PacketType::kReserved : static_cast<PacketType>(bytes[0] >> 4);
  const Role self = peer_of(sender);
  const bool first = type == (self == Role::kServer ? PacketType::kConnect : PacketType::kConnack);
  Decoder decoder = first ? Decoder(self, limits) : open_decoder(self, version);
  if (first) decoder.set_version(self == Role::kClient ? version : ProtocolVersion::kV311);
  decoder.set_maximum_packet_size(limits.maximum_packet_size);
  decoded.result = decoder.decode(decoded.block.bytes(), decoded.packet);
  return decoded;
}

inline Bytes encoded(const Packet& packet, ProtocolVersion version) {
  Bytes bytes;
  (void)append(packet, version, bytes);
  return bytes;
}

}  // namespace mqloop::mqtt::test
