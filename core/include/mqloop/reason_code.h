// The reason codes of MQTT 5.0 (2.4). A code below 0x80 tells of success, one of 0x80 and above of failure. MQTT 3.x
// knows only the few that CONNACK and SUBACK have; the encoder translates those and leaves the others out.
#pragma once

#include <cstdint>
#include <string_view>

#include <mqloop/export.h>

namespace mqloop {

enum class ReasonCode : std::uint8_t {
  kSuccess = 0x00,
  kNormalDisconnection = 0x00,  // the name of 0x00 in DISCONNECT
  kGrantedQoS0 = 0x00,          // the name of 0x00 in SUBACK
  kGrantedQoS1 = 0x01,
  kGrantedQoS2 = 0x02,
  kDisconnectWithWillMessage = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReAuthenticate = 0x19,
  kUnspecifiedError = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecificError = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdentifierNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8A,
  kServerShuttingDown = 0x8B,
  kBadAuthenticationMethod = 0x8C,
  kKeepAliveTimeout = 0x8D,
  kSessionTakenOver = 0x8E,
  kTopicFilterInvalid = 0x8F,
  kTopicNameInvalid = 0x90,
  kPacketIdentifierInUse = 0x91,
  kPacketIdentifierNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9A,
  kQoSNotSupported = 0x9B,
  kUseAnotherServer = 0x9C,
  kServerMoved = 0x9D,
  kSharedSubscriptionsNotSupported = 0x9E,
  kConnectionRateExceeded = 0x9F,
  kMaximumConnectTime = 0xA0,
  kSubscriptionIdentifiersNotSupported = 0xA1,
  kWildcardSubscriptionsNotSupported = 0xA2,
};

[[nodiscard]] constexpr bool is_error(ReasonCode code) noexcept { return static_cast<std::uint8_t>(code) >= 0x80; }

// The name that the standard gives the code ("Bad User Name or Password"); 0x00 is "Success" wherever it stands. A
// value that the standard does not define is "Unknown reason code".
[[nodiscard]] MQLOOP_API std::string_view name_of(ReasonCode code) noexcept;

}  // namespace mqloop
