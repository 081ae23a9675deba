#include "core/broker/address_counts.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::broker {

TEST_GROUP(AddressCounts) { AddressCounts counts{{1, 2}}; };

TEST(AddressCounts, an_address_has_its_number_of_connections_whatever_their_ports) {
  CHECK(counts.enter("192.0.2.1:1000", 2));
  CHECK(counts.enter("192.0.2.1:1001", 2));
  CHECK(!counts.enter("192.0.2.1:1002", 2));
  CHECK(counts.enter("192.0.2.2:1000", 2));
}

TEST(AddressCounts, the_place_of_one_that_left_is_free) {
  CHECK(counts.enter("192.0.2.1:1000", 1));
  counts.leave("192.0.2.1:1000");
  LONGS_EQUAL(0, counts.addresses());
  CHECK(counts.enter("192.0.2.1:1001", 1));
}

TEST(AddressCounts, who_was_refused_is_not_counted) {
  CHECK(counts.enter("192.0.2.1:1", 1));
  for (int i = 0; i != 10; ++i) CHECK(!counts.enter("192.0.2.1:2", 1));
  counts.leave("192.0.2.1:1");
  CHECK(counts.enter("192.0.2.1:3", 1));
}

TEST(AddressCounts, ipv6_counts_by_its_64) {
  CHECK(counts.enter("[2001:db8:1:2::1]:1", 1));
  CHECK(!counts.enter("[2001:db8:1:2:ffff:ffff:ffff:ffff]:1", 1));
  CHECK(counts.enter("[2001:db8:1:3::1]:1", 1));
  LONGS_EQUAL(2, counts.addresses());
}

TEST(AddressCounts, link_local_addresses_are_told_apart_although_they_share_their_64) {
  CHECK(counts.enter("[fe80::1%2]:1", 1));
  CHECK(counts.enter("[fe80::2%2]:1", 1));
  CHECK(!counts.enter("[fe80::1%2]:2", 1));
}

TEST(AddressCounts, loopback_counts_too) {
  CHECK(counts.enter("127.0.0.1:1", 1));
  CHECK(!counts.enter("127.0.0.1:2", 1));
  CHECK(counts.enter("[::1]:1", 1));
  CHECK(!counts.enter("[::1]:2", 1));
}

TEST(AddressCounts, ipv4_is_not_taken_for_an_ipv6_prefix_of_the_same_bytes) {
  CHECK(counts.enter("32.1.13.184:1", 1));
  CHECK(counts.enter("[2001:db8::]:1", 1));
}

TEST(AddressCounts, who_has_no_ip_address_is_not_limited) {
  for (const char* peer : {"unix", "/run/mqloop/mqtt.sock", "/run/a:1", "unknown", "", "[", ":1", "[::1"}) {
    for (int i = 0; i != 3; ++i) CHECK(counts.enter(peer, 1));
    counts.leave(peer);
  }
  LONGS_EQUAL(0, counts.addresses());
}

}  // namespace mqloop::broker
