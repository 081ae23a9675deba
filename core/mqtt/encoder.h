// Encoding: for each packet encoded_size() and encode(), which writes exactly that many bytes to where the caller has
// room for them and returns the end. The same packet structs that the decoder fills; a hidden property (see
// Properties::without) is not written. Acknowledgements take the shortest form that carries their meaning. Pure
// functions, any thread; the caller vouches that strings are valid UTF-8 and fit 16 bits and that the packet as a whole
// is legal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <mqloop/protocol.h>

#include "core/mqtt/packet.h"

namespace mqloop::mqtt {

// The bytes that encode() will write. 0 where the version has no such thing (AUTH in 3.x, a CONNACK code without a
// return code of 3.x) or the packet would pass the 268,435,460 bytes of the standard: then nothing is to be sent.
[[nodiscard]] std::size_t encoded_size(const ConnectPacket& packet) noexcept;
[[nodiscard]] std::size_t encoded_size(const ConnackPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const PublishPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const AckPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const SubscribePacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const SubackPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const UnsubscribePacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const UnsubackPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const PingreqPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const PingrespPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const DisconnectPacket& packet, ProtocolVersion version) noexcept;
[[nodiscard]] std::size_t encoded_size(const AuthPacket& packet, ProtocolVersion version) noexcept;
// A CONNECT goes by its own version. 0 for a Packet that holds none.
[[nodiscard]] std::size_t encoded_size(const Packet& packet, ProtocolVersion version) noexcept;

// Not to be called when encoded_size() is 0.
std::uint8_t* encode(const ConnectPacket& packet, std::uint8_t* out) noexcept;
std::uint8_t* encode(const ConnackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const PublishPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const AckPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const SubscribePacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const SubackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const UnsubscribePacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const UnsubackPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const PingreqPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const PingrespPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const DisconnectPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const AuthPacket& packet, ProtocolVersion version, std::uint8_t* out) noexcept;
std::uint8_t* encode(const Packet& packet, ProtocolVersion version, std::uint8_t* out) noexcept;

// Appends the packet to `out`; false, and nothing appended, when encoded_size() is 0.
bool append(const Packet& packet, ProtocolVersion version, std::vector<std::uint8_t>& out);

// What a peer said of itself in CONNECT or CONNACK that bounds what may be sent to it.
struct PeerLimits {
  std::uint32_t maximum_packet_size = 268'435'460;
  bool problem_information = true;  // Request Problem Information
};

// Makes the packet fit its receiver: with problem information refused, Reason String and User Properties go where
// [MQTT-3.1.2-29] says so; then User Properties, then the Reason String go while the packet is too large. False: it
// does not fit and must not be sent. (PUBLISH and CONNECT are never cut: compare encoded_size with the maximum.)
[[nodiscard]] bool fit(ConnackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;
[[nodiscard]] bool fit(AckPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;
[[nodiscard]] bool fit(SubackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;
[[nodiscard]] bool fit(UnsubackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;
[[nodiscard]] bool fit(DisconnectPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;
[[nodiscard]] bool fit(AuthPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept;

// What is different for each receiver of one message, so that the publisher's properties can be sent as they came.
struct PublishAdditions {
  std::uint16_t topic_alias = 0;                         // 0: none
  std::optional<std::uint32_t> message_expiry_interval;  // what is left of it
  std::span<const std::uint32_t> subscription_identifiers;
};

// The fast path of PUBLISH: the head (all before the payload) is written here, the payload copied or referenced by the
// caller. A head that was made once can be sent often: patch_packet_id() and set_dup() change what is each receiver's
// own.
struct PublishLayout {
  std::uint32_t total_size = 0;        // of the packet, payload included; 0: it would pass the standard's limit
  std::uint32_t head_size = 0;         // total_size less the payload
  std::uint32_t packet_id_offset = 0;  // in the head; 0 with QoS 0
  std::uint32_t remaining_length = 0;  // total_size less the fixed header
  std::uint32_t properties_size = 0;   // what Property Length will say
};
// `payload.size()` counts, its bytes are not read. Each addition that is there replaces what `packet.properties` have
// of its kind; all else is sent as it came, so a publisher's Topic Alias is to be hidden by without(). 3.x has no
// additions.
[[nodiscard]] PublishLayout layout_of(const PublishPacket& packet, ProtocolVersion version,
                                      const PublishAdditions& additions = {}) noexcept;
// Writes head_size bytes. The arguments are those that the layout was made from.
std::uint8_t* encode_head(const PublishPacket& packet, ProtocolVersion version, const PublishLayout& layout,
                          std::uint8_t* out, const PublishAdditions& additions = {}) noexcept;
void patch_packet_id(std::uint8_t* head, const PublishLayout& layout, std::uint16_t packet_id) noexcept;
void set_dup(std::uint8_t* head, bool dup) noexcept;

}  // namespace mqloop::mqtt
