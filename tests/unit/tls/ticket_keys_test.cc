#include "core/tls/ticket_keys.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/tls/server_context.h"
#include "tests/unit/tls/tls_fixture.h"

namespace mqloop::tls {

namespace {

const TicketKeys::Clock::time_point kStart{std::chrono::hours(1000)};

}  // namespace

TEST_GROUP(TicketKeys){};

TEST(TicketKeys, a_key_seals_for_an_hour_and_opens_for_one_more) {
  TicketKeys keys(kStart);
  const TicketKeys::Key first = keys.current(kStart + std::chrono::minutes(59));
  CHECK_FALSE(keys.find(first.name.data(), kStart + std::chrono::minutes(59))->is_old);
  const TicketKeys::Key second = keys.current(kStart + std::chrono::minutes(61));
  CHECK(first.name != second.name);
  CHECK_TRUE(keys.find(first.name.data(), kStart + std::chrono::minutes(62))->is_old);
  CHECK_FALSE(keys.find(second.name.data(), kStart + std::chrono::minutes(62))->is_old);
  CHECK_FALSE(keys.find(first.name.data(), kStart + std::chrono::minutes(122)).has_value());
  CHECK_TRUE(keys.find(second.name.data(), kStart + std::chrono::minutes(122))->is_old);
}

TEST(TicketKeys, a_key_that_was_not_used_for_long_opens_nothing) {
  TicketKeys keys(kStart);
  const TicketKeys::Key first = keys.current(kStart);
  CHECK_FALSE(keys.find(first.name.data(), kStart + std::chrono::hours(3)).has_value());
}

TEST(TicketKeys, each_listener_has_its_own) {
  TicketKeys one(kStart), other(kStart);
  const TicketKeys::Key key = one.current(kStart);
  CHECK_FALSE(other.find(key.name.data(), kStart).has_value());
}

}  // namespace mqloop::tls
