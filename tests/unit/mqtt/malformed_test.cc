// One case for each rule that a packet can break, with the fault that the decoder must find.
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/mqtt/wire.h"

namespace mqloop::mqtt::test {
namespace {

constexpr ProtocolVersion kV31 = ProtocolVersion::kV31;
constexpr ProtocolVersion kV311 = ProtocolVersion::kV311;
constexpr ProtocolVersion kV5 = ProtocolVersion::kV5;

struct Case {
  ProtocolVersion version;
  const char* bytes;
  Fault fault;
  int code;
};

void check_all(Role sender, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Decoded decoded = decode_from(sender, c.version, wire(c.bytes));
    CHECK_TEXT(decoded.result.kind == DecodeResult::Kind::kError, c.bytes);
    LONGS_EQUAL_TEXT(static_cast<int>(c.fault), static_cast<int>(decoded.result.fault), c.bytes);
    LONGS_EQUAL_TEXT(c.code, static_cast<int>(decoded.result.verdict().code), c.bytes);
  }
}

void check_ok(Role sender, ProtocolVersion version, const char* bytes) {
  const Decoded decoded = decode_from(sender, version, wire(bytes));
  CHECK_TEXT(decoded.result.kind == DecodeResult::Kind::kPacket, bytes);
}

}  // namespace

TEST_GROUP(Malformed){};

TEST(Malformed, fixed_header) {
  check_all(Role::kClient, {
                               {kV5, "00", Fault::kReservedPacketType, 0x81},
                               {kV311, "F0", Fault::kReservedPacketType, 0x81},
                               {kV5, "36", Fault::kQoS3, 0x81},
                               {kV311, "3E", Fault::kQoS3, 0x81},
                               {kV5, "38", Fault::kDupWithQoS0, 0x81},
                               {kV5, "41", Fault::kReservedFlags, 0x81},
                               {kV5, "52", Fault::kReservedFlags, 0x81},
                               {kV5, "60", Fault::kReservedFlags, 0x81},
                               {kV5, "6A", Fault::kReservedFlags, 0x81},
                               {kV5, "78", Fault::kReservedFlags, 0x81},
                               {kV311, "80", Fault::kReservedFlags, 0x81},
                               {kV311, "8A", Fault::kReservedFlags, 0x81},
                               {kV5, "83", Fault::kReservedFlags, 0x81},
                               {kV5, "A0", Fault::kReservedFlags, 0x81},
                               {kV31, "A3", Fault::kReservedFlags, 0x81},
                               {kV5, "C1", Fault::kReservedFlags, 0x81},
                               {kV5, "E8", Fault::kReservedFlags, 0x81},
                               {kV5, "F1", Fault::kReservedFlags, 0x81},
                               {kV5, "11", Fault::kReservedFlags, 0x81},
                               {kV5, "30 80 80 80 80", Fault::kLengthTooLong, 0x81},
                               {kV5, "30 FF FF FF FF", Fault::kLengthTooLong, 0x81},
                               {kV5, "C0 80 00", Fault::kLengthNotMinimal, 0x81},
                               {kV311, "30 85 80 80 00", Fault::kLengthNotMinimal, 0x81},
                               {kV5, "C0 01", Fault::kLengthOutOfRange, 0x81},
                               {kV311, "E0 01", Fault::kLengthOutOfRange, 0x81},
                               {kV311, "40 03", Fault::kLengthOutOfRange, 0x81},
                               {kV31, "62 04", Fault::kLengthOutOfRange, 0x81},
                           });
}

TEST(Malformed, dup_of_a_repeated_request_is_allowed_in_3_1_alone) {
  check_ok(Role::kClient, kV31, "6A 02 00 01");
  check_ok(Role::kClient, kV31, "8A 06 00 01 00 01 'a' 00");
  check_ok(Role::kClient, kV31, "AA 05 00 01 00 01 'a'");
}

TEST(Malformed, connect) {
  check_all(Role::kClient,
            {
                {kV5, "10 0D 00 04 'MQTX' 05 02 00 00 00 00 00", Fault::kUnknownProtocolName, 0x84},
                {kV5, "10 0D 00 04 'mqtt' 05 02 00 00 00 00 00", Fault::kUnknownProtocolName, 0x84},
                {kV5, "10 02 00 00", Fault::kUnknownProtocolName, 0x84},
                {kV5, "10 00", Fault::kCutShort, 0x81},
                {kV5, "10 03 00 04 'M'", Fault::kCutShort, 0x81},
                {kV5, "10 06 00 04 'MQTT'", Fault::kCutShort, 0x81},
                {kV5, "10 0D 00 04 'MQTT' 06 02 00 00 00 00 00", Fault::kUnsupportedProtocolLevel, 0x84},
                {kV311, "10 0C 00 04 'MQTT' 03 02 00 00 00 00", Fault::kUnsupportedProtocolLevel, 0x84},
                {kV31, "10 0E 00 06 'MQIsdp' 04 02 00 00 00 00", Fault::kUnsupportedProtocolLevel, 0x84},
                {kV5, "10 0D 00 04 'MQTT' 05 03 00 00 00 00 00", Fault::kReservedConnectFlag, 0x81},
                {kV311, "10 0C 00 04 'MQTT' 04 03 00 00 00 00", Fault::kReservedConnectFlag, 0x81},
                {kV5, "10 0D 00 04 'MQTT' 05 0A 00 00 00 00 00", Fault::kWillBitsWithoutWill, 0x81},
                {kV5, "10 0D 00 04 'MQTT' 05 22 00 00 00 00 00", Fault::kWillBitsWithoutWill, 0x81},
                {kV5, "10 13 00 04 'MQTT' 05 1E 00 00 00 00 00 00 00 01 't' 00 00", Fault::kWillQoS3, 0x81},
                {kV311, "10 0E 00 04 'MQTT' 04 42 00 00 00 00 00 00", Fault::kPasswordWithoutUserName, 0x81},
                {kV31, "10 10 00 06 'MQIsdp' 03 42 00 00 00 00 00 00", Fault::kPasswordWithoutUserName, 0x81},
                {kV5, "10 0A 00 04 'MQTT' 05 02 00 00", Fault::kCutShort, 0x81},
                {kV5, "10 0B 00 04 'MQTT' 05 02 00 00 05", Fault::kCutShort, 0x81},
                {kV5, "10 0E 00 04 'MQTT' 05 02 00 00 80 00 00 00", Fault::kPropertyNotMinimal, 0x81},
                {kV5, "10 0B 00 04 'MQTT' 05 02 00 00 00", Fault::kCutShort, 0x81},
                {kV5, "10 0E 00 04 'MQTT' 05 02 00 00 00 00 01 FF", Fault::kNotUtf8, 0x81},
                {kV5, "10 0E 00 04 'MQTT' 05 02 00 00 00 00 01 00", Fault::kNotUtf8, 0x81},
                {kV5, "10 0F 00 04 'MQTT' 05 82 00 00 00 00 00 00 01", Fault::kCutShort, 0x81},
                {kV5, "10 10 00 04 'MQTT' 05 82 00 00 00 00 00 00 01 FF", Fault::kNotUtf8, 0x81},
                {kV311, "10 0C 00 04 'MQTT' 04 82 00 00 00 00", Fault::kCutShort, 0x81},
                {kV5, "10 0E 00 04 'MQTT' 05 02 00 00 00 00 00 00", Fault::kTrailingBytes, 0x81},
                {kV311, "10 0D 00 04 'MQTT' 04 02 00 00 00 00 00", Fault::kTrailingBytes, 0x81},
                {kV5, "10 12 00 04 'MQTT' 05 06 00 00 00 00 00 00 00 00 00 00", Fault::kEmptyTopicName, 0x81},
                {kV5, "10 13 00 04 'MQTT' 05 06 00 00 00 00 00 00 00 01 '#' 00 00", Fault::kWildcardInTopicName, 0x81},
                {kV5, "10 13 00 04 'MQTT' 05 06 00 00 00 00 00 00 00 01 00 00 00", Fault::kNotUtf8, 0x81},
                {kV5, "10 12 00 04 'MQTT' 05 06 00 00 00 00 00 00 00 01 't' 00", Fault::kCutShort, 0x81},
                {kV5, "10 12 00 04 'MQTT' 05 02 00 00 05 16 00 02 00 FF 00 00", Fault::kAuthenticationDataWithoutMethod,
                 0x82},
                {kV5, "10 0F 00 04 'MQTT' 05 02 00 00 02 23 01 00 00", Fault::kPropertyNotAllowedHere, 0x81},
                {kV5, "10 10 00 04 'MQTT' 05 02 00 00 03 21 00 00 00 00", Fault::kPropertyValue, 0x82},
                {kV5, "10 11 00 04 'MQTT' 05 02 00 00 04 17 01 17 01 00 00", Fault::kPropertyTwice, 0x82},
                {kV5, "10 15 00 04 'MQTT' 05 06 00 00 00 00 00 02 01 02 00 01 't' 00 00", Fault::kPropertyValue, 0x82},
                {kV5, "10 16 00 04 'MQTT' 05 06 00 00 00 00 00 03 21 00 01 00 01 't' 00 00",
                 Fault::kPropertyNotAllowedHere, 0x81},
            });
}

TEST(Malformed, connect_tells_the_level_that_was_asked_for_once_it_is_known) {
  const auto level_of = [](const char* bytes) -> int {
    const std::optional<std::uint8_t> level = decode_from(Role::kClient, kV5, wire(bytes)).result.protocol_level;
    return level ? *level : -1;
  };
  LONGS_EQUAL(-1, level_of("10 0D 00 04 'MQTX' 05 02 00 00 00 00 00"));
  LONGS_EQUAL(0, level_of("10 0D 00 04 'MQTT' 00 02 00 00 00 00 00"));
  LONGS_EQUAL(6, level_of("10 0D 00 04 'MQTT' 06 02 00 00 00 00 00"));
  LONGS_EQUAL(0x84, level_of("10 0C 00 04 'MQTT' 84 02 00 00 00 00"));
  LONGS_EQUAL(4, level_of("10 0C 00 04 'MQTT' 04 03 00 00 00 00"));
  LONGS_EQUAL(3, level_of("10 0E 00 06 'MQIsdp' 03 03 00 00 00 00"));
  LONGS_EQUAL(5, level_of("10 0D 00 04 'MQTT' 05 03 00 00 00 00 00"));
}

TEST(Malformed, publish) {
  check_all(Role::kClient, {
                               {kV5, "30 00", Fault::kCutShort, 0x81},
                               {kV5, "30 04 00 03 'a/'", Fault::kCutShort, 0x81},
                               {kV5, "30 03 00 00 00", Fault::kEmptyTopicWithoutAlias, 0x82},
                               {kV311, "30 02 00 00", Fault::kEmptyTopicName, 0x81},
                               {kV5, "30 06 00 03 'a/+' 00", Fault::kWildcardInTopicName, 0x81},
                               {kV311, "31 03 00 01 '#'", Fault::kWildcardInTopicName, 0x81},
                               {kV5, "30 06 00 03 'a' 00 'b' 00", Fault::kNotUtf8, 0x81},
                               {kV5, "30 06 00 03 ED A0 80 00", Fault::kNotUtf8, 0x81},
                               {kV5, "32 06 00 01 't' 00 00 00", Fault::kPacketIdentifierZero, 0x81},
                               {kV311, "34 05 00 01 't' 00 00", Fault::kPacketIdentifierZero, 0x81},
                               {kV5, "32 04 00 01 't' 00", Fault::kCutShort, 0x81},
                               {kV311, "32 03 00 01 't'", Fault::kCutShort, 0x81},
                               {kV5, "30 03 00 01 't'", Fault::kCutShort, 0x81},
                               {kV5, "30 04 00 01 't' 01", Fault::kCutShort, 0x81},
                               {kV5, "30 07 00 01 't' 03 23 00 00", Fault::kTopicAliasZero, 0x94},
                               {kV5, "30 06 00 01 't' 02 0B 01", Fault::kPropertyWrongDirection, 0x82},
                               {kV5, "30 06 00 01 't' 02 01 02", Fault::kPropertyValue, 0x82},
                               {kV5, "30 08 00 01 't' 04 01 01 01 01", Fault::kPropertyTwice, 0x82},
                               {kV5, "30 08 00 01 't' 04 08 00 01 '+'", Fault::kWildcardInResponseTopic, 0x82},
                               {kV5, "30 05 00 01 't' 80 00", Fault::kPropertyNotMinimal, 0x81},
                               {kV5, "30 07 00 01 't' 80 80 80 80", Fault::kPropertyNotMinimal, 0x81},
                           });
}

TEST(Malformed, acknowledgements) {
  for (const char* first : {"40", "50", "62", "70"}) {
    const std::string f = first;
    check_all(Role::kClient, {
                                 {kV5, (f + " 00").c_str(), Fault::kCutShort, 0x81},
                                 {kV5, (f + " 01 00").c_str(), Fault::kCutShort, 0x81},
                                 {kV5, (f + " 02 00 00").c_str(), Fault::kPacketIdentifierZero, 0x81},
                                 {kV311, (f + " 02 00 00").c_str(), Fault::kPacketIdentifierZero, 0x81},
                                 {kV5, (f + " 03 00 01 01").c_str(), Fault::kReasonCodeNotAllowed, 0x82},
                                 {kV5, (f + " 03 00 01 8E").c_str(), Fault::kReasonCodeNotAllowed, 0x82},
                                 {kV5, (f + " 04 00 01 00 01").c_str(), Fault::kCutShort, 0x81},
                                 {kV5, (f + " 05 00 01 00 00 00").c_str(), Fault::kTrailingBytes, 0x81},
                                 {kV5, (f + " 06 00 01 00 02 01 01").c_str(), Fault::kPropertyNotAllowedHere, 0x81},
                             });
  }
  check_all(Role::kClient, {
                               {kV5, "40 03 00 01 10", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "40 03 00 01 92", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "62 03 00 01 87", Fault::kReasonCodeNotAllowed, 0x82},
                           });
  check_ok(Role::kServer, kV5, "40 03 00 01 10");
  check_ok(Role::kClient, kV5, "40 04 00 01 00 00");
}

TEST(Malformed, subscribe_and_unsubscribe) {
  check_all(Role::kClient, {
                               {kV5, "82 03 00 01 00", Fault::kNoTopicFilter, 0x82},
                               {kV311, "82 02 00 01", Fault::kNoTopicFilter, 0x82},
                               {kV5, "82 07 00 00 00 00 01 'a' 00", Fault::kPacketIdentifierZero, 0x81},
                               {kV5, "82 06 00 01 00 00 01 'a'", Fault::kCutShort, 0x81},
                               {kV311, "82 05 00 01 00 01 'a'", Fault::kCutShort, 0x81},
                               {kV5, "82 07 00 01 00 00 01 'a' 40", Fault::kReservedSubscriptionOptions, 0x81},
                               {kV5, "82 07 00 01 00 00 01 'a' 80", Fault::kReservedSubscriptionOptions, 0x81},
                               {kV311, "82 06 00 01 00 01 'a' 04", Fault::kReservedSubscriptionOptions, 0x81},
                               {kV311, "82 06 00 01 00 01 'a' 03", Fault::kSubscriptionQoS3, 0x82},
                               {kV5, "82 07 00 01 00 00 01 'a' 03", Fault::kSubscriptionQoS3, 0x82},
                               {kV5, "82 07 00 01 00 00 01 'a' 30", Fault::kRetainHandling3, 0x82},
                               {kV5, "82 06 00 01 00 00 00 00", Fault::kEmptyTopicFilter, 0x81},
                               {kV5, "82 09 00 01 00 00 03 'a#b' 00", Fault::kHashNotAlone, 0x81},
                               {kV5, "82 09 00 01 00 00 03 '#/b' 00", Fault::kHashNotLast, 0x81},
                               {kV5, "82 08 00 01 00 00 02 'a+' 00", Fault::kPlusNotAlone, 0x81},
                               {kV5, "82 07 00 01 00 00 01 FF 00", Fault::kNotUtf8, 0x81},
                               {kV5, "82 10 00 01 00 00 0A '$share/g/t' 04", Fault::kNoLocalOnShared, 0x82},
                               {kV5, "82 09 00 01 02 0B 00 00 01 'a' 00", Fault::kPropertyValue, 0x82},
                               {kV5, "82 0B 00 01 04 0B 01 0B 02 00 01 'a' 00", Fault::kPropertyTwice, 0x82},
                               {kV5, "A2 03 00 01 00", Fault::kNoTopicFilter, 0x82},
                               {kV311, "A2 02 00 01", Fault::kNoTopicFilter, 0x82},
                               {kV5, "A2 06 00 00 00 00 01 'a'", Fault::kPacketIdentifierZero, 0x81},
                               {kV5, "A2 06 00 01 00 00 02 'a'", Fault::kCutShort, 0x81},
                               {kV5, "A2 05 00 01 00 00 00", Fault::kEmptyTopicFilter, 0x81},
                               {kV5, "A2 08 00 01 00 00 03 '#/a'", Fault::kHashNotLast, 0x81},
                               {kV5, "A2 08 00 01 02 0B 01 00 01 'a'", Fault::kPropertyNotAllowedHere, 0x81},
                           });
  check_ok(Role::kClient, kV5, "82 0C 00 01 00 00 06 '$share' 04");
}

TEST(Malformed, topic_faults_name_the_topic_and_the_column) {
  const Decoded decoded = decode_from(Role::kClient, kV5, wire("82 10 00 01 00 00 02 'ok' 00 00 05 'a/#/x' 00"));
  CHECK(decoded.result.subject == "a/#/x");
  LONGS_EQUAL(3, decoded.result.column);
}

TEST(Malformed, disconnect_and_auth) {
  check_all(Role::kClient, {
                               {kV5, "E0 01 8B", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "E0 01 01", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "E0 02 00 01", Fault::kCutShort, 0x81},
                               {kV5, "E0 03 00 00 00", Fault::kTrailingBytes, 0x81},
                               {kV5, "E0 06 00 04 1C 00 01 'r'", Fault::kPropertyWrongDirection, 0x82},
                               {kV5, "F0 00", Fault::kAuthWithoutMethodProperty, 0x82},
                               {kV5, "F0 01 18", Fault::kCutShort, 0x81},
                               {kV5, "F0 02 18 00", Fault::kAuthWithoutMethodProperty, 0x82},
                               {kV5, "F0 06 00 04 15 00 01 'm'", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "F0 06 18 04 16 00 01 'd'", Fault::kAuthWithoutMethodProperty, 0x82},
                               {kV5, "F0 07 18 04 15 00 01 'm' 00", Fault::kTrailingBytes, 0x81},
                           });
  check_all(Role::kServer, {
                               {kV5, "E0 07 00 05 11 00 00 00 01", Fault::kPropertyWrongDirection, 0x82},
                               {kV5, "E0 01 04", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "F0 06 19 04 15 00 01 'm'", Fault::kReasonCodeNotAllowed, 0x82},
                           });
}

TEST(Malformed, answers_of_a_server) {
  check_all(Role::kServer, {
                               {kV5, "20 03 02 00 00", Fault::kReservedConnackFlags, 0x81},
                               {kV311, "20 02 80 00", Fault::kReservedConnackFlags, 0x81},
                               {kV5, "20 03 01 87 00", Fault::kSessionPresentOnRefusal, 0x82},
                               {kV311, "20 02 01 05", Fault::kSessionPresentOnRefusal, 0x82},
                               {kV311, "20 02 00 06", Fault::kUnknownReturnCode, 0x82},
                               {kV5, "20 03 00 01 00", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "20 02 00 00", Fault::kCutShort, 0x81},
                               {kV311, "20 03", Fault::kLengthOutOfRange, 0x81},
                               {kV5, "20 05 00 00 02 24 02", Fault::kPropertyValue, 0x82},
                               {kV5, "90 03 00 01 00", Fault::kNoReasonCode, 0x82},
                               {kV311, "90 02 00 01", Fault::kNoReasonCode, 0x82},
                               {kV5, "90 04 00 00 00 00", Fault::kPacketIdentifierZero, 0x81},
                               {kV5, "90 04 00 01 00 03", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV311, "90 03 00 01 87", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV5, "B0 03 00 01 00", Fault::kNoReasonCode, 0x82},
                               {kV5, "B0 04 00 01 00 01", Fault::kReasonCodeNotAllowed, 0x82},
                               {kV311, "B0 03", Fault::kLengthOutOfRange, 0x81},
                               {kV5, "D0 01", Fault::kLengthOutOfRange, 0x81},
                           });
}

TEST(Malformed, a_server_without_5_0_may_refuse_a_client_of_5_0_in_the_form_of_3_1_1) {
  const Decoded decoded = decode_from(Role::kServer, kV5, wire("20 02 00 01"));
  CHECK(decoded.result.kind == DecodeResult::Kind::kPacket);
  CHECK(decoded.as<ConnackPacket>().reason_code == ReasonCode::kUnsupportedProtocolVersion);
}

TEST(Malformed, cve_2017_7651_a_packet_beyond_the_maximum_is_refused_at_its_fixed_header) {
  const DecoderLimits limits{.maximum_packet_size = 64 * 1024, .properties = {}};
  const auto fault_of = [&](const char* bytes) { return decode_from(Role::kClient, kV5, wire(bytes), limits).result; };
  CHECK(fault_of("10 FF FF FF 7F").fault == Fault::kPacketTooLarge);
  LONGS_EQUAL(0x95, static_cast<int>(fault_of("30 FD FF 03").verdict().code));  // 65,533 + 4 bytes
  CHECK(fault_of("30 FC FF 03").kind == DecodeResult::Kind::kNeedMore);
  LONGS_EQUAL(65536, fault_of("30 FC FF 03").size);
}

TEST(Malformed, cve_2019_11779_a_filter_of_65535_levels_and_more_is_decoded_without_recursion) {
  const Bytes filter = wire("00 01 00 FF FF") + Bytes(65535, '/') + wire("00");
  const Decoded decoded = decode_from(Role::kClient, kV5, framed(0x82, filter));
  CHECK(decoded.result.kind == DecodeResult::Kind::kPacket);
  LONGS_EQUAL(65536, level_count((*decoded.as<SubscribePacket>().subscriptions.begin()).filter));
}

}  // namespace mqloop::mqtt::test
