// What can be wrong with bytes that a peer sent, and the verdict on each: the reason code that 5.0 has for it, a
// sentence for people and the rule that was broken. Decoding functions return a Fault by value; kNone is "nothing
// wrong". Peers of 3.x get no code, only a closed connection, but the log names the same rule. Static tables, any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <mqloop/reason_code.h>

namespace mqloop::mqtt {

enum class Fault : std::uint8_t {
  kNone,
  // Fixed header
  kReservedPacketType,
  kReservedFlags,
  kQoS3,
  kDupWithQoS0,
  kLengthTooLong,
  kLengthNotMinimal,
  kPacketTooLarge,
  kLengthOutOfRange,
  // Which packet may come when
  kFirstPacketNotConnect,
  kSecondConnect,
  kNotForServer,
  kNotForClient,
  kFirstPacketNotConnack,
  kSecondConnack,
  kOnlyAuthBeforeConnack,
  kAuthWithoutMethod,
  // Fields
  kCutShort,
  kTrailingBytes,
  kNotUtf8,
  kPacketIdentifierZero,
  // CONNECT, CONNACK
  kUnknownProtocolName,
  kUnsupportedProtocolLevel,
  kReservedConnectFlag,
  kWillQoS3,
  kWillBitsWithoutWill,
  kPasswordWithoutUserName,
  kReservedConnackFlags,
  kSessionPresentOnRefusal,
  kUnknownReturnCode,
  // Properties
  kPropertyNotMinimal,
  kUnknownProperty,
  kPropertyNotAllowedHere,
  kPropertyWrongDirection,
  kPropertyTwice,
  kPropertyValue,
  kPropertyCutShort,
  kAuthenticationDataWithoutMethod,
  kAuthWithoutMethodProperty,
  kTooManyUserProperties,
  kPropertiesTooLong,
  // Topics
  kEmptyTopicName,
  kEmptyTopicWithoutAlias,
  kWildcardInTopicName,
  kWildcardInResponseTopic,
  kTopicNameBeyondLimits,
  kEmptyTopicFilter,
  kHashNotLast,
  kHashNotAlone,
  kPlusNotAlone,
  kShareNameEmpty,
  kShareNameWildcard,
  kShareWithoutFilter,
  kTopicFilterBeyondLimits,
  kTopicAliasZero,
  kTopicAliasTooLarge,
  kTopicAliasUnknown,
  // SUBSCRIBE, UNSUBSCRIBE and their answers
  kNoTopicFilter,
  kReservedSubscriptionOptions,
  kSubscriptionQoS3,
  kRetainHandling3,
  kNoLocalOnShared,
  kNoReasonCode,
  // Reason codes, flow control
  kReasonCodeNotAllowed,
  kReceiveMaximumExceeded,
  kCount
};

struct Verdict {
  ReasonCode code;
  // Static text: one sentence for people without a final full stop.
  std::string_view explanation;
  // The statement of MQTT 5.0 that was broken ("MQTT-3.3.1-4"; the one of 3.1.1 where only that version has it), or the
  // section ("section 2.1.3") where the standard numbers no statement. Never null.
  const char* rule;
};

// `fault` is not kNone or kCount.
[[nodiscard]] const Verdict& verdict_on(Fault fault) noexcept;

}  // namespace mqloop::mqtt
