// Making an answer fit its receiver: what may be left out of it, and in which order.
#include "core/mqtt/encoder.h"

namespace mqloop::mqtt {
namespace {

template <typename T>
bool fits(const T& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  const std::size_t size = encoded_size(packet, version);
  return size != 0 && size <= peer.maximum_packet_size;
}

// `keeps_problem_information`: CONNACK and DISCONNECT explain themselves to whoever refused explanations too.
template <typename T>
bool fit_answer(T& packet, ProtocolVersion version, const PeerLimits& peer, bool keeps_problem_information) noexcept {
  Properties& properties = packet.properties;
  if (!keeps_problem_information && !peer.problem_information) {  // [MQTT-3.1.2-29]
    properties = properties.without(PropertyId::kUserProperty).without(PropertyId::kReasonString);
  }
  if (fits(packet, version, peer)) return true;
  properties = properties.without(PropertyId::kUserProperty);
  if (fits(packet, version, peer)) return true;
  properties = properties.without(PropertyId::kReasonString);
  return fits(packet, version, peer);
}

}  // namespace

bool fit(ConnackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, true);
}
bool fit(AckPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, false);
}
bool fit(SubackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, false);
}
bool fit(UnsubackPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, false);
}
bool fit(DisconnectPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, true);
}
bool fit(AuthPacket& packet, ProtocolVersion version, const PeerLimits& peer) noexcept {
  return fit_answer(packet, version, peer, false);
}

}  // namespace mqloop::mqtt
