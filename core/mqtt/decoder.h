// Decoder: bytes of one connection in, packets and verdicts out, for either end of it and for MQTT 3.1, 3.1.1 and 5.0.
// It owns no bytes and allocates nothing; the caller keeps what is unfinished, so `bytes` always begin at the border of
// a packet and any split of the stream gives the same packets. It knows which packet may come from which side and when:
//
//   server side                              client side
//   phase           may come                 phase           may come
//   kFirst          CONNECT                  kFirst          CONNACK, AUTH (with a method)
//   kAuthenticating AUTH, DISCONNECT         kOpen           what servers send, but CONNACK
//   kOpen           what clients send, but CONNECT
//
// One decoder for each connection, used by the thread that owns the connection. After an error it is used no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/mqtt/fault.h"
#include "core/mqtt/packet.h"
#include "core/mqtt/topic.h"

namespace mqloop::mqtt {

struct DecoderLimits {
  // Whole packets, fixed header included; judged as soon as the fixed header is there.
  std::uint32_t maximum_packet_size = 268'435'460;
  PropertyLimits properties;
};

struct DecodeResult {
  enum class Kind : std::uint8_t { kNeedMore, kPacket, kError };

  Kind kind = Kind::kNeedMore;
  Fault fault = Fault::kNone;  // of kError
  // Of kError, when the packet is a CONNECT whose protocol name is one of ours and whose level was read: that level,
  // one that we do not know included. Nothing else: then not even the form of a CONNACK is known.
  std::optional<std::uint8_t> protocol_level = {};
  // Of an error in a topic name or filter: the byte that it is about, counted from 1; 0 when it is about all of it.
  std::uint32_t column = 0;
  // kPacket: the bytes that the packet took. kNeedMore: the bytes that the whole packet needs, 0 while that is not
  // known.
  std::size_t size = 0;
  // Of an error in a topic name or filter: the text of it, a view into the bytes.
  std::string_view subject;

  // Of kError.
  [[nodiscard]] const Verdict& verdict() const noexcept { return verdict_on(fault); }
};

class Decoder {
 public:
  // `self` is the end that decodes: kServer reads what a client sends. A server learns the version from CONNECT; until
  // then, and for a client until set_version, it is 3.1.1.
  explicit Decoder(Role self, const DecoderLimits& limits = {}) noexcept : limits_(limits), self_(self) {}

  // Decodes the first packet of `bytes`. `out` is worth something after kPacket only; it borrows from
  // `bytes`.
  [[nodiscard]] DecodeResult decode(std::span<const std::uint8_t> bytes, Packet& out) noexcept;

  [[nodiscard]] ProtocolVersion version() const noexcept { return version_; }
  // Client: the version of the CONNECT that was sent.
  void set_version(ProtocolVersion version) noexcept { version_ = version; }
  void set_maximum_packet_size(std::uint32_t bytes) noexcept { limits_.maximum_packet_size = bytes; }

  // Whether CONNECT carried an Authentication Method: AUTH is only then allowed [MQTT-4.12.0-7]. A server's decoder
  // sees it by itself; a client says so when it sends the CONNECT.
  void set_authentication_method_used(bool used) noexcept { authentication_method_used_ = used; }
  // Server: an accepting CONNACK has been sent, so more than AUTH and DISCONNECT may come [MQTT-3.1.2-30].
  void connack_sent() noexcept { phase_ = Phase::kOpen; }

 private:
  enum class Phase : std::uint8_t { kFirst, kAuthenticating, kOpen };

  [[nodiscard]] Fault check_first_byte(std::uint8_t byte) const noexcept;
  [[nodiscard]] Fault check_phase(PacketType type) const noexcept;
  [[nodiscard]] Fault decode_body(PacketType type, std::uint8_t flags, std::span<const std::uint8_t> body, Packet& out,
                                  DecodeResult& result) noexcept;
  void advance(PacketType type, const Packet& packet) noexcept;

  DecoderLimits limits_;
  Role self_;
  ProtocolVersion version_ = ProtocolVersion::kV311;
  Phase phase_ = Phase::kFirst;
  bool authentication_method_used_ = false;
};

// The bytes of the packet that `bytes` begin with: a whole one, as decode() has found it to be.
[[nodiscard]] std::span<const std::uint8_t> first_packet(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace mqloop::mqtt
