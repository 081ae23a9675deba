#include "core/config/units.h"

#include <limits>
#include <string>

#include <CppUTest/TestHarness.h>

namespace mqloop::config {
namespace {

std::string refusal_of_duration(std::string_view text) {
  std::string complaint;
  CHECK_FALSE(parse_duration(text, complaint).has_value());
  return complaint;
}

std::string refusal_of_size(std::string_view text) {
  std::string complaint;
  CHECK_FALSE(parse_size(text, complaint).has_value());
  return complaint;
}

std::string refusal_of_endpoint(std::string_view text) {
  std::string complaint;
  CHECK_FALSE(parse_endpoint(text, complaint).has_value());
  return complaint;
}

long long milliseconds(std::string_view text) {
  std::string complaint;
  const auto value = parse_duration(text, complaint);
  CHECK(value.has_value());
  return value->count();
}

}  // namespace

TEST_GROUP(Units) { std::string complaint; };

TEST(Units, booleans_are_true_and_false_alone) {
  CHECK(parse_boolean("true", complaint).value());
  CHECK(parse_boolean("True", complaint).value());
  CHECK_FALSE(parse_boolean("FALSE", complaint).value());
  for (const char* text : {"yes", "no", "on", "off", "y", "1", "0", "", "tRUE", "true "}) {
    CHECK_FALSE(parse_boolean(text, complaint).has_value());
  }
  CHECK_FALSE(parse_boolean("yes", complaint).has_value());
  STRCMP_EQUAL("'yes' is not a boolean: write true or false", complaint.c_str());
}

TEST(Units, integers_follow_yaml_1_2) {
  LONGS_EQUAL(10, parse_integer("010", complaint).value());
  LONGS_EQUAL(16, parse_integer("0x10", complaint).value());
  LONGS_EQUAL(8, parse_integer("0o10", complaint).value());
  LONGS_EQUAL(-3, parse_integer("-3", complaint).value());
  LONGS_EQUAL(3, parse_integer("+3", complaint).value());
  CHECK(std::numeric_limits<std::int64_t>::max() == parse_integer("9223372036854775807", complaint).value());
  for (const char* text :
       {"", "-", "+", "--3", "+-3", "1e3", "1.0", "0x", "0xg", "-0x10", "1 ", " 1", "1_000", "abc"}) {
    CHECK_FALSE(parse_integer(text, complaint).has_value());
    STRCMP_EQUAL(("'" + std::string(text) + "' is not a whole number").c_str(), complaint.c_str());
  }
  CHECK_FALSE(parse_integer("9223372036854775808", complaint).has_value());
  STRCMP_EQUAL("'9223372036854775808' is too large a number", complaint.c_str());
}

TEST(Units, numbers_are_finite_decimals) {
  DOUBLES_EQUAL(1.5, parse_number("1.5", complaint).value(), 0);
  DOUBLES_EQUAL(-2e3, parse_number("-2e3", complaint).value(), 0);
  DOUBLES_EQUAL(0.5, parse_number(".5", complaint).value(), 0);
  for (const char* text : {"", "inf", "nan", "-inf", "-nan", "1.5x", "1e999", "0x1p3", "+", "++1"}) {
    CHECK_FALSE(parse_number(text, complaint).has_value());
  }
}

TEST(Units, durations_carry_units) {
  LONGS_EQUAL(250, milliseconds("250ms"));
  LONGS_EQUAL(30'000, milliseconds("30s"));
  LONGS_EQUAL(300'000, milliseconds("5m"));
  LONGS_EQUAL(43'200'000, milliseconds("12h"));
  LONGS_EQUAL(604'800'000, milliseconds("7d"));
  LONGS_EQUAL(0, milliseconds("0s"));
  LONGS_EQUAL(65'535'000, milliseconds("18h12m15s"));
  CHECK(parse_duration("infinite", complaint).value() == kInfinite);
}

TEST(Units, a_bare_number_is_no_duration) {
  STRCMP_EQUAL("'10' has no unit: write 10s for seconds", refusal_of_duration("10").c_str());
}

TEST(Units, what_is_no_duration_is_told_the_forms) {
  for (const char* text : {"", "s", "10 s", "1.5s", "10sec", "-1s", "5m1h", "1s1s", "10S", "1h ", "Infinite"}) {
    STRCMP_EQUAL(("'" + std::string(text) + "' is not a duration, e.g. 250ms 30s 5m 12h 7d or infinite").c_str(),
                 refusal_of_duration(text).c_str());
  }
  STRCMP_EQUAL("'99999999999999d' is too long: write infinite", refusal_of_duration("99999999999999d").c_str());
  STRCMP_EQUAL("'9223372036854775807ms' is too long: write infinite",
               refusal_of_duration("9223372036854775807ms").c_str());
}

TEST(Units, sizes_are_binary_and_carry_units) {
  CHECK(512 == parse_size("512B", complaint).value());
  CHECK(64ULL << 10 == parse_size("64KiB", complaint).value());
  CHECK(1ULL << 20 == parse_size("1MiB", complaint).value());
  CHECK(2ULL << 30 == parse_size("2GiB", complaint).value());
  CHECK(3ULL << 40 == parse_size("3TiB", complaint).value());
  CHECK(0 == parse_size("0B", complaint).value());
}

TEST(Units, decimal_sizes_are_refused_with_what_to_write) {
  STRCMP_EQUAL("'1MB': write 1MiB (1 048 576 bytes)", refusal_of_size("1MB").c_str());
  STRCMP_EQUAL("'5MB': write 5MiB (5 242 880 bytes)", refusal_of_size("5MB").c_str());
  STRCMP_EQUAL("'64k': write 64KiB (65 536 bytes)", refusal_of_size("64k").c_str());
  STRCMP_EQUAL("'64KB': write 64KiB (65 536 bytes)", refusal_of_size("64KB").c_str());
  STRCMP_EQUAL("'1gib': write 1GiB (1 073 741 824 bytes)", refusal_of_size("1gib").c_str());
  STRCMP_EQUAL("'2G': write 2GiB (2 147 483 648 bytes)", refusal_of_size("2G").c_str());
  STRCMP_EQUAL("'7b': write 7B (7 bytes)", refusal_of_size("7b").c_str());
  STRCMP_EQUAL("'65536' has no unit: write 65536B, or KiB, MiB, GiB", refusal_of_size("65536").c_str());
  STRCMP_EQUAL("'99999999TiB' is too large a size", refusal_of_size("99999999TiB").c_str());
  for (const char* text : {"", "MiB", "1.5MiB", "1 MiB", "-1B", "1XB", "1MiBs"}) {
    STRCMP_EQUAL(("'" + std::string(text) + "' is not a size, e.g. 512B 64KiB 1MiB 2GiB").c_str(),
                 refusal_of_size(text).c_str());
  }
}

TEST(Units, rates_are_per_second_minute_or_hour) {
  DOUBLES_EQUAL(100, parse_rate("100/s", complaint).value(), 0);
  DOUBLES_EQUAL(100, parse_rate("6000/m", complaint).value(), 0);
  DOUBLES_EQUAL(0.5, parse_rate("1800/h", complaint).value(), 0);
  DOUBLES_EQUAL(65536, parse_byte_rate("64KiB/s", complaint).value(), 0);
  CHECK_FALSE(parse_rate("100", complaint).has_value());
  STRCMP_EQUAL("'100' has no unit: write 100/s", complaint.c_str());
  for (const char* text : {"", "/s", "100/", "100/d", "100 /s", "-1/s", "64KiB/s"}) {
    CHECK_FALSE(parse_rate(text, complaint).has_value());
  }
  for (const char* text : {"", "100/s", "64KB/s", "64KiB", "64KiB/d"}) {
    CHECK_FALSE(parse_byte_rate(text, complaint).has_value());
  }
}

TEST(Units, an_endpoint_is_host_and_port) {
  STRCMP_EQUAL("127.0.0.1", parse_endpoint("127.0.0.1:1883", complaint)->host.c_str());
  LONGS_EQUAL(1883, parse_endpoint("127.0.0.1:1883", complaint)->port);
  STRCMP_EQUAL("::", parse_endpoint("[::]:8883", complaint)->host.c_str());
  STRCMP_EQUAL("fe80::1%eth0", parse_endpoint("[fe80::1%eth0]:1", complaint)->host.c_str());
  STRCMP_EQUAL("broker.example", parse_endpoint("broker.example:0", complaint)->host.c_str());
  LONGS_EQUAL(65535, parse_endpoint("a:65535", complaint)->port);
}

TEST(Units, what_is_no_endpoint_is_told_the_form) {
  for (const char* text :
       {"", "abc", ":1883", "1883", "a:", "a:b", "a:1x", "[::]", "[::1883", "::]:1883", "a b:1", "a/b:1"}) {
    STRCMP_EQUAL(("'" + std::string(text) + "' is not host:port, e.g. 127.0.0.1:1883 or [::]:8883").c_str(),
                 refusal_of_endpoint(text).c_str());
  }
  STRCMP_EQUAL("'a:65536': a port is at most 65535", refusal_of_endpoint("a:65536").c_str());
  STRCMP_EQUAL("'::1:1883' is not host:port: an IPv6 address stands in brackets, e.g. [::]:8883",
               refusal_of_endpoint("::1:1883").c_str());
  STRCMP_EQUAL("'[1.2.3.4]:1' is not host:port: between the brackets must be an IPv6 address, e.g. [::]:8883",
               refusal_of_endpoint("[1.2.3.4]:1").c_str());
}

TEST(Units, loopback_is_what_only_this_machine_reaches) {
  for (const char* host : {"127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1"}) {
    CHECK(is_loopback(host));
  }
  for (const char* host :
       {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1", "localhost.example", "", "127.1"}) {
    CHECK_FALSE(is_loopback(host));
  }
}

TEST(Units, durations_are_told_as_people_read_them) {
  STRCMP_EQUAL("18h12m15s", format_duration(std::chrono::seconds(65535)).c_str());
  STRCMP_EQUAL("7d", format_duration(std::chrono::hours(168)).c_str());
  STRCMP_EQUAL("1s500ms", format_duration(std::chrono::milliseconds(1500)).c_str());
  STRCMP_EQUAL("0s", format_duration(std::chrono::milliseconds(0)).c_str());
  STRCMP_EQUAL("infinite", format_duration(kInfinite).c_str());
}

TEST(Units, large_numbers_are_grouped) {
  STRCMP_EQUAL("0", format_grouped(0).c_str());
  STRCMP_EQUAL("999", format_grouped(999).c_str());
  STRCMP_EQUAL("1 000", format_grouped(1000).c_str());
  STRCMP_EQUAL("1 048 576", format_grouped(1048576).c_str());
}

TEST(Units, quoted_text_is_short_and_harmless) {
  STRCMP_EQUAL("'a?b?'", in_quotes("a\nb\x1b").c_str());
  STRCMP_EQUAL(("'" + std::string(80, 'x') + "...'").c_str(), in_quotes(std::string(200, 'x')).c_str());
}

}  // namespace mqloop::config
