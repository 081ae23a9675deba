#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/qos2_receiver.h"
#include "core/mqtt/qos_flow.h"
#include "core/mqtt/send_quota.h"

namespace mqloop::mqtt::test {
namespace {

constexpr ProtocolVersion kV5 = ProtocolVersion::kV5;
constexpr ProtocolVersion kV311 = ProtocolVersion::kV311;

}  // namespace

TEST_GROUP(QosSender) {
  using S = SenderState;
  using E = SenderEvent;
  using A = SenderAction;
  static void row(S state, E event, S next, A action) {
    const SenderStep found = step(state, event);
    LONGS_EQUAL(static_cast<int>(next), static_cast<int>(found.next));
    LONGS_EQUAL(static_cast<int>(action), static_cast<int>(found.action));
  }
};

TEST(QosSender, qos1_ends_with_puback_whatever_its_code) {
  LONGS_EQUAL(static_cast<int>(S::kAwaitPuback), static_cast<int>(first_sender_state(QoS::kAtLeastOnce)));
  row(S::kAwaitPuback, puback_event(ReasonCode::kSuccess), S::kFree, A::kDelivered);
  row(S::kAwaitPuback, puback_event(ReasonCode::kNoMatchingSubscribers), S::kFree, A::kDelivered);
  row(S::kAwaitPuback, puback_event(ReasonCode::kQuotaExceeded), S::kFree, A::kRefused);
}

TEST(QosSender, qos2_goes_through_pubrec_pubrel_and_pubcomp) {
  LONGS_EQUAL(static_cast<int>(S::kAwaitPubrec), static_cast<int>(first_sender_state(QoS::kExactlyOnce)));
  row(S::kAwaitPubrec, pubrec_event(ReasonCode::kSuccess), S::kAwaitPubcomp, A::kSendPubrel);
  row(S::kAwaitPubcomp, E::kPubcomp, S::kFree, A::kDelivered);
}

TEST(QosSender, a_pubrec_of_0x80_and_above_ends_qos2_without_pubrel) {
  row(S::kAwaitPubrec, pubrec_event(ReasonCode::kNotAuthorized), S::kFree, A::kRefused);
}

TEST(QosSender, a_repeated_pubrec_is_answered_by_pubrel_again_and_never_by_publish) {
  row(S::kAwaitPubcomp, E::kPubrec, S::kAwaitPubcomp, A::kSendPubrel);
  row(S::kAwaitPubcomp, E::kPubrecError, S::kAwaitPubcomp, A::kNone);
}

TEST(QosSender, a_pubrec_for_an_unknown_identifier_is_answered_by_pubrel_0x92_and_the_rest_is_ignored) {
  row(S::kFree, E::kPubrec, S::kFree, A::kSendPubrelNotFound);
  row(S::kFree, E::kPubrecError, S::kFree, A::kNone);
  row(S::kFree, E::kPuback, S::kFree, A::kNone);
  row(S::kFree, E::kPubackError, S::kFree, A::kNone);
  row(S::kFree, E::kPubcomp, S::kFree, A::kNone);
}

TEST(QosSender, an_acknowledgement_of_the_other_flow_changes_nothing) {
  row(S::kAwaitPuback, E::kPubrec, S::kAwaitPuback, A::kSendPubrelNotFound);
  row(S::kAwaitPuback, E::kPubrecError, S::kAwaitPuback, A::kNone);
  row(S::kAwaitPuback, E::kPubcomp, S::kAwaitPuback, A::kNone);
  row(S::kAwaitPubrec, E::kPuback, S::kAwaitPubrec, A::kNone);
  row(S::kAwaitPubrec, E::kPubackError, S::kAwaitPubrec, A::kNone);
  row(S::kAwaitPubrec, E::kPubcomp, S::kAwaitPubrec, A::kNone);
  row(S::kAwaitPubcomp, E::kPuback, S::kAwaitPubcomp, A::kNone);
  row(S::kAwaitPubcomp, E::kPubackError, S::kAwaitPubcomp, A::kNone);
}

TEST(QosSender, on_resume_sends_publish_again_until_pubrec_and_pubrel_after_it) {
  row(S::kFree, E::kResume, S::kFree, A::kNone);
  row(S::kAwaitPuback, E::kResume, S::kAwaitPuback, A::kResendPublish);
  row(S::kAwaitPubrec, E::kResume, S::kAwaitPubrec, A::kResendPublish);
  row(S::kAwaitPubcomp, E::kResume, S::kAwaitPubcomp, A::kResendPubrel);
}

TEST(QosSender, qos0_has_no_flow) {
  LONGS_EQUAL(static_cast<int>(S::kFree), static_cast<int>(first_sender_state(QoS::kAtMostOnce)));
}

TEST_GROUP(Qos2Flow) {
  using S = ReceiverState;
  using E = ReceiverEvent;
  using A = ReceiverAction;
  static void row(S state, E event, S next, A action, ProtocolVersion version = kV5) {
    const ReceiverStep found = step(state, event, version);
    LONGS_EQUAL(static_cast<int>(next), static_cast<int>(found.next));
    LONGS_EQUAL(static_cast<int>(action), static_cast<int>(found.action));
  }
};

TEST(Qos2Flow, every_row_of_the_receiver) {
  row(S::kFree, E::kPublish, S::kPending, A::kDeliver);
  row(S::kPending, E::kPublish, S::kPending, A::kNone);
  row(S::kAwaitPubrel, E::kPublish, S::kAwaitPubrel, A::kSendPubrec);
  row(S::kReleasing, E::kPublish, S::kReleasing, A::kSendPubrec);

  row(S::kFree, E::kAccepted, S::kFree, A::kNone);
  row(S::kPending, E::kAccepted, S::kAwaitPubrel, A::kSendPubrec);
  row(S::kAwaitPubrel, E::kAccepted, S::kAwaitPubrel, A::kNone);
  row(S::kReleasing, E::kAccepted, S::kReleasing, A::kNone);

  row(S::kFree, E::kRefused, S::kFree, A::kNone);
  row(S::kPending, E::kRefused, S::kFree, A::kSendPubrecError);
  row(S::kAwaitPubrel, E::kRefused, S::kAwaitPubrel, A::kNone);
  row(S::kReleasing, E::kRefused, S::kReleasing, A::kNone);

  row(S::kFree, E::kPubrel, S::kFree, A::kSendPubcompNotFound);
  row(S::kPending, E::kPubrel, S::kPending, A::kSendPubcompNotFound);
  row(S::kAwaitPubrel, E::kPubrel, S::kReleasing, A::kRelease);
  row(S::kReleasing, E::kPubrel, S::kReleasing, A::kNone);

  row(S::kFree, E::kReleased, S::kFree, A::kNone);
  row(S::kPending, E::kReleased, S::kPending, A::kNone);
  row(S::kAwaitPubrel, E::kReleased, S::kAwaitPubrel, A::kNone);
  row(S::kReleasing, E::kReleased, S::kFree, A::kSendPubcomp);
}

TEST(Qos2Flow, in_3x_a_refusal_is_acknowledged_like_the_rest) {
  row(S::kPending, E::kRefused, S::kAwaitPubrel, A::kSendPubrec, kV311);
  row(S::kPending, E::kRefused, S::kAwaitPubrel, A::kSendPubrec, ProtocolVersion::kV31);
}

TEST_GROUP(Qos2Receiver) {
  using E = ReceiverEvent;
  using A = ReceiverAction;
  Qos2Receiver receiver;
  void expect(E event, std::uint16_t id, A action) {
    LONGS_EQUAL(static_cast<int>(action), static_cast<int>(receiver.on(event, id, kV5)));
  }
};

TEST(Qos2Receiver, duplicate_publish_before_pubrel_is_delivered_once) {
  expect(E::kPublish, 5, A::kDeliver);
  expect(E::kAccepted, 5, A::kSendPubrec);
  expect(E::kPublish, 5, A::kSendPubrec);
  expect(E::kPublish, 5, A::kSendPubrec);
  LONGS_EQUAL(1, receiver.size());
}

TEST(Qos2Receiver, the_identifier_is_a_new_message_after_pubcomp) {
  for (int i = 0; i < 2; ++i) {
    expect(E::kPublish, 5, A::kDeliver);
    expect(E::kAccepted, 5, A::kSendPubrec);
    expect(E::kPubrel, 5, A::kRelease);
    expect(E::kReleased, 5, A::kSendPubcomp);
    LONGS_EQUAL(0, receiver.size());
  }
}

TEST(Qos2Receiver, the_identifier_is_a_new_message_after_a_refusing_pubrec) {
  expect(E::kPublish, 5, A::kDeliver);
  expect(E::kRefused, 5, A::kSendPubrecError);
  expect(E::kPublish, 5, A::kDeliver);
}

TEST(Qos2Receiver, a_publish_that_comes_again_while_the_store_works_is_answered_once) {
  expect(E::kPublish, 5, A::kDeliver);
  expect(E::kPublish, 5, A::kNone);
  expect(E::kAccepted, 5, A::kSendPubrec);
}

TEST(Qos2Receiver, pubrel_for_an_unknown_identifier_is_not_found_and_stores_nothing) {
  expect(E::kPubrel, 9, A::kSendPubcompNotFound);
  expect(E::kReleased, 9, A::kNone);
  expect(E::kAccepted, 9, A::kNone);
  LONGS_EQUAL(0, receiver.size());
}

TEST(Qos2Receiver, cve_2023_28366_repeating_one_identifier_does_not_grow_it) {
  expect(E::kPublish, 5, A::kDeliver);
  expect(E::kAccepted, 5, A::kSendPubrec);
  for (int i = 0; i < 1'000'000; ++i) (void)receiver.on(E::kPublish, 5, kV5);
  LONGS_EQUAL(1, receiver.size());
}

TEST(Qos2Receiver, keeps_what_a_stored_session_brings) {
  receiver.restore(5, ReceiverState::kAwaitPubrel);
  expect(E::kPublish, 5, A::kSendPubrec);
  expect(E::kPubrel, 5, A::kRelease);
  receiver.clear();
  LONGS_EQUAL(0, receiver.size());
}

TEST_GROUP(Quota){};

TEST(Quota, of_the_sender_ends_at_receive_maximum_and_never_passes_it) {
  SendQuota quota(2);
  CHECK(quota.take());
  CHECK(quota.take());
  CHECK_FALSE(quota.take());
  LONGS_EQUAL(2, quota.in_flight());
  quota.give_back();
  LONGS_EQUAL(1, quota.left());
  quota.give_back();
  quota.give_back();
  LONGS_EQUAL(2, quota.left());
  LONGS_EQUAL(65535, SendQuota().left());
}

TEST(Quota, of_the_receiver_is_broken_by_one_publish_too_many) {
  ReceiveQuota quota(1);
  CHECK(quota.take() == Fault::kNone);
  const Fault fault = quota.take();
  CHECK(fault == Fault::kReceiveMaximumExceeded);
  LONGS_EQUAL(0x93, static_cast<int>(verdict_on(fault).code));
  quota.give_back();
  CHECK(quota.take() == Fault::kNone);
  LONGS_EQUAL(1, quota.in_flight());
}

}  // namespace mqloop::mqtt::test
