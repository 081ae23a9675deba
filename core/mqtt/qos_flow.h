// The delivery protocols of QoS 1 and 2 (4.3) as state tables: for one packet identifier, state x event -> next state
// and what to do. They hold no data; whoever owns the session keeps a state for each identifier (two bits hold it) and
// walks the table. An event that does not fit the state changes nothing.
// "= action" keeps the state, "-" does nothing at all. [MQTT-4.3.2-1..5] [MQTT-4.3.3-1..13] [MQTT-4.4.0-1, -2]
//
// Sender of a PUBLISH with QoS 1 or 2, server and client alike. kFree: the identifier is not in use.
//
//   event         kFree                  kAwaitPuback           kAwaitPubrec                 kAwaitPubcomp
//   kPuback       -                      kFree, kDelivered      -                            -
//   kPubackError  -                      kFree, kRefused        -                            -
//   kPubrec       = kSendPubrelNotFound  = kSendPubrelNotFound  kAwaitPubcomp, kSendPubrel   = kSendPubrel
//   kPubrecError  -                      -                      kFree, kRefused              -
//   kPubcomp      -                      -                      -                            kFree, kDelivered
//   kResume       -                      = kResendPublish       = kResendPublish             = kResendPubrel
//
// Receiver of a PUBLISH with QoS 2. Between kDeliver and kAccepted, and between kRelease and kReleased, a durable store
// may take its time; a store that takes none answers at once. In 3.x there is no refusal: kRefused acts as kAccepted.
//
//   event      kFree                   kPending                   kAwaitPubrel          kReleasing
//   kPublish   kPending, kDeliver      -                          = kSendPubrec         = kSendPubrec
//   kAccepted  -                       kAwaitPubrel, kSendPubrec  -                     -
//   kRefused   -                       kFree, kSendPubrecError    -                     -
//   kPubrel    = kSendPubcompNotFound  = kSendPubcompNotFound     kReleasing, kRelease  -
//   kReleased  -                       -                          -                     kFree, kSendPubcomp
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

// The rows and columns of the tables above.
inline constexpr std::array<std::array<SenderStep, 4>, 6> kSenderTable = [] {
  using enum SenderState;
  using enum SenderAction;
  constexpr SenderStep kFreeStays{kFree, kNone};
  constexpr SenderStep kPubackStays{kAwaitPuback, kNone};
  constexpr SenderStep kPubrecStays{kAwaitPubrec, kNone};
  constexpr SenderStep kPubcompStays{kAwaitPubcomp, kNone};
  return std::array<std::array<SenderStep, 4>, 6>{{
      /* kPuback */ {{kFreeStays, {kFree, kDelivered}, kPubrecStays, kPubcompStays}},
      /* kPubackError */ {{kFreeStays, {kFree, kRefused}, kPubrecStays, kPubcompStays}},
      /* kPubrec */
      {{{kFree, kSendPubrelNotFound},
        {kAwaitPuback, kSendPubrelNotFound},
        {kAwaitPubcomp, kSendPubrel},
        {kAwaitPubcomp, kSendPubrel}}},
      /* kPubrecError */ {{kFreeStays, kPubackStays, {kFree, kRefused}, kPubcompStays}},
      /* kPubcomp */ {{kFreeStays, kPubackStays, kPubrecStays, {kFree, kDelivered}}},
      /* kResume */
      {{kFreeStays, {kAwaitPuback, kResendPublish}, {kAwaitPubrec, kResendPublish}, {kAwaitPubcomp, kResendPubrel}}},
  }};
}();

inline constexpr std::array<std::array<ReceiverStep, 4>, 5> kReceiverTable = [] {
  using enum ReceiverState;
  using enum ReceiverAction;
  constexpr ReceiverStep kFreeStays{kFree, kNone};
  constexpr ReceiverStep kPendingStays{kPending, kNone};
  constexpr ReceiverStep kPubrelStays{kAwaitPubrel, kNone};
  constexpr ReceiverStep kReleasingStays{kReleasing, kNone};
  return std::array<std::array<ReceiverStep, 4>, 5>{{
      /* kPublish */
      {{{kPending, kDeliver}, kPendingStays, {kAwaitPubrel, kSendPubrec}, {kReleasing, kSendPubrec}}},
      /* kAccepted */ {{kFreeStays, {kAwaitPubrel, kSendPubrec}, kPubrelStays, kReleasingStays}},
      /* kRefused */ {{kFreeStays, {kFree, kSendPubrecError}, kPubrelStays, kReleasingStays}},
      /* kPubrel */
      {{{kFree, kSendPubcompNotFound}, {kPending, kSendPubcompNotFound}, {kReleasing, kRelease}, kReleasingStays}},
      /* kReleased */ {{kFreeStays, kPendingStays, kPubrelStays, {kFree, kSendPubcomp}}},
  }};
}();

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
