// Every property in every section from both sides, held against the table of the standard.
#include <map>
#include <set>
#include <string>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/property_writer.h"
#include "tests/unit/mqtt/tables.h"
#include "tests/unit/mqtt/wire.h"

namespace mqloop::mqtt::test {
namespace {

const std::map<std::string, PropertyPlaces> kPlaces = {
    {"Will", kWillPlace},
    {"CONNECT", place_of(PacketType::kConnect)},
    {"CONNACK", place_of(PacketType::kConnack)},
    {"PUBLISH", place_of(PacketType::kPublish)},
    {"PUBACK", place_of(PacketType::kPuback)},
    {"PUBREC", place_of(PacketType::kPubrec)},
    {"PUBREL", place_of(PacketType::kPubrel)},
    {"PUBCOMP", place_of(PacketType::kPubcomp)},
    {"SUBSCRIBE", place_of(PacketType::kSubscribe)},
    {"SUBACK", place_of(PacketType::kSuback)},
    {"UNSUBSCRIBE", place_of(PacketType::kUnsubscribe)},
    {"UNSUBACK", place_of(PacketType::kUnsuback)},
    {"DISCONNECT", place_of(PacketType::kDisconnect)},
    {"AUTH", place_of(PacketType::kAuth)},
};

struct Row {
  int id = 0;
  std::string name;
  std::string type;
  std::set<std::string> from_client;
  std::set<std::string> from_server;
  std::string repeat;
};

std::vector<Row> table_of_standard() {
  std::vector<Row> table;
  for (const auto& cells : read_table("properties.tsv")) {
    Row row{std::stoi(cells[0]), cells[1], cells[2], {}, {}, cells[4]};
    if (cells[3].starts_with("every packet")) {
      for (const auto& [name, place] : kPlaces) {
        row.from_client.insert(name);
        row.from_server.insert(name);
      }
    } else {
      std::string places = cells[3];
      for (char& c : places) c = c == ',' || c == ';' ? ' ' : c;
      std::string last;
      for (const std::string& word : split(places, ' ')) {
        if (word == "(C>S)") {
          row.from_server.erase(last);
        } else if (word == "(S>C)") {
          row.from_client.erase(last);
        } else if (!word.empty()) {
          row.from_client.insert(last = word);
          row.from_server.insert(word);
        }
      }
    }
    table.push_back(row);
  }
  return table;
}

Bytes value_of(const std::string& type) {
  if (type == "byte") return wire("01");
  if (type == "u16") return wire("00 01");
  if (type == "u32") return wire("00 00 00 01");
  if (type == "varint") return wire("01");
  if (type == "utf8") return wire("00 01 'x'");
  if (type == "binary") return wire("00 02 00 FF");
  return wire("00 01 'k' 00 01 'v'");
}

Bytes property(int id, const Bytes& value) { return Bytes{static_cast<std::uint8_t>(id)} + value; }

Fault parse(const Bytes& bytes, PropertyPlaces place, Role sender, PropertyLimits limits = {}) {
  const ExactBlock block(bytes);
  Properties properties;
  return Properties::parse(block.bytes(), place, sender, limits, properties);
}

constexpr PropertyPlaces kPublishPlace = place_of(PacketType::kPublish);
constexpr PropertyPlaces kConnectPlace = place_of(PacketType::kConnect);
constexpr PropertyPlaces kConnackPlace = place_of(PacketType::kConnack);

void check_fault(Fault expected, Fault found, const std::string& what) {
  LONGS_EQUAL_TEXT(static_cast<int>(expected), static_cast<int>(found), what.c_str());
}

}  // namespace

TEST_GROUP(PropertyTable){};

TEST(PropertyTable, has_the_identifiers_names_and_types_of_the_standard) {
  const std::map<PropertyType, std::string> types = {
      {PropertyType::kByte, "byte"},
      {PropertyType::kU16, "u16"},
      {PropertyType::kU32, "u32"},
      {PropertyType::kVariableByteInteger, "varint"},
      {PropertyType::kUtf8, "utf8"},
      {PropertyType::kBinary, "binary"},
      {PropertyType::kUtf8Pair, "utf8 pair"},
  };
  const std::vector<Row> standard = table_of_standard();
  LONGS_EQUAL(kPropertyCount, standard.size());
  std::set<int> known;
  for (const Row& row : standard) {
    known.insert(row.id);
    const PropertySpec* spec = find_property(static_cast<std::uint32_t>(row.id));
    CHECK_TEXT(spec != nullptr, row.name.c_str());
    STRCMP_EQUAL(row.name.c_str(), std::string(spec->name).c_str());
    STRCMP_EQUAL(row.type.c_str(), types.at(spec->type).c_str());
  }
  for (int id = 0; id < 256; ++id)
    CHECK_EQUAL(known.contains(id), find_property(static_cast<std::uint32_t>(id)) != nullptr);
}

TEST(PropertyTable, every_property_stands_exactly_where_the_standard_allows_it) {
  for (const Row& row : table_of_standard()) {
    for (const auto& [name, place] : kPlaces) {
      for (const Role sender : {Role::kClient, Role::kServer}) {
        const bool anyone = row.from_client.contains(name) || row.from_server.contains(name);
        const bool legal = (sender == Role::kClient ? row.from_client : row.from_server).contains(name);
        const Fault expected = legal    ? Fault::kNone
                               : anyone ? Fault::kPropertyWrongDirection
                                        : Fault::kPropertyNotAllowedHere;
        check_fault(expected, parse(property(row.id, value_of(row.type)), place, sender), row.name + " in " + name);
      }
    }
  }
}

TEST(PropertyTable, only_what_may_repeat_may_stand_twice) {
  for (const Row& row : table_of_standard()) {
    for (const auto& [name, place] : kPlaces) {
      if (!row.from_server.contains(name)) continue;
      const bool repeats = row.repeat == "yes" || (row.repeat.ends_with("PUBLISH yes") && name == "PUBLISH");
      const Bytes twice = property(row.id, value_of(row.type)) + property(row.id, value_of(row.type));
      check_fault(repeats ? Fault::kNone : Fault::kPropertyTwice, parse(twice, place, Role::kServer),
                  row.name + " twice in " + name);
    }
  }
}

TEST(PropertyTable, every_property_cut_anywhere_is_malformed) {
  for (const Row& row : table_of_standard()) {
    for (const auto& [name, place] : kPlaces) {
      if (!row.from_server.contains(name)) continue;
      const Bytes whole = property(row.id, value_of(row.type));
      for (std::size_t size = 1; size < whole.size(); ++size) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        check_fault(Fault::kPropertyCutShort, parse(cut, place, Role::kServer), row.name + " cut in " + name);
      }
    }
  }
}

TEST(PropertyTable, unknown_identifiers_are_malformed_whatever_their_size) {
  for (const char* id : {"00", "04", "2B", "7F", "80 01", "FF 7F", "FF FF 7F", "FF FF FF 7F"}) {
    check_fault(Fault::kUnknownProperty, parse(wire(id), kPublishPlace, Role::kClient), id);
  }
  check_fault(Fault::kPropertyNotMinimal, parse(wire("A6 00 00 01 'k' 00 01 'v'"), kPublishPlace, Role::kClient),
              "A6 00");
  check_fault(Fault::kPropertyNotMinimal, parse(wire("80 80 80 80 01"), kPublishPlace, Role::kClient), "five bytes");
}

TEST(PropertyTable, values_out_of_range_are_protocol_errors) {
  const auto refused = [](const char* bytes, PropertyPlaces place, Role sender, Fault fault) {
    check_fault(fault, parse(wire(bytes), place, sender), bytes);
    LONGS_EQUAL(0x82, static_cast<int>(verdict_on(fault).code));
  };
  refused("01 02", kPublishPlace, Role::kClient, Fault::kPropertyValue);
  refused("01 FF", kWillPlace, Role::kClient, Fault::kPropertyValue);
  refused("17 02", kConnectPlace, Role::kClient, Fault::kPropertyValue);
  refused("19 02", kConnectPlace, Role::kClient, Fault::kPropertyValue);
  refused("21 00 00", kConnectPlace, Role::kClient, Fault::kPropertyValue);
  refused("27 00 00 00 00", kConnectPlace, Role::kClient, Fault::kPropertyValue);
  refused("0B 00", place_of(PacketType::kSubscribe), Role::kClient, Fault::kPropertyValue);
  refused("24 02", kConnackPlace, Role::kServer, Fault::kPropertyValue);
  for (const char* flag : {"25 02", "28 02", "29 02", "2A 02"}) {
    refused(flag, kConnackPlace, Role::kServer, Fault::kPropertyValue);
  }
  refused("08 00 03 'a/+'", kPublishPlace, Role::kClient, Fault::kWildcardInResponseTopic);
  refused("08 00 01 '#'", kWillPlace, Role::kClient, Fault::kWildcardInResponseTopic);
  check_fault(Fault::kTopicAliasZero, parse(wire("23 00 00"), kPublishPlace, Role::kClient), "alias 0");
  LONGS_EQUAL(0x94, static_cast<int>(verdict_on(Fault::kTopicAliasZero).code));
}

TEST(PropertyTable, subscription_identifiers_reach_from_1_to_268435455_in_four_bytes) {
  const PropertyPlaces place = place_of(PacketType::kSubscribe);
  check_fault(Fault::kNone, parse(wire("0B 01"), place, Role::kClient), "1");
  check_fault(Fault::kNone, parse(wire("0B FF FF FF 7F"), place, Role::kClient), "268435455");
  check_fault(Fault::kPropertyNotMinimal, parse(wire("0B FF FF FF FF 01"), place, Role::kClient), "five bytes");
  check_fault(Fault::kPropertyNotMinimal, parse(wire("0B 81 00"), place, Role::kClient), "not minimal");
  check_fault(Fault::kPropertyCutShort, parse(wire("0B 81"), place, Role::kClient), "cut");
}

TEST(PropertyTable, strings_in_properties_are_utf8_and_binary_data_is_anything) {
  const auto fault_of = [](const char* bytes) { return parse(wire(bytes), kPublishPlace, Role::kClient); };
  check_fault(Fault::kNotUtf8, fault_of("03 00 01 FF"), "Content Type");
  check_fault(Fault::kNotUtf8, fault_of("03 00 01 00"), "Content Type with U+0000");
  check_fault(Fault::kNotUtf8, fault_of("08 00 03 ED A0 80"), "Response Topic with a surrogate");
  check_fault(Fault::kNotUtf8, fault_of("26 00 01 FF 00 01 'v'"), "the name of a User Property");
  check_fault(Fault::kNotUtf8, fault_of("26 00 01 'k' 00 01 FF"), "the value of a User Property");
  check_fault(Fault::kNone, fault_of("09 00 03 00 FF C0"), "Correlation Data");
  check_fault(Fault::kNone, fault_of("03 00 00"), "an empty Content Type");
  check_fault(Fault::kEmptyTopicName, fault_of("08 00 00"), "an empty Response Topic");
}

TEST(PropertyTable, cve_2021_41039_user_properties_are_capped_and_read_in_one_pass) {
  Bytes bytes;
  for (int i = 0; i < 64; ++i) bytes = bytes + wire("26 00 01 'k' 00 01 'v'");
  check_fault(Fault::kNone, parse(bytes, kPublishPlace, Role::kClient), "64");
  bytes = bytes + wire("26 00 00 00 00");
  check_fault(Fault::kTooManyUserProperties, parse(bytes, kPublishPlace, Role::kClient), "65");
  check_fault(Fault::kNone,
              parse(bytes, kPublishPlace, Role::kClient, {.maximum_length = 1000, .maximum_user_properties = 65}),
              "65 allowed");
  check_fault(Fault::kPropertiesTooLong,
              parse(bytes, kPublishPlace, Role::kClient, {.maximum_length = 452, .maximum_user_properties = 65}),
              "453 bytes");
}

TEST(PropertyTable, a_section_of_exactly_the_longest_length_is_taken) {
  const Bytes bytes = wire("26 00 01 'k' 00 01 'v'");
  check_fault(Fault::kNone, parse(bytes, kPublishPlace, Role::kClient, {.maximum_length = 7}), "7 of 7");
  check_fault(Fault::kPropertiesTooLong, parse(bytes, kPublishPlace, Role::kClient, {.maximum_length = 6}), "7 of 6");
}

TEST_GROUP(Properties) {
  // Three properties of which one stands twice, around a Reason String.
  const Bytes bytes = wire("26 00 01 'a' 00 01 '1' 1F 00 03 'why' 11 00 00 00 3C 26 00 01 'a' 00 01 '2'");
  Properties view;

  void setup() override {
    const Fault fault = Properties::parse(bytes, kConnackPlace, Role::kServer, {}, view);
    LONGS_EQUAL(0, static_cast<int>(fault));
  }
  static std::string written(const Properties& properties) {
    Bytes out(properties.size());
    POINTERS_EQUAL(out.data() + out.size(), properties.write(out.data()));
    return hex(out);
  }
};

TEST(Properties, answer_with_their_values_and_the_defaults_of_the_standard) {
  LONGS_EQUAL(60, view.session_expiry_interval());
  CHECK(view.reason_string() == "why");
  CHECK(view.has(PropertyId::kUserProperty));
  CHECK_FALSE(view.has(PropertyId::kMaximumPacketSize));
  LONGS_EQUAL(65535, view.receive_maximum());
  LONGS_EQUAL(0, view.topic_alias_maximum());
  LONGS_EQUAL(0, view.topic_alias());
  LONGS_EQUAL(0, view.will_delay_interval());
  CHECK(view.request_problem_information());
  CHECK_FALSE(view.request_response_information());
  CHECK_FALSE(view.maximum_packet_size().has_value());
  CHECK_FALSE(view.authentication_method().has_value());
}

TEST(Properties, are_walked_in_their_order) {
  std::string walked;
  for (const Property& property : view) walked += std::string(property.text) + "=" + std::string(property.value) + ";";
  STRCMP_EQUAL("a=1;why=;=;a=2;", walked.c_str());
  LONGS_EQUAL(2, view.count(PropertyId::kUserProperty));
  LONGS_EQUAL(1, view.count(PropertyId::kReasonString));
  LONGS_EQUAL(0, view.count(PropertyId::kTopicAlias));
}

TEST(Properties, without_one_neither_show_nor_write_it) {
  const Properties rest = view.without(PropertyId::kUserProperty);
  CHECK_FALSE(rest.has(PropertyId::kUserProperty));
  LONGS_EQUAL(0, rest.count(PropertyId::kUserProperty));
  LONGS_EQUAL(60, rest.session_expiry_interval());
  STRCMP_EQUAL(hex(wire("1F 00 03 'why' 11 00 00 00 3C")).c_str(), written(rest).c_str());
  const Properties less = rest.without(PropertyId::kReasonString).without(PropertyId::kTopicAlias);
  STRCMP_EQUAL(hex(wire("11 00 00 00 3C")).c_str(), written(less).c_str());
  CHECK(less.without(PropertyId::kSessionExpiryInterval).empty());
  STRCMP_EQUAL(hex(bytes).c_str(), written(view).c_str());
}

TEST(Properties, that_stand_twice_answer_with_the_first) {
  const Bytes twice = wire("0B 05 0B 06");
  const Fault fault = Properties::parse(twice, kPublishPlace, Role::kServer, {}, view);
  LONGS_EQUAL(0, static_cast<int>(fault));
  LONGS_EQUAL(5, view.subscription_identifier());
  LONGS_EQUAL(2, view.count(PropertyId::kSubscriptionIdentifier));
}

TEST(Properties, without_any_are_empty_and_safe_to_ask) {
  const Properties none;
  CHECK(none.empty());
  CHECK(none.begin() == none.end());
  LONGS_EQUAL(0, none.size());
  CHECK_FALSE(none.text(PropertyId::kReasonString).has_value());
  STRCMP_EQUAL("", written(none.without(PropertyId::kUserProperty)).c_str());
}

TEST(Properties, written_by_a_writer_are_read_as_they_were_given) {
  PropertyWriter writer;
  writer.add(PropertyId::kMaximumQoS, 1)
      .add(PropertyId::kReceiveMaximum, 20)
      .add(PropertyId::kMaximumPacketSize, 70000);
  writer.add(PropertyId::kSubscriptionIdentifier, 300).add(PropertyId::kReasonString, "r").add_user_property("k", "v");
  STRCMP_EQUAL(hex(wire("24 01 21 00 14 27 00 01 11 70 0B AC 02 1F 00 01 'r' 26 00 01 'k' 00 01 'v'")).c_str(),
               written(writer.properties()).c_str());
  LONGS_EQUAL(20, writer.properties().receive_maximum());
  LONGS_EQUAL(300, writer.properties().subscription_identifier());
  PropertyWriter copy;
  copy.add_all(writer.properties().without(PropertyId::kSubscriptionIdentifier));
  STRCMP_EQUAL(hex(wire("24 01 21 00 14 27 00 01 11 70 1F 00 01 'r' 26 00 01 'k' 00 01 'v'")).c_str(),
               written(copy.properties()).c_str());
  copy.clear();
  CHECK(copy.properties().empty());
  CHECK_FALSE(copy.properties().has(PropertyId::kReasonString));
}

TEST(Properties, a_writer_cuts_a_text_that_is_too_long_between_two_characters) {
  const std::string text = std::string(65534, 'x') + "\xC3\xA9";
  PropertyWriter writer;
  writer.add(PropertyId::kReasonString, text);
  LONGS_EQUAL(65534, writer.properties().reason_string()->size());
}

}  // namespace mqloop::mqtt::test
