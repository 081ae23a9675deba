#include <map>
#include <set>
#include <string>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/reason_codes.h"
#include "tests/unit/mqtt/tables.h"

namespace mqloop::mqtt::test {
namespace {

struct Carriers {
  std::string name;
  std::set<std::string> from_client;
  std::set<std::string> from_server;
};

// "CONNACK AUTH(S) DISCONNECT(C)" by code; what stands in brackets behind a blank is a remark.
std::map<int, Carriers> table_of_standard() {
  std::map<int, Carriers> table;
  for (const auto& row : read_table("reason-codes.tsv")) {
    Carriers& carriers = table[std::stoi(row[0], nullptr, 16)];
    carriers.name = row[1];
    for (std::string word : split(row[2].substr(0, row[2].find(" (")), ' ')) {
      const std::size_t bracket = word.find('(');
      const std::string side = bracket == std::string::npos ? "" : word.substr(bracket);
      word = word.substr(0, bracket);
      if (side != "(S)") carriers.from_client.insert(word);
      if (side != "(C)") carriers.from_server.insert(word);
    }
  }
  return table;
}

}  // namespace

TEST_GROUP(ReasonCodes){};

TEST(ReasonCodes, each_of_the_256_values_may_stand_exactly_where_the_table_of_the_standard_says) {
  const auto table = table_of_standard();
  LONGS_EQUAL(43, table.size());
  for (int value = 0; value < 256; ++value) {
    const auto row = table.find(value);
    for (int type = 0; type < 16; ++type) {
      const auto packet = static_cast<PacketType>(type);
      const std::string name(name_of(packet));
      const bool client = row != table.end() && row->second.from_client.contains(name);
      const bool server = row != table.end() && row->second.from_server.contains(name);
      const std::string what = name + " " + std::to_string(value);
      CHECK_EQUAL_TEXT(client, may_carry(packet, static_cast<ReasonCode>(value), Role::kClient), what.c_str());
      CHECK_EQUAL_TEXT(server, may_carry(packet, static_cast<ReasonCode>(value), Role::kServer), what.c_str());
    }
  }
}

TEST(ReasonCodes, names_are_those_of_the_standard) {
  for (const auto& [value, carriers] : table_of_standard()) {
    const std::string name(name_of(static_cast<ReasonCode>(value)));
    STRCMP_EQUAL(split(carriers.name, '/')[0].substr(0, name.size()).c_str(), name.c_str());
  }
  const std::string unknown(name_of(static_cast<ReasonCode>(0x7F)));
  STRCMP_EQUAL("Unknown reason code", unknown.c_str());
}

TEST(ReasonCodes, of_0x80_and_above_are_errors) {
  CHECK_FALSE(is_error(ReasonCode::kSuccess));
  CHECK_FALSE(is_error(ReasonCode::kReAuthenticate));
  CHECK(is_error(ReasonCode::kUnspecifiedError));
  CHECK(is_error(ReasonCode::kWildcardSubscriptionsNotSupported));
}

TEST(ReasonCodes, return_codes_of_3x_come_back_from_their_reason_codes) {
  for (std::uint8_t code = 0; code <= 5; ++code) {
    const auto reason = reason_of_return_code(code);
    CHECK(reason.has_value());
    LONGS_EQUAL(code, connack_return_code(*reason).value());
  }
  for (int code = 6; code < 256; ++code) CHECK_FALSE(reason_of_return_code(static_cast<std::uint8_t>(code)));
}

TEST(ReasonCodes, of_a_connack_without_a_return_code_of_3x_have_none) {
  CHECK_FALSE(connack_return_code(ReasonCode::kMalformedPacket));
  CHECK_FALSE(connack_return_code(ReasonCode::kPacketTooLarge));
  CHECK_FALSE(connack_return_code(ReasonCode::kPayloadFormatInvalid));
  LONGS_EQUAL(5, connack_return_code(ReasonCode::kBanned).value());
  LONGS_EQUAL(3, connack_return_code(ReasonCode::kServerBusy).value());
}

}  // namespace mqloop::mqtt::test
