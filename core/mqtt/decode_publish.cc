// PUBLISH and its acknowledgements (3.3 to 3.7).
#include "core/mqtt/decode_body.h"
#include "core/mqtt/topic.h"

namespace mqloop::mqtt::detail {

Fault decode_publish(const BodyContext& context, ByteReader& body, PublishPacket& packet) noexcept {
  packet.dup = (context.flags & 0x08) != 0;
  packet.qos = static_cast<QoS>((context.flags >> 1) & 0x03);
  packet.retain = (context.flags & 0x01) != 0;
  packet.topic = body.text();
  if (body.failed()) return Fault::kCutShort;
  const bool may_be_aliased = context.v5() && packet.topic.empty();
  if (!may_be_aliased) {
    const Fault fault = blame(context, packet.topic, validate_topic_name(packet.topic));
    if (fault != Fault::kNone) return fault;
  }
  if (packet.qos != QoS::kAtMostOnce) {
    if (const Fault fault = read_packet_id(body, packet.packet_id); fault != Fault::kNone) return fault;
  }
  if (context.v5()) {
    const Fault fault = read_properties(context, body, place_of(PacketType::kPublish), packet.properties);
    if (fault != Fault::kNone) return fault;
    if (may_be_aliased && packet.properties.topic_alias() == 0) return Fault::kEmptyTopicWithoutAlias;
  }
  packet.payload = body.rest();
  return Fault::kNone;
}

Fault decode_ack(const BodyContext& context, ByteReader& body, AckPacket& packet) noexcept {
  packet.type = context.type;
  if (const Fault fault = read_packet_id(body, packet.packet_id); fault != Fault::kNone) return fault;
  // 3.4.2.1 and its like: without more bytes the code is 0x00, without still more there are no properties.
  if (!context.v5() || body.left() == 0) return finish(body);
  if (const Fault fault = read_reason_code(context, body, packet.reason_code); fault != Fault::kNone) return fault;
  if (body.left() == 0) return Fault::kNone;
  const Fault fault = read_properties(context, body, place_of(context.type), packet.properties);
  return fault == Fault::kNone ? finish(body) : fault;
}

}  // namespace mqloop::mqtt::detail
