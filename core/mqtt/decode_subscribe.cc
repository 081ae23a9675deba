// SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK (3.8 to 3.11).
#include "core/mqtt/decode_body.h"
#include "core/mqtt/reason_codes.h"
#include "core/mqtt/topic.h"

namespace mqloop::mqtt::detail {
namespace {

constexpr std::uint8_t kReservedOptionBits = 0xC0;

Fault check_options(std::uint8_t byte, std::string_view filter, bool v5) noexcept {
  // In 3.x all bits but those of the QoS are reserved, and QoS 3 is malformed too [MQTT-3.8.3-4 of 3.1.1].
  if ((byte & (v5 ? kReservedOptionBits : 0xFC)) != 0) return Fault::kReservedSubscriptionOptions;
  if ((byte & 0x03) == 0x03) return Fault::kSubscriptionQoS3;
  if ((byte & 0x30) == 0x30) return Fault::kRetainHandling3;
  return subscription_options(byte).no_local && is_shared(filter) ? Fault::kNoLocalOnShared : Fault::kNone;
}

// Packet identifier and properties, which all four begin with.
template <typename T>
Fault read_beginning(const BodyContext& context, ByteReader& body, T& packet) noexcept {
  if (const Fault fault = read_packet_id(body, packet.packet_id); fault != Fault::kNone) return fault;
  if (!context.v5()) return Fault::kNone;
  return read_properties(context, body, place_of(context.type), packet.properties);
}

Fault read_filter_text(const BodyContext& context, ByteReader& body, std::string_view& filter) noexcept {
  filter = body.text();
  if (body.failed()) return Fault::kCutShort;
  return blame(context, filter, validate_topic_filter(filter));
}

// The rest of the body as reason codes, one byte each.
Fault read_reason_codes(const BodyContext& context, ByteReader& body, std::span<const ReasonCode>& out) noexcept {
  const auto bytes = body.rest();
  if (bytes.empty()) return Fault::kNoReasonCode;
  for (const std::uint8_t byte : bytes) {
    const auto code = static_cast<ReasonCode>(byte);
    // [MQTT-3.9.3-2 of 3.1.1]: the one failure is 0x80.
    const bool legal = context.v5() ? may_carry(context.type, code, context.sender)
                                    : byte <= 2 || code == ReasonCode::kUnspecifiedError;
    if (!legal) return Fault::kReasonCodeNotAllowed;
  }
  static_assert(sizeof(ReasonCode) == 1);
  out = {reinterpret_cast<const ReasonCode*>(bytes.data()), bytes.size()};
  return Fault::kNone;
}

}  // namespace

Fault decode_subscribe(const BodyContext& context, ByteReader& body, SubscribePacket& packet) noexcept {
  if (const Fault fault = read_beginning(context, body, packet); fault != Fault::kNone) return fault;
  const std::span<const std::uint8_t> entries(body.position(), body.left());
  std::size_t count = 0;
  for (; body.left() > 0; ++count) {
    std::string_view filter;
    if (const Fault fault = read_filter_text(context, body, filter); fault != Fault::kNone) return fault;
    const std::uint8_t options = body.u8();
    if (body.failed()) return Fault::kCutShort;
    if (const Fault fault = check_options(options, filter, context.v5()); fault != Fault::kNone) return fault;
  }
  packet.subscriptions = SubscriptionList(entries, count);
  return count == 0 ? Fault::kNoTopicFilter : Fault::kNone;
}

Fault decode_unsubscribe(const BodyContext& context, ByteReader& body, UnsubscribePacket& packet) noexcept {
  if (const Fault fault = read_beginning(context, body, packet); fault != Fault::kNone) return fault;
  const std::span<const std::uint8_t> entries(body.position(), body.left());
  std::size_t count = 0;
  for (; body.left() > 0; ++count) {
    std::string_view filter;
    if (const Fault fault = read_filter_text(context, body, filter); fault != Fault::kNone) return fault;
  }
  packet.filters = TopicFilterList(entries, count);
  return count == 0 ? Fault::kNoTopicFilter : Fault::kNone;
}

Fault decode_suback(const BodyContext& context, ByteReader& body, SubackPacket& packet) noexcept {
  if (const Fault fault = read_beginning(context, body, packet); fault != Fault::kNone) return fault;
  return read_reason_codes(context, body, packet.reason_codes);
}

Fault decode_unsuback(const BodyContext& context, ByteReader& body, UnsubackPacket& packet) noexcept {
  if (const Fault fault = read_beginning(context, body, packet); fault != Fault::kNone) return fault;
  return context.v5() ? read_reason_codes(context, body, packet.reason_codes) : finish(body);
}

}  // namespace mqloop::mqtt::detail
