// The rows of the directory's table: who is at home where, and for how long.
#include <algorithm>
#include <string>

#include "core/broker/client_directory.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;

}  // namespace

TEST_GROUP(ClientDirectory) { ClientDirectory directory{HashSeed{1, 2}}; };

TEST(ClientDirectory, the_first_to_ask_makes_its_own_reactor_the_home) {
  LONGS_EQUAL(3, directory.claim("a", 3));
  LONGS_EQUAL(0, directory.claim("b", 0));
  LONGS_EQUAL(2, directory.size());
}

TEST(ClientDirectory, whoever_asks_while_another_connection_travels_goes_where_that_one_goes) {
  LONGS_EQUAL(1, directory.claim("a", 1));
  LONGS_EQUAL(1, directory.claim("a", 2));
  directory.abandoned("a");
  LONGS_EQUAL(1, directory.size());  // the second one is on its way still
  directory.abandoned("a");
  LONGS_EQUAL(0, directory.size());
  LONGS_EQUAL(2, directory.claim("a", 2));  // and now the home is another one
}

TEST(ClientDirectory, a_session_keeps_its_home_until_it_ends) {
  LONGS_EQUAL(1, directory.claim("a", 1));
  directory.settled("a");
  LONGS_EQUAL(1, directory.claim("a", 2));
  directory.abandoned("a");
  LONGS_EQUAL(1, directory.size());
  directory.session_ended("a");
  LONGS_EQUAL(0, directory.size());
}

TEST(ClientDirectory, a_session_that_ends_while_a_connection_travels_to_it_leaves_the_home_where_it_is) {
  LONGS_EQUAL(1, directory.claim("a", 1));
  directory.settled("a");
  LONGS_EQUAL(1, directory.claim("a", 2));
  directory.session_ended("a");
  LONGS_EQUAL(1, directory.claim("a", 3));
  directory.settled("a");
  directory.settled("a");
  directory.session_ended("a");
  LONGS_EQUAL(0, directory.size());
}

TEST(ClientDirectory, a_take_over_settles_on_the_session_that_is_there) {
  LONGS_EQUAL(0, directory.claim("a", 0));
  directory.settled("a");
  LONGS_EQUAL(0, directory.claim("a", 0));
  directory.settled("a");
  directory.session_ended("a");
  LONGS_EQUAL(0, directory.size());
}

TEST(ClientDirectory, many_clients_do_not_get_into_each_others_way) {
  for (unsigned i = 0; i != 2000; ++i) LONGS_EQUAL(i % 8, directory.claim("client" + std::to_string(i), i % 8));
  LONGS_EQUAL(2000, directory.size());
  for (unsigned i = 0; i != 2000; ++i) LONGS_EQUAL(i % 8, directory.claim("client" + std::to_string(i), 7));
  for (unsigned i = 0; i != 2000; ++i) {
    directory.abandoned("client" + std::to_string(i));
    directory.abandoned("client" + std::to_string(i));
  }
  LONGS_EQUAL(0, directory.size());
}

TEST(ClientDirectory, grows_by_little_at_a_time_and_gives_everything_back) {
  constexpr std::size_t kCount = 200'000;
  const auto id = [](std::size_t i) {
    return "client-" + std::to_string(i) + (i % 10 == 0 ? "-with-a-long-name" : "");
  };
  const std::size_t before = directory.footprint();
  std::size_t most = 0;
  for (std::size_t i = 0; i != kCount; ++i) {
    const std::size_t footprint = directory.footprint();
    UNSIGNED_LONGS_EQUAL(i % 4, directory.claim(id(i), i % 4));
    directory.settled(id(i));
    most = std::max(most, std::max(directory.footprint(), footprint) - footprint);
  }
  CHECK(most <= 72 * 1024);  // two segments of an index and a chunk
  // 24 bytes and 2 of the pool, 8 at a load of 3/8 to 3/4, long names for some.
  CHECK((directory.footprint() - before) / kCount <= 56);
  for (std::size_t i = 0; i != kCount; ++i) UNSIGNED_LONGS_EQUAL(i % 4, directory.claim(id(i), 5));
  for (std::size_t i = 0; i != kCount; ++i) {
    directory.abandoned(id(i));
    directory.session_ended(id(i));
  }
  UNSIGNED_LONGS_EQUAL(0, directory.size());
  CHECK(directory.footprint() <= before + 64 * 64 * 32);  // a chunk of each shard
}
