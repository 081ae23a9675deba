#include "core/mqtt/fault.h"

#include <array>

namespace mqloop::mqtt {
namespace {

using enum ReasonCode;

constexpr std::size_t index_of(Fault fault) noexcept { return static_cast<std::size_t>(fault); }

constexpr auto make_verdicts() {
  std::array<Verdict, index_of(Fault::kCount)> table{};
  const auto set = [&table](Fault fault, ReasonCode code, const char* rule, std::string_view explanation) {
    table[index_of(fault)] = Verdict{code, explanation, rule};
  };
  set(Fault::kNone, kSuccess, "", "");

  set(Fault::kReservedPacketType, kMalformedPacket, "section 2.1.2", "the packet type is reserved");
  set(Fault::kReservedFlags, kMalformedPacket, "MQTT-2.1.3-1", "reserved flags of the fixed header are wrong");
  set(Fault::kQoS3, kMalformedPacket, "MQTT-3.3.1-4", "both QoS bits of PUBLISH are set");
  set(Fault::kDupWithQoS0, kMalformedPacket, "MQTT-3.3.1-2", "DUP is set on a PUBLISH of QoS 0");
  set(Fault::kLengthTooLong, kMalformedPacket, "section 1.5.5", "the Remaining Length has more than four bytes");
  set(Fault::kLengthNotMinimal, kMalformedPacket, "MQTT-1.5.5-1", "the Remaining Length is not in its shortest form");
  set(Fault::kPacketTooLarge, ReasonCode::kPacketTooLarge, "section 3.2.2.3.6",
      "the packet is larger than the Maximum Packet Size");
  set(Fault::kLengthOutOfRange, kMalformedPacket, "section 2.1.4", "the Remaining Length does not fit the packet type");

  set(Fault::kFirstPacketNotConnect, kProtocolError, "MQTT-3.1.0-1", "the first packet is not CONNECT");
  set(Fault::kSecondConnect, kProtocolError, "MQTT-3.1.0-2", "a second CONNECT on one connection");
  set(Fault::kNotForServer, kProtocolError, "section 2.1.2", "a client does not send this packet");
  set(Fault::kNotForClient, kProtocolError, "section 2.1.2", "a server does not send this packet");
  set(Fault::kFirstPacketNotConnack, kProtocolError, "MQTT-3.2.0-1", "the first packet of the server is not CONNACK");
  set(Fault::kSecondConnack, kProtocolError, "MQTT-3.2.0-2", "a second CONNACK on one connection");
  set(Fault::kOnlyAuthBeforeConnack, kProtocolError, "MQTT-3.1.2-30",
      "only AUTH and DISCONNECT may come before CONNACK when an Authentication Method is used");
  set(Fault::kAuthWithoutMethod, kProtocolError, "MQTT-4.12.0-7", "AUTH, but CONNECT had no Authentication Method");

  set(Fault::kCutShort, kMalformedPacket, "section 2.1.4", "a field ends behind the end of its packet");
  set(Fault::kTrailingBytes, kMalformedPacket, "section 2.1.4", "bytes follow the last field of the packet");
  set(Fault::kNotUtf8, kMalformedPacket, "MQTT-1.5.4-1", "a string is not well-formed UTF-8 without U+0000");
  set(Fault::kPacketIdentifierZero, kMalformedPacket, "MQTT-2.2.1-3", "the Packet Identifier is 0");

  set(Fault::kUnknownProtocolName, kUnsupportedProtocolVersion, "MQTT-3.1.2-1", "the Protocol Name is unknown");
  set(Fault::kUnsupportedProtocolLevel, kUnsupportedProtocolVersion, "MQTT-3.1.2-2",
      "the Protocol Version is not supported");
  set(Fault::kReservedConnectFlag, kMalformedPacket, "MQTT-3.1.2-3", "the reserved bit of the Connect Flags is set");
  set(Fault::kWillQoS3, kMalformedPacket, "MQTT-3.1.2-12", "the Will QoS is 3");
  set(Fault::kWillBitsWithoutWill, kMalformedPacket, "MQTT-3.1.2-11",
      "Will QoS or Will Retain is set without the Will Flag");
  set(Fault::kPasswordWithoutUserName, kMalformedPacket, "MQTT-3.1.2-22", "a password without a user name");
  set(Fault::kReservedConnackFlags, kMalformedPacket, "MQTT-3.2.2-1", "reserved bits of the CONNACK flags are set");
  set(Fault::kSessionPresentOnRefusal, kProtocolError, "MQTT-3.2.2-6", "Session Present is set in a refusing CONNACK");
  set(Fault::kUnknownReturnCode, kProtocolError, "section 3.2.2.3", "the return code of CONNACK is reserved");

  set(Fault::kPropertyNotMinimal, kMalformedPacket, "MQTT-1.5.5-1",
      "a variable byte integer in the properties has more than four bytes or is not in its shortest form");
  set(Fault::kUnknownProperty, kMalformedPacket, "section 2.2.2.2", "the property is unknown");
  set(Fault::kPropertyNotAllowedHere, kMalformedPacket, "section 2.2.2.2", "the packet may not carry this property");
  set(Fault::kPropertyWrongDirection, kProtocolError, "section 2.2.2.2", "this side may not send this property");
  set(Fault::kPropertyTwice, kProtocolError, "section 2.2.2.2", "the property may stand here only once");
  set(Fault::kPropertyValue, kProtocolError, "section 2.2.2.2", "the value of a property is out of its range");
  set(Fault::kPropertyCutShort, kMalformedPacket, "section 2.2.2", "a property ends behind the end of the properties");
  set(Fault::kAuthenticationDataWithoutMethod, kProtocolError, "section 3.1.2.11.10",
      "Authentication Data without an Authentication Method");
  set(Fault::kAuthWithoutMethodProperty, kProtocolError, "section 3.15.2.2.2", "AUTH without an Authentication Method");
  set(Fault::kTooManyUserProperties, kQuotaExceeded, "section 4.13.1", "more User Properties than are taken");
  set(Fault::kPropertiesTooLong, kQuotaExceeded, "section 4.13.1", "longer properties than are taken");

  set(Fault::kEmptyTopicName, kMalformedPacket, "MQTT-4.7.3-1", "the topic name is empty");
  set(Fault::kEmptyTopicWithoutAlias, kProtocolError, "section 3.3.2.1", "an empty topic name without a Topic Alias");
  set(Fault::kWildcardInTopicName, kMalformedPacket, "MQTT-3.3.2-2", "a topic name holds a wildcard character");
  set(Fault::kWildcardInResponseTopic, kProtocolError, "MQTT-3.3.2-14", "a Response Topic holds a wildcard character");
  set(Fault::kTopicNameBeyondLimits, kTopicNameInvalid, "section 4.7.3",
      "the topic name has more levels or bytes than are taken");
  set(Fault::kEmptyTopicFilter, kMalformedPacket, "MQTT-4.7.3-1", "the topic filter is empty");
  set(Fault::kHashNotLast, kMalformedPacket, "MQTT-4.7.1-1", "'#' may only be the last level");
  set(Fault::kHashNotAlone, kMalformedPacket, "MQTT-4.7.1-1", "'#' must fill a whole level");
  set(Fault::kPlusNotAlone, kMalformedPacket, "MQTT-4.7.1-2", "'+' must fill a whole level");
  set(Fault::kShareNameEmpty, kProtocolError, "MQTT-4.8.2-1", "the ShareName is empty");
  set(Fault::kShareNameWildcard, kProtocolError, "MQTT-4.8.2-2", "the ShareName holds a wildcard character");
  set(Fault::kShareWithoutFilter, kProtocolError, "MQTT-4.8.2-2", "no topic filter follows the ShareName");
  set(Fault::kTopicFilterBeyondLimits, kTopicFilterInvalid, "section 4.7.3",
      "the topic filter has more levels or bytes than are taken");
  set(Fault::kTopicAliasZero, kTopicAliasInvalid, "MQTT-3.3.2-8", "the Topic Alias is 0");
  set(Fault::kTopicAliasTooLarge, kTopicAliasInvalid, "MQTT-3.3.2-9",
      "the Topic Alias is above the Topic Alias Maximum");
  set(Fault::kTopicAliasUnknown, kProtocolError, "section 3.3.4", "the Topic Alias has not been given a topic");

  set(Fault::kNoTopicFilter, kProtocolError, "MQTT-3.8.3-2", "no topic filter in the packet");
  set(Fault::kReservedSubscriptionOptions, kMalformedPacket, "MQTT-3.8.3-5",
      "reserved bits of the Subscription Options are set");
  set(Fault::kSubscriptionQoS3, kProtocolError, "section 3.8.3.1", "the Maximum QoS of a subscription is 3");
  set(Fault::kRetainHandling3, kProtocolError, "section 3.8.3.1", "the Retain Handling of a subscription is 3");
  set(Fault::kNoLocalOnShared, kProtocolError, "MQTT-3.8.3-4", "No Local is set on a shared subscription");
  set(Fault::kNoReasonCode, kProtocolError, "MQTT-3.8.4-6", "no reason code in the packet");

  set(Fault::kReasonCodeNotAllowed, kProtocolError, "section 2.4", "the packet may not carry this reason code");
  set(Fault::kReceiveMaximumExceeded, ReasonCode::kReceiveMaximumExceeded, "MQTT-3.3.4-7",
      "more unacknowledged PUBLISH packets than the Receive Maximum");
  return table;
}

constexpr auto kVerdicts = make_verdicts();

constexpr bool complete() {
  for (const Verdict& verdict : kVerdicts) {
    if (verdict.rule == nullptr) return false;
  }
  return true;
}
static_assert(complete(), "a Fault has no Verdict");

}  // namespace

const Verdict& verdict_on(Fault fault) noexcept { return kVerdicts[index_of(fault)]; }

}  // namespace mqloop::mqtt
