// What the encoder does beyond giving back the bytes of every_packet_test.cc.
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/property_writer.h"
#include "tests/unit/mqtt/wire.h"

namespace mqloop::mqtt::test {
namespace {

constexpr ProtocolVersion kV31 = ProtocolVersion::kV31;
constexpr ProtocolVersion kV311 = ProtocolVersion::kV311;
constexpr ProtocolVersion kV5 = ProtocolVersion::kV5;

void check_bytes(const char* expected, const Packet& packet, ProtocolVersion version) {
  STRCMP_EQUAL(hex(wire(expected)).c_str(), hex(encoded(packet, version)).c_str());
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

AckPacket ack(PacketType type, std::uint16_t id, ReasonCode code = ReasonCode::kSuccess) {
  AckPacket packet;
  packet.type = type;
  packet.packet_id = id;
  packet.reason_code = code;
  return packet;
}

ConnackPacket connack(ReasonCode code, bool session_present = false) {
  ConnackPacket packet;
  packet.reason_code = code;
  packet.session_present = session_present;
  return packet;
}

}  // namespace

TEST_GROUP(Encoder){};

TEST(Encoder, leaves_out_what_silence_says) {
  check_bytes("40 02 00 07", ack(PacketType::kPuback, 7), kV5);
  check_bytes("40 03 00 07 10", ack(PacketType::kPuback, 7, ReasonCode::kNoMatchingSubscribers), kV5);
  check_bytes("62 03 00 07 92", ack(PacketType::kPubrel, 7, ReasonCode::kPacketIdentifierNotFound), kV5);
  check_bytes("E0 00", DisconnectPacket{}, kV5);
  check_bytes("E0 01 8E", DisconnectPacket{.reason_code = ReasonCode::kSessionTakenOver, .properties = {}}, kV5);
}

TEST(Encoder, of_3x_leaves_out_codes_and_properties) {
  PropertyWriter writer;
  writer.add(PropertyId::kReasonString, "r");
  AckPacket packet = ack(PacketType::kPubcomp, 7, ReasonCode::kPacketIdentifierNotFound);
  packet.properties = writer.properties();
  check_bytes("70 02 00 07", packet, kV311);
  check_bytes("70 08 00 07 92 04 1F 00 01 'r'", packet, kV5);
  check_bytes("E0 00", DisconnectPacket{.reason_code = ReasonCode::kServerBusy, .properties = writer.properties()},
              kV31);
}

TEST(Encoder, of_3x_turns_reason_codes_into_return_codes) {
  check_bytes("20 02 00 04", connack(ReasonCode::kBadUserNameOrPassword), kV311);
  check_bytes("20 02 00 01", connack(ReasonCode::kUnsupportedProtocolVersion), kV31);
  check_bytes("20 02 01 00", connack(ReasonCode::kSuccess, true), kV311);
  check_bytes("20 02 00 00", connack(ReasonCode::kSuccess, true), kV31);
  LONGS_EQUAL(0, encoded_size(connack(ReasonCode::kMalformedPacket), kV311));
  Bytes none;
  CHECK_FALSE(append(connack(ReasonCode::kMalformedPacket), kV311, none));
  CHECK(none.empty());
}

TEST(Encoder, of_3x_has_one_failure_in_suback_and_no_codes_in_unsuback) {
  const std::vector<ReasonCode> codes = {ReasonCode::kGrantedQoS2, ReasonCode::kNotAuthorized};
  check_bytes("90 04 00 01 02 80", SubackPacket{1, {}, codes}, kV311);
  check_bytes("90 05 00 01 00 02 87", SubackPacket{1, {}, codes}, kV5);
  check_bytes("B0 02 00 01", UnsubackPacket{1, {}, codes}, kV311);
  check_bytes("B0 05 00 01 00 02 87", UnsubackPacket{1, {}, codes}, kV5);
}

TEST(Encoder, of_3x_has_no_auth) {
  LONGS_EQUAL(0, encoded_size(AuthPacket{}, kV311));
  LONGS_EQUAL(0, encoded_size(Packet{}, kV5));
}

TEST(Encoder, writes_the_lists_of_subscribe_and_unsubscribe) {
  SubscriptionListWriter subscriptions;
  subscriptions.add("a/b", {QoS::kAtLeastOnce, true, false, RetainHandling::kSendIfNew});
  subscriptions.add("#", {QoS::kExactlyOnce, false, true, RetainHandling::kDoNotSend});
  const SubscribePacket subscribe{3, {}, subscriptions.list()};
  check_bytes("82 0D 00 03 00 00 03 'a/b' 15 00 01 '#' 2A", subscribe, kV5);
  check_bytes("82 0C 00 03 00 03 'a/b' 01 00 01 '#' 02", subscribe, kV311);
  TopicFilterListWriter filters;
  filters.add("a/b").add("#");
  check_bytes("A2 0B 00 03 00 00 03 'a/b' 00 01 '#'", UnsubscribePacket{3, {}, filters.list()}, kV5);
}

TEST(Encoder, uses_one_to_four_bytes_of_remaining_length) {
  for (const std::size_t body : {127U, 128U, 16'383U, 16'384U, 2'097'151U, 2'097'152U}) {
    const std::string payload(body - 3, 'x');
    PublishPacket publish;
    publish.topic = "t";
    publish.payload = bytes_of(payload);
    const std::size_t head = body < 128 ? 2 : body < 16'384 ? 3 : body < 2'097'152 ? 4 : 5;
    LONGS_EQUAL(head + body, encoded_size(publish, kV311));
    const Bytes bytes = encoded(publish, kV311);
    const Decoded decoded = decode_from(Role::kClient, kV311, bytes);
    CHECK(decoded.result.kind == DecodeResult::Kind::kPacket);
    LONGS_EQUAL(bytes.size(), decoded.result.size);
  }
}

TEST(Encoder, refuses_a_packet_that_no_remaining_length_can_hold) {
  // Only the size of the payload is looked at, so nothing of it has to exist.
  static const std::uint8_t kByte = 0;
  PublishPacket publish;
  publish.topic = "t";
  publish.payload = {&kByte, 268'435'452};
  LONGS_EQUAL(268'435'460, layout_of(publish, kV311).total_size);
  publish.payload = {&kByte, 268'435'453};
  LONGS_EQUAL(0, layout_of(publish, kV311).total_size);
  LONGS_EQUAL(0, encoded_size(publish, kV311));
  static const ReasonCode kCode = ReasonCode::kSuccess;
  LONGS_EQUAL(268'435'460, encoded_size(SubackPacket{1, {}, {&kCode, 268'435'453}}, kV311));
  LONGS_EQUAL(0, encoded_size(SubackPacket{1, {}, {&kCode, 268'435'454}}, kV311));
}

TEST_GROUP(PublishHead) {
  PropertyWriter writer;
  PublishPacket publish;
  void setup() override {
    publish.topic = "a/b";
    publish.qos = QoS::kAtLeastOnce;
    publish.packet_id = 0x1234;
    publish.payload = bytes_of("hello");
  }
  Bytes head(ProtocolVersion version, const PublishAdditions& additions, PublishLayout* out = nullptr) {
    const PublishLayout layout = layout_of(publish, version, additions);
    Bytes bytes(layout.head_size);
    POINTERS_EQUAL(bytes.data() + bytes.size(), encode_head(publish, version, layout, bytes.data(), additions));
    LONGS_EQUAL(layout.total_size, layout.head_size + publish.payload.size());
    if (out != nullptr) *out = layout;
    return bytes;
  }
};

TEST(PublishHead, is_the_packet_without_its_payload) {
  STRCMP_EQUAL(hex(wire("32 0C 00 03 'a/b' 12 34")).c_str(), hex(head(kV311, {})).c_str());
  STRCMP_EQUAL(hex(wire("32 0D 00 03 'a/b' 12 34 00")).c_str(), hex(head(kV5, {})).c_str());
}

TEST(PublishHead, is_made_once_and_patched_for_each_receiver) {
  PublishLayout layout;
  Bytes bytes = head(kV5, {}, &layout);
  LONGS_EQUAL(7, layout.packet_id_offset);
  patch_packet_id(bytes.data(), layout, 0xABCD);
  set_dup(bytes.data(), true);
  STRCMP_EQUAL(hex(wire("3A 0D 00 03 'a/b' AB CD 00")).c_str(), hex(bytes).c_str());
  set_dup(bytes.data(), false);
  LONGS_EQUAL(0x32, bytes[0]);
}

TEST(PublishHead, of_qos_0_has_no_identifier) {
  publish.qos = QoS::kAtMostOnce;
  PublishLayout layout;
  STRCMP_EQUAL(hex(wire("30 0A 00 03 'a/b'")).c_str(), hex(head(kV311, {}, &layout)).c_str());
  LONGS_EQUAL(0, layout.packet_id_offset);
}

TEST(PublishHead, additions_stand_beside_the_properties_of_the_publisher) {
  writer.add(PropertyId::kMessageExpiryInterval, 60).add(PropertyId::kTopicAlias, 9).add(PropertyId::kContentType, "t");
  writer.add_user_property("k", "v");
  publish.properties = writer.properties().without(PropertyId::kTopicAlias);
  const std::vector<std::uint32_t> ids = {1, 300};
  const PublishAdditions additions{.topic_alias = 2, .message_expiry_interval = 55, .subscription_identifiers = ids};
  publish.topic = "";
  STRCMP_EQUAL(
      hex(wire("32 22 00 00 12 34 18 23 00 02 02 00 00 00 37 0B 01 0B AC 02 03 00 01 't' 26 00 01 'k' 00 01 'v'"))
          .c_str(),
      hex(head(kV5, additions)).c_str());
}

TEST(PublishHead, additions_replace_what_the_publisher_sent) {
  writer.add(PropertyId::kTopicAlias, 9).add(PropertyId::kMessageExpiryInterval, 60).add_user_property("k", "v");
  publish.properties = writer.properties();
  const PublishAdditions additions{.topic_alias = 2, .message_expiry_interval = 1, .subscription_identifiers = {}};
  STRCMP_EQUAL(hex(wire("32 1C 00 03 'a/b' 12 34 0F 23 00 02 02 00 00 00 01 26 00 01 'k' 00 01 'v'")).c_str(),
               hex(head(kV5, additions)).c_str());
  STRCMP_EQUAL(hex(wire("32 1C 00 03 'a/b' 12 34 0F 23 00 09 02 00 00 00 3C 26 00 01 'k' 00 01 'v'")).c_str(),
               hex(head(kV5, {})).c_str());
}

TEST(PublishHead, of_3x_has_no_properties) {
  writer.add_user_property("k", "v");
  publish.properties = writer.properties();
  STRCMP_EQUAL(
      hex(wire("32 0C 00 03 'a/b' 12 34")).c_str(),
      hex(head(kV311, {.topic_alias = 1, .message_expiry_interval = 3, .subscription_identifiers = {}})).c_str());
}

TEST_GROUP(Fit) {
  PropertyWriter writer;
  void setup() override {
    writer.add(PropertyId::kReasonString, "why").add_user_property("k", "v").add_user_property("k", "w");
  }
};

TEST(Fit, leaves_out_user_properties_first_and_then_the_reason_string) {
  AckPacket whole = ack(PacketType::kPuback, 1, ReasonCode::kQuotaExceeded);
  whole.properties = writer.properties();
  const auto fitted = [&](std::uint32_t maximum) {
    AckPacket packet = whole;
    CHECK(fit(packet, kV5, {.maximum_packet_size = maximum}));
    CHECK(encoded_size(packet, kV5) <= maximum);
    return hex(encoded(packet, kV5));
  };
  STRCMP_EQUAL(hex(wire("40 18 00 01 97 14 1F 00 03 'why' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'w'")).c_str(),
               fitted(26).c_str());
  STRCMP_EQUAL(hex(wire("40 0A 00 01 97 06 1F 00 03 'why'")).c_str(), fitted(25).c_str());
  STRCMP_EQUAL(hex(wire("40 0A 00 01 97 06 1F 00 03 'why'")).c_str(), fitted(12).c_str());
  STRCMP_EQUAL(hex(wire("40 03 00 01 97")).c_str(), fitted(11).c_str());
  CHECK_FALSE(fit(whole, kV5, {.maximum_packet_size = 4}));
}

TEST(Fit, without_problem_information_keeps_it_in_connack_and_disconnect_alone) {
  const PeerLimits peer{.problem_information = false};
  AckPacket puback = ack(PacketType::kPuback, 1);
  puback.properties = writer.properties();
  CHECK(fit(puback, kV5, peer));
  check_bytes("40 02 00 01", puback, kV5);
  const std::vector<ReasonCode> codes = {ReasonCode::kNotAuthorized};
  SubackPacket suback{1, writer.properties(), codes};
  CHECK(fit(suback, kV5, peer));
  check_bytes("90 04 00 01 00 87", suback, kV5);
  UnsubackPacket unsuback{1, writer.properties(), codes};
  CHECK(fit(unsuback, kV5, peer));
  check_bytes("B0 04 00 01 00 87", unsuback, kV5);
  DisconnectPacket disconnect{ReasonCode::kServerBusy, writer.properties()};
  CHECK(fit(disconnect, kV5, peer));
  CHECK(disconnect.properties.reason_string() == "why");
  ConnackPacket answer = connack(ReasonCode::kServerBusy);
  answer.properties = writer.properties();
  CHECK(fit(answer, kV5, peer));
  LONGS_EQUAL(2, answer.properties.count(PropertyId::kUserProperty));
}

// Whatever the maximum, a packet is as large as that at most; User Properties go before the Reason String does, and the
// code never.
template <typename T>
void check_fits_every_maximum(T whole) {
  const Properties all = whole.properties;
  const std::size_t full = encoded_size(whole, kV5);
  whole.properties = all.without(PropertyId::kUserProperty);
  const std::size_t with_reason = encoded_size(whole, kV5);
  whole.properties = all.without(PropertyId::kUserProperty).without(PropertyId::kReasonString);
  const std::size_t bare = encoded_size(whole, kV5);
  CHECK(bare < with_reason && with_reason < full);
  for (std::uint32_t maximum = 1; maximum != full + 2; ++maximum) {
    T packet = whole;
    packet.properties = all;
    const bool fitted = fit(packet, kV5, {.maximum_packet_size = maximum});
    CHECK_EQUAL(maximum >= bare, fitted);
    if (!fitted) continue;
    CHECK(encoded_size(packet, kV5) <= maximum);
    CHECK_EQUAL(maximum >= with_reason, packet.properties.has(PropertyId::kReasonString));
    LONGS_EQUAL(maximum >= full ? 2 : 0, packet.properties.count(PropertyId::kUserProperty));
  }
}

TEST(Fit, of_every_answer_leaves_out_no_more_than_it_must) {
  const std::vector<ReasonCode> codes = {ReasonCode::kNotAuthorized};
  const Properties& properties = writer.properties();
  ConnackPacket answer = connack(ReasonCode::kServerBusy);
  answer.properties = properties;
  check_fits_every_maximum(answer);
  for (const PacketType type : {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp}) {
    AckPacket packet = ack(type, 1, ReasonCode::kPacketIdentifierNotFound);
    packet.properties = properties;
    check_fits_every_maximum(packet);
  }
  check_fits_every_maximum(SubackPacket{1, properties, codes});
  check_fits_every_maximum(UnsubackPacket{1, properties, codes});
  check_fits_every_maximum(DisconnectPacket{ReasonCode::kServerBusy, properties});
  check_fits_every_maximum(AuthPacket{ReasonCode::kContinueAuthentication, properties});
}

TEST(Fit, of_auth_keeps_the_method) {
  PropertyWriter more;
  more.add(PropertyId::kAuthenticationMethod, "m").add_user_property("k", "v");
  AuthPacket auth{ReasonCode::kContinueAuthentication, more.properties()};
  CHECK(fit(auth, kV5, {.maximum_packet_size = 10}));
  check_bytes("F0 06 18 04 15 00 01 'm'", auth, kV5);
  CHECK_FALSE(fit(auth, kV311, {}));
}

}  // namespace mqloop::mqtt::test
