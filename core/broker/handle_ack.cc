// PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7): each moves one exchange on by the tables of core/mqtt/qos_flow.h.
#include "core/base/failpoint.h"
#include "core/broker/connection.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

Connection::Flow Connection::handle_ack(const mqtt::AckPacket& packet) {
  switch (packet.type) {
    case mqtt::PacketType::kPuback:
      handle_delivery_ack(packet, mqtt::puback_event(packet.reason_code));
      break;
    case mqtt::PacketType::kPubrec:
      handle_delivery_ack(packet, mqtt::pubrec_event(packet.reason_code));
      break;
    case mqtt::PacketType::kPubcomp:
      handle_delivery_ack(packet, mqtt::SenderEvent::kPubcomp);
      break;
    default:
      handle_pubrel(packet);
      break;
  }
  return Flow::kNext;
}

void Connection::handle_pubrel(const mqtt::AckPacket& packet) {
  mqtt::Qos2Receiver& received = session_->received();
  switch (received.on(mqtt::ReceiverEvent::kPubrel, packet.packet_id, version())) {
    case mqtt::ReceiverAction::kRelease: {
      MQLOOP_FAILPOINT("pubrel");
      const bool later = shard_.publishing().session_event(SessionEventKind::kReleased, *session_, packet.packet_id);
      shard_.publishing().answer(*this, mqtt::PacketType::kPubcomp, packet.packet_id, ReasonCode::kSuccess, later);
      break;
    }
    case mqtt::ReceiverAction::kSendPubcompNotFound:
      send_ack(mqtt::PacketType::kPubcomp, packet.packet_id, ReasonCode::kPacketIdentifierNotFound);
      break;
    default:
      // It is being released: the PUBCOMP of the first PUBREL may belong to an earlier connection.
      if (received.state(packet.packet_id) == mqtt::ReceiverState::kReleasing) {
        shard_.publishing().answer(*this, mqtt::PacketType::kPubcomp, packet.packet_id, ReasonCode::kSuccess, true);
      }
      break;
  }
}

void Connection::publish_released(std::uint16_t packet_id, ReasonCode code, bool first) {
  if (first) receive_quota_.give_back();
  send_ack(mqtt::PacketType::kPubcomp, packet_id, code);
}

void Connection::handle_delivery_ack(const mqtt::AckPacket& packet, mqtt::SenderEvent event) {
  Outbound* outbound = session_->outbound();
  OutboundEntry* entry = outbound == nullptr ? nullptr : outbound->find(packet.packet_id);
  if (entry != nullptr && !entry->sent) entry = nullptr;
  const mqtt::SenderStep step = mqtt::step(entry == nullptr ? mqtt::SenderState::kFree : entry->state, event);
  switch (step.action) {
    case mqtt::SenderAction::kDelivered:
    case mqtt::SenderAction::kRefused:
      MQLOOP_FAILPOINT("delivered");
      shard_.publishing().delivery_event(DeliveryEventKind::kAcknowledged, *session_, *entry);
      if (entry->counted) send_quota_.give_back();
      if (entry->share != 0) {
        shard_.shared_members().finished(*session_, entry->share, entry->kept ? nullptr : entry->message.get());
      }
      outbound->finish(entry);
      session_->free_outbound_if_empty();
      shard_.delivery().pump(*session_);
      break;
    case mqtt::SenderAction::kSendPubrel:
      if (entry->state != step.next) {
        entry->state = step.next;
        shard_.delivery().received(*session_, *entry);
      }
      if (!entry->held) send_ack(mqtt::PacketType::kPubrel, packet.packet_id, ReasonCode::kSuccess);
      break;
    case mqtt::SenderAction::kSendPubrelNotFound:
      send_ack(mqtt::PacketType::kPubrel, packet.packet_id, ReasonCode::kPacketIdentifierNotFound);
      break;
    default:
      break;
  }
}

}  // namespace mqloop::broker
