#include "core/mqtt/decode_body.h"

#include "core/base/utf8.h"
#include "core/mqtt/reason_codes.h"

namespace mqloop::mqtt::detail {

Fault read_properties(const BodyContext& context, ByteReader& body, PropertyPlaces place, Properties& out) noexcept {
  const VariableByteInteger length = body.variable_byte_integer();
  if (body.failed()) {
    return length.kind == VariableByteInteger::Kind::kUnfinished ? Fault::kCutShort : Fault::kPropertyNotMinimal;
  }
  const auto bytes = body.take(length.value);
  if (body.failed()) return Fault::kCutShort;
  return Properties::parse(bytes, place, context.sender, context.property_limits, out);
}

Fault read_packet_id(ByteReader& body, std::uint16_t& out) noexcept {
  out = body.u16();
  if (body.failed()) return Fault::kCutShort;
  return out == 0 ? Fault::kPacketIdentifierZero : Fault::kNone;
}

Fault read_reason_code(const BodyContext& context, ByteReader& body, ReasonCode& out) noexcept {
  out = static_cast<ReasonCode>(body.u8());
  if (body.failed()) return Fault::kCutShort;
  return may_carry(context.type, out, context.sender) ? Fault::kNone : Fault::kReasonCodeNotAllowed;
}

Fault read_text(ByteReader& body, std::string_view& out) noexcept {
  out = body.text();
  if (body.failed()) return Fault::kCutShort;
  return is_utf8_without_nul(out) ? Fault::kNone : Fault::kNotUtf8;
}

Fault blame(const BodyContext& context, std::string_view topic, const TopicCheck& check) noexcept {
  if (!check.ok()) {
    context.result.subject = topic;
    context.result.column = check.column;
  }
  return check.fault;
}

Fault finish(const ByteReader& body) noexcept {
  if (body.failed()) return Fault::kCutShort;
  return body.left() == 0 ? Fault::kNone : Fault::kTrailingBytes;
}

}  // namespace mqloop::mqtt::detail
