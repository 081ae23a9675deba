// DISCONNECT and AUTH (3.14, 3.15).
#include "core/mqtt/decode_body.h"

namespace mqloop::mqtt::detail {

Fault decode_disconnect(const BodyContext& context, ByteReader& body, DisconnectPacket& packet) noexcept {
  if (body.left() == 0) return Fault::kNone;  // 3.14.2.1: 0x00; in 3.x the body is always empty
  if (const Fault fault = read_reason_code(context, body, packet.reason_code); fault != Fault::kNone) return fault;
  if (body.left() == 0) return Fault::kNone;
  const Fault fault = read_properties(context, body, place_of(PacketType::kDisconnect), packet.properties);
  return fault == Fault::kNone ? finish(body) : fault;
}

Fault decode_auth(const BodyContext& context, ByteReader& body, AuthPacket& packet) noexcept {
  // An empty body stands for 0x00 without properties, but AUTH needs its method (3.15.2.2.2).
  if (body.left() == 0) return Fault::kAuthWithoutMethodProperty;
  if (const Fault fault = read_reason_code(context, body, packet.reason_code); fault != Fault::kNone) return fault;
  const Fault fault = read_properties(context, body, place_of(PacketType::kAuth), packet.properties);
  if (fault != Fault::kNone) return fault;
  if (!packet.properties.has(PropertyId::kAuthenticationMethod)) return Fault::kAuthWithoutMethodProperty;
  return finish(body);
}

}  // namespace mqloop::mqtt::detail
