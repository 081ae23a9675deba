// Qos2Receiver: the QoS 2 identifiers that a session has received and not yet released, each with its state of the
// receiver's table in qos_flow.h. Bounded, so that a peer which never sends PUBREL cannot grow it. Owned by the
// session, used by its thread, kept across connections. Invariant: a message is handed on exactly once for each
// identifier between its first PUBLISH and its PUBREL, whatever DUP says.
#pragma once

#include <cstddef>
#include <cstdint>

#include <mqloop/protocol.h>

#include "core/mqtt/packet_id.h"
#include "core/mqtt/qos_flow.h"

namespace mqloop::mqtt {

class Qos2Receiver {
 public:
  // For packets and answers of the store; see the table. An event for an unknown identifier allocates nothing.
  [[nodiscard]] ReceiverAction on(ReceiverEvent event, std::uint16_t packet_id, ProtocolVersion version);
  [[nodiscard]] ReceiverState state(std::uint16_t packet_id) const noexcept {
    return static_cast<ReceiverState>(table_.get(packet_id));
  }
  // A session from the store brings the identifiers that it had received. `state` is not kFree.
  void restore(std::uint16_t packet_id, ReceiverState state) {
    table_.set(packet_id, static_cast<std::uint8_t>(state));
  }
  // How many identifiers are not free: compare with one's own Receive Maximum before a new one is taken.
  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  void clear() noexcept { table_.clear(); }

 private:
  PacketIdTable table_;
};

}  // namespace mqloop::mqtt
