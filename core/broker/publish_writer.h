// Writes PUBLISH packets into send queues. One message usually goes to many receivers that differ in little: from the
// second receiver on its bytes are made once for each shape ({3.x, 5.0} x {QoS 0, QoS > 0}) and copied, with flags and
// packet identifier patched in; what is a receiver's own (topic alias, Subscription Identifiers) is encoded for it
// alone. Payloads above kReferenceFrom bytes are referenced, not copied.
// One per reactor, its thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <mqloop/protocol.h>

#include "core/broker/routed_message.h"
#include "core/event/send_queue.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/topic_alias.h"

namespace mqloop::broker {

struct PublishReceiver {
  ProtocolVersion version = ProtocolVersion::kV5;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  bool dup = false;
  std::uint16_t packet_id = 0;
  std::span<const std::uint32_t> identifiers;  // Subscription Identifiers; for 5.0 only
  std::uint32_t maximum_packet_size = 268'435'460;
  mqtt::OutboundTopicAliases* aliases = nullptr;  // null: none may be sent
};

class PublishWriter {
 public:
  static constexpr std::size_t kReferenceFrom = 2048;

  // A new message: what was made for the last one is forgotten.
  void begin() noexcept;
  // Appends the PUBLISH for one receiver and returns its size; 0 when it is above the receiver's Maximum Packet Size:
  // nothing was written [MQTT-3.1.2-24].
  std::size_t write(RoutedMessage& message, const PublishReceiver& receiver, MonotonicTime now,
                    event::SendQueue& output);

 private:
  struct Shape {
    std::uint32_t uses = 0;
    bool made = false;
    mqtt::PublishLayout layout;
    std::vector<std::uint8_t> bytes;  // the whole packet, or its head where the payload is referenced
  };

  std::size_t write_shape(Shape& shape, RoutedMessage& message, const PublishReceiver& receiver, MonotonicTime now,
                          event::SendQueue& output);
  std::size_t write_own(RoutedMessage& message, const PublishReceiver& receiver, MonotonicTime now,
                        event::SendQueue& output);
  void append_payload(RoutedMessage& message, event::SendQueue& output);

  std::array<Shape, 4> shapes_;
  std::vector<std::uint8_t> head_;  // for heads that do not fit one chunk
};

}  // namespace mqloop::broker
