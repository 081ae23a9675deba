// The delivery protocols of QoS 1 and 2 (4.3) as state tables: for one packet identifier, state x event -> next state
// and what to do. They hold no data; whoever owns the session keeps a state for each identifier (two bits hold it) and
// walks the table. An event that does not fit the state changes nothing.
//
// Sender of a PUBLISH with QoS 1 or 2 (server and client alike); kFree: the identifier is not in use.
//
//   event \ state   kFree                 kAwaitPuback        kAwaitPubrec         kAwaitPubcomp
//   kPuback         -                     kFree, kDelivered   -                    -
//   kPubackError    -                     kFree, kRefused     -                    -
//   kPubrec         kSendPubrelNotFound   = kSendPubrelNotFound  kAwaitPubcomp, kSendPubrel  = kSendPubrel (again)
//   kPubrecError    -                     -                   kFree, kRefused      -
//   kPubcomp        -                     -                   -                    kFree, kDelivered
//   kResume         -                     = kResendPublish    = kResendPublish     = kResendPubrel
//
// Receiver of a PUBLISH with QoS 2. Between kDeliver and kAccepted, and between kRelease and kReleased, a durable store
// may take its time; a store that takes none answers at once. In 3.x there is no refusal: kRefused acts as kAccepted.
//
//   event \ state   kFree                kPending            kAwaitPubrel               kReleasing
//   kPublish        kPending, kDeliver   -                   = kSendPubrec              = kSendPubrec
//   kAccepted       -                    kAwaitPubrel, kSendPubrec     -                -
//   kRefused        -                    kFree, kSendPubrecError       -                -
//   kPubrel         kSendPubcompNotFound = kSendPubcompNotFound        kReleasing, kRelease   -
//   kReleased       -                    -                   -                          kFree, kSendPubcomp
//
// "= action" keeps the state, "-" does nothing at all. [MQTT-4.3.2-1..5] [MQTT-4.3.3-1..13] [MQTT-4.4.0-1, -2]
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <mqloop/protocol.h>
#include <mqloop/reason_code.h>

namespace mqloop::mqtt {

enum class SenderState : std::uint8_t { kFree, kAwaitPuback, kAwaitPubrec, kAwaitPubcomp };
enum class SenderEvent : std::uint8_t { kPuback, kPubackError, kPubrec, kPubrecError, kPubcomp, kResume };
enum class SenderAction : std::uint8_t {
  kNone,
  kDelivered,           // free the identifier and the message, one more may be sent
  kRefused,             // the same, but the receiver did not take it: it goes to nobody else [MQTT-4.8.2-6]
  kSendPubrel,          // the message itself is needed no more [MQTT-4.3.3-6]
  kSendPubrelNotFound,  // PUBREL with 0x92
  kResendPublish,       // DUP 1, same identifier
  kResendPubrel,
};
struct SenderStep {
  SenderState next;
  SenderAction action;
  friend constexpr bool operator==(const SenderStep&, const SenderStep&) = default;
};

enum class ReceiverState : std::uint8_t { kFree, kPending, kAwaitPubrel, kReleasing };
enum class ReceiverEvent : std::uint8_t { kPublish, kAccepted, kRefused, kPubrel, kReleased };
enum class ReceiverAction : std::uint8_t {
  kNone,
  kDeliver,          // hand the message on: this is the one time
  kSendPubrec,       // with a code below 0x80
  kSendPubrecError,  // with the code of the refusal
  kRelease,          // forget that the identifier was seen
  kSendPubcomp,
  kSendPubcompNotFound,  // PUBCOMP with 0x92
};
struct ReceiverStep {
  ReceiverState next;
  ReceiverAction action;
  friend constexpr bool operator==(const ReceiverStep&, const ReceiverStep&) = default;
};

namespace detail {
// clang-format off
inline constexpr std::array<std::array<SenderStep, 4>, 6> kSenderTable = [] {
  using S = SenderState;
  using A = SenderAction;
  return std::array<std::array<SenderStep, 4>, 6>{{
    /* kPuback */      {{{S::kFree, A::kNone},               {S::kFree, A::kDelivered},                   {S::kAwaitPubrec, A::kNone},          {S::kAwaitPubcomp, A::kNone}}},
    /* kPubackError */ {{{S::kFree, A::kNone},               {S::kFree, A::kRefused},                     {S::kAwaitPubrec, A::kNone},          {S::kAwaitPubcomp, A::kNone}}},
    /* kPubrec */      {{{S::kFree, A::kSendPubrelNotFound}, {S::kAwaitPuback, A::kSendPubrelNotFound},   {S::kAwaitPubcomp, A::kSendPubrel},   {S::kAwaitPubcomp, A::kSendPubrel}}},
    /* kPubrecError */ {{{S::kFree, A::kNone},               {S::kAwaitPuback, A::kNone},                 {S::kFree, A::kRefused},              {S::kAwaitPubcomp, A::kNone}}},
    /* kPubcomp */     {{{S::kFree, A::kNone},               {S::kAwaitPuback, A::kNone},                 {S::kAwaitPubrec, A::kNone},          {S::kFree, A::kDelivered}}},
    /* kResume */      {{{S::kFree, A::kNone},               {S::kAwaitPuback, A::kResendPublish},        {S::kAwaitPubrec, A::kResendPublish}, {S::kAwaitPubcomp, A::kResendPubrel}}},
  }};
}();
inline constexpr std::array<std::array<ReceiverStep, 4>, 5> kReceiverTable = [] {
  using S = ReceiverState;
  using A = ReceiverAction;
  return std::array<std::array<ReceiverStep, 4>, 5>{{
    /* kPublish */  {{{S::kPending, A::kDeliver},             {S::kPending, A::kNone},              {S::kAwaitPubrel, A::kSendPubrec}, {S::kReleasing, A::kSendPubrec}}},
    /* kAccepted */ {{{S::kFree, A::kNone},                   {S::kAwaitPubrel, A::kSendPubrec},    {S::kAwaitPubrel, A::kNone},       {S::kReleasing, A::kNone}}},
    /* kRefused */  {{{S::kFree, A::kNone},                   {S::kFree, A::kSendPubrecError},      {S::kAwaitPubrel, A::kNone},       {S::kReleasing, A::kNone}}},
    /* kPubrel */   {{{S::kFree, A::kSendPubcompNotFound},    {S::kPending, A::kSendPubcompNotFound}, {S::kReleasing, A::kRelease},    {S::kReleasing, A::kNone}}},
    /* kReleased */ {{{S::kFree, A::kNone},                   {S::kPending, A::kNone},              {S::kAwaitPubrel, A::kNone},       {S::kFree, A::kSendPubcomp}}},
  }};
}();
// clang-format on
}  // namespace detail

[[nodiscard]] constexpr SenderStep step(SenderState state, SenderEvent event) noexcept {
  return detail::kSenderTable[static_cast<std::size_t>(event)][static_cast<std::size_t>(state)];
}

[[nodiscard]] constexpr ReceiverStep step(ReceiverState state, ReceiverEvent event, ProtocolVersion version) noexcept {
  if (event == ReceiverEvent::kRefused && version != ProtocolVersion::kV5) event = ReceiverEvent::kAccepted;
  return detail::kReceiverTable[static_cast<std::size_t>(event)][static_cast<std::size_t>(state)];
}

// Where a PUBLISH of this QoS starts once it has its identifier and is sent; QoS 0 has no flow.
[[nodiscard]] constexpr SenderState first_sender_state(QoS qos) noexcept {
  if (qos == QoS::kAtMostOnce) return SenderState::kFree;
  return qos == QoS::kAtLeastOnce ? SenderState::kAwaitPuback : SenderState::kAwaitPubrec;
}
[[nodiscard]] constexpr SenderEvent puback_event(ReasonCode code) noexcept {
  return is_error(code) ? SenderEvent::kPubackError : SenderEvent::kPuback;
}
[[nodiscard]] constexpr SenderEvent pubrec_event(ReasonCode code) noexcept {
  return is_error(code) ? SenderEvent::kPubrecError : SenderEvent::kPubrec;
}

}  // namespace mqloop::mqtt
