// That each field of a packet is found where the standard puts it.
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/mqtt/samples.h"

namespace mqloop::mqtt::test {
namespace {

Decoded decode_sample(const char* name, ProtocolVersion version, Role sender) {
  for (const Sample& sample : samples()) {
    if (sample.name == name && sample.version == version && sample.sender == sender) {
      return decode_from(sender, version, sample.bytes);
    }
  }
  FAIL("no such sample");
  return Decoded({});
}

}  // namespace

TEST_GROUP(Fields){};

TEST(Fields, of_connect_5_0_with_everything) {
  const Decoded decoded = decode_sample("CONNECT with everything", ProtocolVersion::kV5, Role::kClient);
  const auto& connect = decoded.as<ConnectPacket>();
  CHECK(connect.version == ProtocolVersion::kV5);
  CHECK(connect.clean_start);
  LONGS_EQUAL(60, connect.keep_alive);
  CHECK(connect.client_id == "abc");
  CHECK(connect.user_name == "user");
  CHECK(hex(*connect.password) == "00 01 ");
  CHECK(connect.will.has_value());
  CHECK(connect.will->qos == QoS::kAtLeastOnce);
  CHECK(connect.will->retain);
  CHECK(connect.will->topic == "will");
  CHECK(text_of(connect.will->payload) == "bye");
  LONGS_EQUAL(5, connect.will->properties.will_delay_interval());
  LONGS_EQUAL(60, connect.will->properties.message_expiry_interval().value());
  CHECK(connect.will->properties.text(PropertyId::kContentType) == "t");
  LONGS_EQUAL(10, connect.properties.session_expiry_interval());
  LONGS_EQUAL(20, connect.properties.receive_maximum());
  LONGS_EQUAL(65536, connect.properties.maximum_packet_size().value());
  LONGS_EQUAL(5, connect.properties.topic_alias_maximum());
  CHECK(connect.properties.request_response_information());
  CHECK_FALSE(connect.properties.request_problem_information());
  CHECK(connect.properties.authentication_method() == "xyz");
  LONGS_EQUAL(2, connect.properties.authentication_data()->size());
  LONGS_EQUAL(4, connect.properties.count(PropertyId::kUserProperty));
}

TEST(Fields, of_connect_3_1_with_everything) {
  const Decoded decoded = decode_sample("CONNECT with everything", ProtocolVersion::kV31, Role::kClient);
  const auto& connect = decoded.as<ConnectPacket>();
  CHECK(connect.version == ProtocolVersion::kV31);
  CHECK(connect.will->qos == QoS::kExactlyOnce);
  CHECK(connect.will->retain);
  CHECK(connect.user_name == "user");
  CHECK(text_of(*connect.password) == "pw");
}

TEST(Fields, of_connect_tell_what_is_absent_from_what_is_empty) {
  const Decoded absent =
      decode_from(Role::kClient, ProtocolVersion::kV311, wire("10 0C 00 04 'MQTT' 04 00 00 00 00 00"));
  CHECK_FALSE(absent.as<ConnectPacket>().user_name.has_value());
  CHECK_FALSE(absent.as<ConnectPacket>().password.has_value());
  CHECK_FALSE(absent.as<ConnectPacket>().will.has_value());
  CHECK_FALSE(absent.as<ConnectPacket>().clean_start);
  const Decoded empty =
      decode_from(Role::kClient, ProtocolVersion::kV311, wire("10 10 00 04 'MQTT' 04 C2 00 00 00 00 00 00 00 00"));
  CHECK(empty.as<ConnectPacket>().user_name == "");
  CHECK(empty.as<ConnectPacket>().password.has_value());
}

TEST(Fields, of_connack_with_everything) {
  const Decoded decoded = decode_sample("CONNACK with everything", ProtocolVersion::kV5, Role::kServer);
  const Properties& properties = decoded.as<ConnackPacket>().properties;
  LONGS_EQUAL(1, properties.number(PropertyId::kMaximumQoS).value());
  LONGS_EQUAL(0, properties.number(PropertyId::kRetainAvailable).value());
  LONGS_EQUAL(4096, properties.maximum_packet_size().value());
  CHECK(properties.text(PropertyId::kAssignedClientIdentifier) == "id");
  LONGS_EQUAL(30, properties.number(PropertyId::kServerKeepAlive).value());
  CHECK(properties.text(PropertyId::kResponseInformation) == "ri");
  CHECK(properties.text(PropertyId::kServerReference) == "sr");
  LONGS_EQUAL(0, properties.number(PropertyId::kWildcardSubscriptionAvailable).value());
  LONGS_EQUAL(1, properties.number(PropertyId::kSharedSubscriptionAvailable).value());
}

TEST(Fields, of_connack_3_1_1) {
  CHECK(decode_sample("CONNACK resumed", ProtocolVersion::kV311, Role::kServer).as<ConnackPacket>().session_present);
  const Decoded refused = decode_sample("CONNACK refused", ProtocolVersion::kV311, Role::kServer);
  CHECK(refused.as<ConnackPacket>().reason_code == ReasonCode::kNotAuthorized);
}

TEST(Fields, of_publish) {
  const Decoded decoded = decode_sample("PUBLISH QoS 2, DUP, RETAIN", ProtocolVersion::kV311, Role::kClient);
  const auto& publish = decoded.as<PublishPacket>();
  CHECK(publish.dup);
  CHECK(publish.retain);
  CHECK(publish.qos == QoS::kExactlyOnce);
  LONGS_EQUAL(0xFFFF, publish.packet_id);
  CHECK(publish.topic == "a/b");
  CHECK(text_of(publish.payload) == "hi");
  const Decoded aliased = decode_sample("PUBLISH by alias", ProtocolVersion::kV5, Role::kServer);
  CHECK(aliased.as<PublishPacket>().topic.empty());
  LONGS_EQUAL(7, aliased.as<PublishPacket>().properties.topic_alias());
}

TEST(Fields, of_publish_with_everything) {
  const Decoded decoded = decode_sample("PUBLISH with everything", ProtocolVersion::kV5, Role::kClient);
  const auto& publish = decoded.as<PublishPacket>();
  LONGS_EQUAL(0x1234, publish.packet_id);
  LONGS_EQUAL(60, publish.properties.message_expiry_interval().value());
  CHECK(publish.properties.text(PropertyId::kResponseTopic) == "r/t");
  LONGS_EQUAL(2, publish.properties.text(PropertyId::kCorrelationData)->size());
  LONGS_EQUAL(1, publish.properties.number(PropertyId::kPayloadFormatIndicator).value());
  CHECK(text_of(publish.payload) == "hi");
}

TEST(Fields, of_publish_are_views_into_the_bytes) {
  const Decoded decoded = decode_sample("PUBLISH QoS 1", ProtocolVersion::kV5, Role::kClient);
  const auto& publish = decoded.as<PublishPacket>();
  POINTERS_EQUAL(decoded.block.bytes().data() + 4, publish.topic.data());
  POINTERS_EQUAL(decoded.block.bytes().data() + 10, publish.payload.data());
}

TEST(Fields, of_acknowledgements) {
  const Decoded plain = decode_sample("PUBREL", ProtocolVersion::kV5, Role::kServer);
  CHECK(plain.as<AckPacket>().type == PacketType::kPubrel);
  CHECK(plain.as<AckPacket>().reason_code == ReasonCode::kSuccess);
  const Decoded refused = decode_sample("PUBACK explained", ProtocolVersion::kV5, Role::kClient);
  LONGS_EQUAL(0x1234, refused.as<AckPacket>().packet_id);
  CHECK(refused.as<AckPacket>().reason_code == ReasonCode::kQuotaExceeded);
  CHECK(refused.as<AckPacket>().properties.reason_string() == "r");
}

TEST(Fields, of_subscribe) {
  const Decoded decoded = decode_sample("SUBSCRIBE", ProtocolVersion::kV5, Role::kClient);
  const auto& subscribe = decoded.as<SubscribePacket>();
  LONGS_EQUAL(10, subscribe.packet_id);
  LONGS_EQUAL(2, subscribe.subscriptions.size());
  std::vector<SubscriptionRequest> requests(subscribe.subscriptions.begin(), subscribe.subscriptions.end());
  CHECK(requests[0].filter == "a/b");
  CHECK((requests[0].options == SubscriptionOptions{QoS::kAtLeastOnce, false, false, RetainHandling::kSendAlways}));
  CHECK(requests[1].filter == "c/#");
  CHECK((requests[1].options == SubscriptionOptions{QoS::kExactlyOnce, true, true, RetainHandling::kDoNotSend}));
}

TEST(Fields, of_unsubscribe) {
  const Decoded decoded = decode_sample("UNSUBSCRIBE", ProtocolVersion::kV311, Role::kClient);
  std::string filters;
  for (const std::string_view filter : decoded.as<UnsubscribePacket>().filters) filters += std::string(filter) + " ";
  STRCMP_EQUAL("a/b c/# ", filters.c_str());
  LONGS_EQUAL(2, decoded.as<UnsubscribePacket>().filters.size());
}

TEST(Fields, of_suback_and_unsuback) {
  const Decoded suback = decode_sample("SUBACK", ProtocolVersion::kV5, Role::kServer);
  LONGS_EQUAL(4, suback.as<SubackPacket>().reason_codes.size());
  CHECK(suback.as<SubackPacket>().reason_codes[3] == ReasonCode::kNotAuthorized);
  const Decoded unsuback = decode_sample("UNSUBACK", ProtocolVersion::kV5, Role::kServer);
  CHECK(unsuback.as<UnsubackPacket>().reason_codes[1] == ReasonCode::kNoSubscriptionExisted);
  const Decoded old = decode_sample("UNSUBACK", ProtocolVersion::kV311, Role::kServer);
  CHECK(old.as<UnsubackPacket>().reason_codes.empty());
}

TEST(Fields, of_disconnect_and_auth) {
  const Decoded expiry = decode_sample("DISCONNECT with an expiry", ProtocolVersion::kV5, Role::kClient);
  LONGS_EQUAL(60, expiry.as<DisconnectPacket>().properties.session_expiry_interval());
  const Decoded plain = decode_sample("DISCONNECT", ProtocolVersion::kV5, Role::kClient);
  CHECK(plain.as<DisconnectPacket>().reason_code == ReasonCode::kNormalDisconnection);
  const Decoded auth = decode_sample("AUTH", ProtocolVersion::kV5, Role::kClient);
  CHECK(auth.as<AuthPacket>().reason_code == ReasonCode::kContinueAuthentication);
  CHECK(auth.as<AuthPacket>().properties.authentication_data() == "d");
}

TEST(Fields, every_options_byte_of_a_subscription_comes_back) {
  for (int byte = 0; byte < 0x30; ++byte) {
    LONGS_EQUAL(byte, to_byte(subscription_options(static_cast<std::uint8_t>(byte))));
  }
}

}  // namespace mqloop::mqtt::test
