#include "core/mqtt/qos2_receiver.h"

namespace mqloop::mqtt {

ReceiverAction Qos2Receiver::on(ReceiverEvent event, std::uint16_t packet_id, ProtocolVersion version) {
  const ReceiverState before = state(packet_id);
  const ReceiverStep next = step(before, event, version);
  if (next.next != before) table_.set(packet_id, static_cast<std::uint8_t>(next.next));
  return next.action;
}

}  // namespace mqloop::mqtt
