#include "core/mqtt/property.h"

#include <cstring>

#include "core/base/utf8.h"
#include "core/mqtt/bytes.h"
#include "core/mqtt/topic.h"

namespace mqloop::mqtt {
namespace {

using enum PropertyId;
using enum PropertyType;

constexpr PropertyPlaces kConnect = place_of(PacketType::kConnect);
constexpr PropertyPlaces kConnack = place_of(PacketType::kConnack);
constexpr PropertyPlaces kPublish = place_of(PacketType::kPublish);
constexpr PropertyPlaces kSubscribe = place_of(PacketType::kSubscribe);
constexpr PropertyPlaces kUnsubscribe = place_of(PacketType::kUnsubscribe);
constexpr PropertyPlaces kDisconnect = place_of(PacketType::kDisconnect);
constexpr PropertyPlaces kAuth = place_of(PacketType::kAuth);
constexpr PropertyPlaces kMessage = kPublish | kWillPlace;
constexpr PropertyPlaces kFlowAcks = place_of(PacketType::kPuback) | place_of(PacketType::kPubrec) |
                                     place_of(PacketType::kPubrel) | place_of(PacketType::kPubcomp);
constexpr PropertyPlaces kRequestAcks = place_of(PacketType::kSuback) | place_of(PacketType::kUnsuback);
constexpr PropertyPlaces kReasoned = kConnack | kFlowAcks | kRequestAcks | kDisconnect | kAuth;
constexpr PropertyPlaces kAll = kReasoned | kConnect | kMessage | kSubscribe | kUnsubscribe;

constexpr std::uint32_t kU16Max = 0xFFFF;
constexpr std::uint32_t kU32Max = 0xFFFF'FFFF;

// A packet that one side alone can send is listed for both: that it comes from the wrong side is told by its type.
constexpr std::array<PropertySpec, kPropertyCount> kTable = {{
    {kPayloadFormatIndicator, kByte, kMessage, kMessage, 0, 0, 1, "Payload Format Indicator"},
    {kMessageExpiryInterval, kU32, kMessage, kMessage, 0, 0, kU32Max, "Message Expiry Interval"},
    {kContentType, kUtf8, kMessage, kMessage, 0, 0, 0, "Content Type"},
    {kResponseTopic, kUtf8, kMessage, kMessage, 0, 0, 0, "Response Topic"},
    {kCorrelationData, kBinary, kMessage, kMessage, 0, 0, 0, "Correlation Data"},
    {kSubscriptionIdentifier, kVariableByteInteger, kSubscribe, kSubscribe | kPublish, kPublish, 1,
     kMaximumVariableByteInteger, "Subscription Identifier"},
    {kSessionExpiryInterval, kU32, kConnect | kConnack | kDisconnect, kConnect | kConnack, 0, 0, kU32Max,
     "Session Expiry Interval"},
    {kAssignedClientIdentifier, kUtf8, kConnack, kConnack, 0, 0, 0, "Assigned Client Identifier"},
    {kServerKeepAlive, kU16, kConnack, kConnack, 0, 0, kU16Max, "Server Keep Alive"},
    {kAuthenticationMethod, kUtf8, kConnect | kConnack | kAuth, kConnect | kConnack | kAuth, 0, 0, 0,
     "Authentication Method"},
    {kAuthenticationData, kBinary, kConnect | kConnack | kAuth, kConnect | kConnack | kAuth, 0, 0, 0,
     "Authentication Data"},
    {kRequestProblemInformation, kByte, kConnect, kConnect, 0, 0, 1, "Request Problem Information"},
    {kWillDelayInterval, kU32, kWillPlace, kWillPlace, 0, 0, kU32Max, "Will Delay Interval"},
    {kRequestResponseInformation, kByte, kConnect, kConnect, 0, 0, 1, "Request Response Information"},
    {kResponseInformation, kUtf8, kConnack, kConnack, 0, 0, 0, "Response Information"},
    {kServerReference, kUtf8, kConnack, kConnack | kDisconnect, 0, 0, 0, "Server Reference"},
    {kReasonString, kUtf8, kReasoned, kReasoned, 0, 0, 0, "Reason String"},
    {kReceiveMaximum, kU16, kConnect | kConnack, kConnect | kConnack, 0, 1, kU16Max, "Receive Maximum"},
    {kTopicAliasMaximum, kU16, kConnect | kConnack, kConnect | kConnack, 0, 0, kU16Max, "Topic Alias Maximum"},
    {kTopicAlias, kU16, kPublish, kPublish, 0, 1, kU16Max, "Topic Alias"},
    {kMaximumQoS, kByte, kConnack, kConnack, 0, 0, 1, "Maximum QoS"},
    {kRetainAvailable, kByte, kConnack, kConnack, 0, 0, 1, "Retain Available"},
    {kUserProperty, kUtf8Pair, kAll, kAll, kAll, 0, 0, "User Property"},
    {kMaximumPacketSize, kU32, kConnect | kConnack, kConnect | kConnack, 0, 1, kU32Max, "Maximum Packet Size"},
    {kWildcardSubscriptionAvailable, kByte, kConnack, kConnack, 0, 0, 1, "Wildcard Subscription Available"},
    {kSubscriptionIdentifierAvailable, kByte, kConnack, kConnack, 0, 0, 1, "Subscription Identifier Available"},
    {kSharedSubscriptionAvailable, kByte, kConnack, kConnack, 0, 0, 1, "Shared Subscription Available"},
}};

constexpr std::size_t kIdLimit = 64;
constexpr std::uint8_t kNoRow = 0xFF;
constexpr std::array<std::uint8_t, kIdLimit> kRowOfId = [] {
  std::array<std::uint8_t, kIdLimit> rows{};
  rows.fill(kNoRow);
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    rows[static_cast<std::size_t>(kTable[i].id)] = static_cast<std::uint8_t>(i);
  }
  return rows;
}();

std::size_t row_of(PropertyId id) noexcept { return kRowOfId[static_cast<std::size_t>(id)]; }
constexpr std::uint64_t bit(PropertyId id) noexcept { return std::uint64_t{1} << static_cast<unsigned>(id); }

// Reads the value of a property; the reader says whether it was all there.
Property read_value(const PropertySpec& spec, ByteReader& reader) noexcept {
  Property property;
  property.id = spec.id;
  switch (spec.type) {
    case kByte:
      property.number = reader.u8();
      break;
    case kU16:
      property.number = reader.u16();
      break;
    case kU32:
      property.number = reader.u32();
      break;
    case kVariableByteInteger:
      property.number = reader.variable_byte_integer().value;
      break;
    case kUtf8:
    case kBinary:
      property.text = reader.text();
      break;
    case kUtf8Pair:
      property.text = reader.text();
      property.value = reader.text();
      break;
  }
  return property;
}

bool is_number(PropertyType type) noexcept { return type <= kVariableByteInteger; }

Fault check_value(const PropertySpec& spec, const Property& property) noexcept {
  if (is_number(spec.type)) {
    if (property.number >= spec.minimum && property.number <= spec.maximum) return Fault::kNone;
    return spec.id == kTopicAlias ? Fault::kTopicAliasZero : Fault::kPropertyValue;
  }
  if (spec.type == kBinary) return Fault::kNone;
  if (spec.id == kResponseTopic) {
    const Fault fault = validate_topic_name(property.text).fault;
    return fault == Fault::kWildcardInTopicName ? Fault::kWildcardInResponseTopic : fault;
  }
  const bool sound = is_utf8_without_nul(property.text) && is_utf8_without_nul(property.value);
  return sound ? Fault::kNone : Fault::kNotUtf8;
}

// [MQTT-1.5.5-1] and more than four bytes are one fault; an end too early is another.
Fault variable_byte_integer_fault(VariableByteInteger::Kind kind) noexcept {
  return kind == VariableByteInteger::Kind::kUnfinished ? Fault::kPropertyCutShort : Fault::kPropertyNotMinimal;
}

}  // namespace

std::span<const PropertySpec, kPropertyCount> property_table() noexcept { return kTable; }

const PropertySpec* find_property(std::uint32_t id) noexcept {
  if (id >= kIdLimit || kRowOfId[id] == kNoRow) return nullptr;
  return &kTable[kRowOfId[id]];
}

void Properties::note(PropertyId id, std::size_t offset) noexcept {
  if (has(id)) return;
  present_ |= bit(id);
  offsets_[row_of(id)] = static_cast<std::uint32_t>(offset);
}

// Judges whether the property may stand here, and notes it.
Fault Properties::admit(const PropertySpec& spec, std::size_t offset, PropertyPlaces place, Role sender) noexcept {
  if (((spec.from_client | spec.from_server) & place) == 0) return Fault::kPropertyNotAllowedHere;
  const PropertyPlaces allowed = sender == Role::kClient ? spec.from_client : spec.from_server;
  if ((allowed & place) == 0) return Fault::kPropertyWrongDirection;
  if (has(spec.id) && (spec.repeatable & place) == 0) return Fault::kPropertyTwice;
  note(spec.id, offset);
  return Fault::kNone;
}

Fault Properties::parse(std::span<const std::uint8_t> bytes, PropertyPlaces place, Role sender,
                        const PropertyLimits& limits, Properties& out) noexcept {
  out = Properties();
  if (bytes.empty()) return Fault::kNone;
  if (bytes.size() > limits.maximum_length) return Fault::kPropertiesTooLong;
  out.data_ = bytes.data();
  out.length_ = out.size_ = static_cast<std::uint32_t>(bytes.size());
  std::uint32_t user_properties = 0;
  ByteReader reader(bytes);
  while (reader.left() > 0) {
    const VariableByteInteger id = reader.variable_byte_integer();
    if (reader.failed()) return variable_byte_integer_fault(id.kind);
    const PropertySpec* spec = find_property(id.value);
    if (spec == nullptr) return Fault::kUnknownProperty;
    const auto offset = static_cast<std::size_t>(reader.position() - bytes.data());
    if (const Fault fault = out.admit(*spec, offset, place, sender); fault != Fault::kNone) return fault;
    if (spec->id == kUserProperty && ++user_properties > limits.maximum_user_properties) {
      return Fault::kTooManyUserProperties;
    }
    const Property property = read_value(*spec, reader);
    if (reader.failed()) {
      if (spec->type != kVariableByteInteger) return Fault::kPropertyCutShort;
      return variable_byte_integer_fault(read_variable_byte_integer(bytes.subspan(offset)).kind);
    }
    if (const Fault fault = check_value(*spec, property); fault != Fault::kNone) return fault;
  }
  return Fault::kNone;
}

bool Properties::has(PropertyId id) const noexcept { return (present_ & bit(id)) != 0; }

std::optional<std::uint32_t> Properties::number(PropertyId id) const noexcept {
  if (!has(id)) return std::nullopt;
  const std::size_t offset = offsets_[row_of(id)];
  ByteReader reader({data_ + offset, length_ - offset});
  return read_value(kTable[row_of(id)], reader).number;
}

std::optional<std::string_view> Properties::text(PropertyId id) const noexcept {
  if (!has(id)) return std::nullopt;
  const std::size_t offset = offsets_[row_of(id)];
  ByteReader reader({data_ + offset, length_ - offset});
  return read_value(kTable[row_of(id)], reader).text;
}

std::size_t Properties::count(PropertyId id) const noexcept {
  if (!has(id)) return 0;
  std::size_t found = 0;
  for (const Property& property : *this) found += property.id == id ? 1 : 0;
  return found;
}

Properties Properties::without(PropertyId id) const noexcept {
  if (!has(id)) return *this;
  Properties rest = *this;
  rest.present_ &= ~bit(id);
  rest.hidden_ |= bit(id);
  const PropertySpec& spec = kTable[row_of(id)];
  if (spec.repeatable == 0) {
    const std::size_t offset = offsets_[row_of(id)];
    ByteReader reader({data_ + offset, length_ - offset});
    read_value(spec, reader);
    rest.size_ -= 1 + static_cast<std::uint32_t>(reader.position() - (data_ + offset));
    return rest;
  }
  rest.size_ = 0;
  for (Iterator at = rest.begin(); at != rest.end(); ++at) rest.size_ += static_cast<std::uint32_t>(at.next_ - at.at_);
  return rest;
}

std::uint8_t* Properties::write(std::uint8_t* out) const noexcept {
  ByteWriter writer(out);
  if (hidden_ == 0) return writer.raw({data_, length_}).position();
  for (Iterator at = begin(); at != end(); ++at) writer.raw({at.at_, at.next_});
  return writer.position();
}

Properties::Iterator::Iterator(const Properties* owner, const std::uint8_t* at) noexcept
    : owner_(owner), at_(at), next_(at) {
  settle();
}

Properties::Iterator& Properties::Iterator::operator++() noexcept {
  at_ = next_;
  settle();
  return *this;
}

// Reads the property at at_, or the next one that is not hidden. The bytes were checked by parse().
void Properties::Iterator::settle() noexcept {
  const std::uint8_t* end = owner_->data_ + owner_->length_;
  for (; at_ != end; at_ = next_) {
    ByteReader reader({at_, end});
    current_ = read_value(kTable[kRowOfId[reader.u8()]], reader);  // every identifier takes one byte
    next_ = reader.position();
    if (!owner_->hidden(current_.id)) return;
  }
}

}  // namespace mqloop::mqtt
