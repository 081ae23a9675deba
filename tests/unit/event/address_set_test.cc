#include "core/event/address_set.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <initializer_list>
#include <string>

#include <CppUTest/TestHarness.h>

namespace mqloop::event {

namespace {

AddressSet set_of(std::initializer_list<const char*> texts) {
  AddressSet set;
  for (const char* text : texts) CHECK(set.add(text).ok());
  return set;
}

bool has(const AddressSet& set, std::string_view address) {
  const auto parsed = parse_ip(address);
  CHECK(parsed.has_value());
  return set.contains(*parsed);
}

std::string complaint(std::string_view text) { return std::string(AddressSet().add(text).message()); }

}  // namespace

TEST_GROUP(AddressSet){};

TEST(AddressSet, holds_what_the_prefix_leaves_open) {
  const AddressSet set = set_of({"10.0.0.0/8", "192.0.2.7", "198.51.100.128/25", "2001:db8::/33", "2001:db8:ffff::1"});
  for (const char* inside : {"10.0.0.0", "10.255.255.255", "192.0.2.7", "198.51.100.128", "198.51.100.255",
                             "2001:db8:7fff::9", "2001:db8:ffff::1"}) {
    CHECK_TEXT(has(set, inside), inside);
  }
  for (const char* outside :
       {"11.0.0.0", "9.255.255.255", "192.0.2.6", "198.51.100.127", "2001:db8:8000::1", "2001:db8:ffff::2", "::"}) {
    CHECK_FALSE_TEXT(has(set, outside), outside);
  }
}

TEST(AddressSet, a_network_of_one_family_has_nobody_of_the_other) {
  CHECK(has(set_of({"0.0.0.0/0"}), "203.0.113.1"));
  CHECK(!has(set_of({"0.0.0.0/0"}), "2001:db8::1"));
  CHECK(has(set_of({"::/0"}), "2001:db8::1"));
  CHECK(!has(set_of({"::/0"}), "203.0.113.1"));
}

TEST(AddressSet, ipv4_inside_ipv6_is_ipv4) {
  CHECK(has(set_of({"10.0.0.0/8"}), "::ffff:10.1.2.3"));
  CHECK(has(set_of({"::ffff:10.0.0.0/104"}), "10.1.2.3"));
  CHECK(!has(set_of({"::ffff:10.0.0.0/104"}), "11.1.2.3"));
}

TEST(AddressSet, says_what_is_wrong_with_a_text) {
  for (const char* text : {"", "/8", "10.0.0", "10.0.0.0.0", "host.example", "10.0.0.0 ", "fe80::1%eth0", "[::1]"}) {
    STRCMP_EQUAL(
        ("'" + std::string(text) + "' is no IP address or network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
            .c_str(),
        complaint(text).c_str());
  }
  STRCMP_EQUAL("'10.0.0.0/33' has no prefix length from 0 to 32 behind the slash", complaint("10.0.0.0/33").c_str());
  STRCMP_EQUAL("'10.0.0.0/' has no prefix length from 0 to 32 behind the slash", complaint("10.0.0.0/").c_str());
  STRCMP_EQUAL("'::/-1' has no prefix length from 0 to 128 behind the slash", complaint("::/-1").c_str());
  STRCMP_EQUAL("'::ffff:10.0.0.0/8' has no prefix length from 96 to 128 behind the slash",
               complaint("::ffff:10.0.0.0/8").c_str());
  STRCMP_EQUAL("'10.0.0.1/8' is an address in a network; write 10.0.0.0/8 for the network or 10.0.0.1 for the address",
               complaint("10.0.0.1/8").c_str());
}

TEST(AddressSet, reads_peers_as_streams_write_them) {
  CHECK(ip_of_peer("192.0.2.1:51234") == parse_ip("192.0.2.1"));
  CHECK(ip_of_peer("[2001:db8::1]:51234") == parse_ip("2001:db8::1"));
  CHECK(ip_of_peer("[fe80::1%eth0]:1") == parse_ip("fe80::1"));
  for (const char* none : {"unix", "unix:alice:4711", "unix:10.0.0.1:4711", "", ":", "[", "[]:1", "/run/mqtt.sock"}) {
    CHECK_FALSE_TEXT(ip_of_peer(none).has_value(), none);
  }
}

TEST(AddressSet, an_address_of_the_system_is_the_one_that_is_written) {
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  LONGS_EQUAL(1, inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr));
  CHECK(ip_of(reinterpret_cast<const sockaddr&>(mapped)) == parse_ip("192.0.2.1"));
  sockaddr unix_socket{};
  unix_socket.sa_family = AF_UNIX;
  CHECK(!ip_of(unix_socket).has_value());
}

}  // namespace mqloop::event
