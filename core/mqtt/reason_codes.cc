#include "core/mqtt/reason_codes.h"

#include <array>
#include <utility>

namespace mqloop {
namespace mqtt {
namespace {

// Sets of packet types, one bit each.
using Packets = std::uint16_t;
constexpr Packets bit(PacketType type) noexcept { return static_cast<Packets>(1U << static_cast<unsigned>(type)); }
constexpr Packets kNoPacket = 0;
constexpr Packets kConnack = bit(PacketType::kConnack);
constexpr Packets kPuback = bit(PacketType::kPuback);
constexpr Packets kPubrec = bit(PacketType::kPubrec);
constexpr Packets kPubrel = bit(PacketType::kPubrel);
constexpr Packets kPubcomp = bit(PacketType::kPubcomp);
constexpr Packets kSuback = bit(PacketType::kSuback);
constexpr Packets kUnsuback = bit(PacketType::kUnsuback);
constexpr Packets kDisconnect = bit(PacketType::kDisconnect);
constexpr Packets kAuth = bit(PacketType::kAuth);
constexpr Packets kPublishAnswers = kPuback | kPubrec;
constexpr Packets kRefusals = kConnack | kPublishAnswers | kSuback | kUnsuback;

struct Row {
  ReasonCode code;
  std::string_view name;
  Packets from_both;
  Packets from_client_only;
  Packets from_server_only;
};

using enum ReasonCode;
constexpr Row kRows[] = {
    {kSuccess, "Success", kRefusals | kPubrel | kPubcomp | kDisconnect, kNoPacket, kAuth},
    {kGrantedQoS1, "Granted QoS 1", kSuback, kNoPacket, kNoPacket},
    {kGrantedQoS2, "Granted QoS 2", kSuback, kNoPacket, kNoPacket},
    {kDisconnectWithWillMessage, "Disconnect with Will Message", kNoPacket, kDisconnect, kNoPacket},
    {kNoMatchingSubscribers, "No matching subscribers", kNoPacket, kNoPacket, kPublishAnswers},
    {kNoSubscriptionExisted, "No subscription existed", kUnsuback, kNoPacket, kNoPacket},
    {kContinueAuthentication, "Continue authentication", kAuth, kNoPacket, kNoPacket},
    {kReAuthenticate, "Re-authenticate", kNoPacket, kAuth, kNoPacket},
    {kUnspecifiedError, "Unspecified error", kRefusals | kDisconnect, kNoPacket, kNoPacket},
    {kMalformedPacket, "Malformed Packet", kConnack | kDisconnect, kNoPacket, kNoPacket},
    {kProtocolError, "Protocol Error", kConnack | kDisconnect, kNoPacket, kNoPacket},
    {kImplementationSpecificError, "Implementation specific error", kRefusals | kDisconnect, kNoPacket, kNoPacket},
    {kUnsupportedProtocolVersion, "Unsupported Protocol Version", kConnack, kNoPacket, kNoPacket},
    {kClientIdentifierNotValid, "Client Identifier not valid", kConnack, kNoPacket, kNoPacket},
    {kBadUserNameOrPassword, "Bad User Name or Password", kConnack, kNoPacket, kNoPacket},
    {kNotAuthorized, "Not authorized", kRefusals, kNoPacket, kDisconnect},
    {kServerUnavailable, "Server unavailable", kConnack, kNoPacket, kNoPacket},
    {kServerBusy, "Server busy", kConnack, kNoPacket, kDisconnect},
    {kBanned, "Banned", kConnack, kNoPacket, kNoPacket},
    {kServerShuttingDown, "Server shutting down", kNoPacket, kNoPacket, kDisconnect},
    {kBadAuthenticationMethod, "Bad authentication method", kConnack, kNoPacket, kNoPacket},
    {kKeepAliveTimeout, "Keep Alive timeout", kNoPacket, kNoPacket, kDisconnect},
    {kSessionTakenOver, "Session taken over", kNoPacket, kNoPacket, kDisconnect},
    {kTopicFilterInvalid, "Topic Filter invalid", kSuback | kUnsuback, kNoPacket, kDisconnect},
    {kTopicNameInvalid, "Topic Name invalid", kConnack | kPublishAnswers | kDisconnect, kNoPacket, kNoPacket},
    {kPacketIdentifierInUse, "Packet Identifier in use", kPublishAnswers | kSuback | kUnsuback, kNoPacket, kNoPacket},
    {kPacketIdentifierNotFound, "Packet Identifier not found", kPubrel | kPubcomp, kNoPacket, kNoPacket},
    {kReceiveMaximumExceeded, "Receive Maximum exceeded", kDisconnect, kNoPacket, kNoPacket},
    {kTopicAliasInvalid, "Topic Alias invalid", kDisconnect, kNoPacket, kNoPacket},
    {kPacketTooLarge, "Packet too large", kConnack | kDisconnect, kNoPacket, kNoPacket},
    {kMessageRateTooHigh, "Message rate too high", kDisconnect, kNoPacket, kNoPacket},
    {kQuotaExceeded, "Quota exceeded", kConnack | kPublishAnswers | kSuback | kDisconnect, kNoPacket, kNoPacket},
    {kAdministrativeAction, "Administrative action", kDisconnect, kNoPacket, kNoPacket},
    {kPayloadFormatInvalid, "Payload format invalid", kConnack | kPublishAnswers | kDisconnect, kNoPacket, kNoPacket},
    {kRetainNotSupported, "Retain not supported", kConnack, kNoPacket, kDisconnect},
    {kQoSNotSupported, "QoS not supported", kConnack, kNoPacket, kDisconnect},
    {kUseAnotherServer, "Use another server", kConnack, kNoPacket, kDisconnect},
    {kServerMoved, "Server moved", kConnack, kNoPacket, kDisconnect},
    {kSharedSubscriptionsNotSupported, "Shared Subscriptions not supported", kSuback, kNoPacket, kDisconnect},
    {kConnectionRateExceeded, "Connection rate exceeded", kConnack, kNoPacket, kDisconnect},
    {kMaximumConnectTime, "Maximum connect time", kNoPacket, kNoPacket, kDisconnect},
    {kSubscriptionIdentifiersNotSupported, "Subscription Identifiers not supported", kSuback, kNoPacket, kDisconnect},
    {kWildcardSubscriptionsNotSupported, "Wildcard Subscriptions not supported", kSuback, kNoPacket, kDisconnect},
};

const Row* find(ReasonCode code) noexcept {
  for (const Row& row : kRows) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

// Which packets each of the 256 values may stand in: an acknowledgement asks once for every message.
struct Legal {
  std::array<Packets, 256> from_client{};
  std::array<Packets, 256> from_server{};
};
constexpr Legal kLegal = [] {
  Legal legal;
  for (const Row& row : kRows) {
    legal.from_client[static_cast<std::uint8_t>(row.code)] = row.from_both | row.from_client_only;
    legal.from_server[static_cast<std::uint8_t>(row.code)] = row.from_both | row.from_server_only;
  }
  return legal;
}();

}  // namespace

bool may_carry(PacketType type, ReasonCode code, Role sender) noexcept {
  const auto& legal = sender == Role::kClient ? kLegal.from_client : kLegal.from_server;
  return (legal[static_cast<std::uint8_t>(code)] & bit(type)) != 0;
}

std::optional<std::uint8_t> connack_return_code(ReasonCode code) noexcept {
  switch (code) {
    case kSuccess:
      return 0;
    case kUnsupportedProtocolVersion:
      return 1;
    case kClientIdentifierNotValid:
      return 2;
    case kServerUnavailable:
    case kServerBusy:
    case kQuotaExceeded:
    case kUseAnotherServer:
    case kServerMoved:
    case kConnectionRateExceeded:
      return 3;
    case kBadUserNameOrPassword:
    case kBadAuthenticationMethod:
      return 4;
    case kNotAuthorized:
    case kBanned:
      return 5;
    default:
      return std::nullopt;
  }
}

std::optional<ReasonCode> reason_of_return_code(std::uint8_t return_code) noexcept {
  static constexpr ReasonCode kReasons[] = {kSuccess,           kUnsupportedProtocolVersion, kClientIdentifierNotValid,
                                            kServerUnavailable, kBadUserNameOrPassword,      kNotAuthorized};
  if (return_code >= std::size(kReasons)) return std::nullopt;
  return kReasons[return_code];
}

}  // namespace mqtt

std::string_view name_of(ReasonCode code) noexcept {
  const mqtt::Row* row = mqtt::find(code);
  return row == nullptr ? "Unknown reason code" : row->name;
}

}  // namespace mqloop
