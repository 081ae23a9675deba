#include "plugins/auth_file/credential_cache.h"

#include <string>

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::auth_file;

TEST_GROUP(CredentialCache) {
  MonotonicTime now{1h};

  static CredentialDigest digest_of(const CredentialCache& cache, std::string_view user, std::string_view password) {
    const auto digest = cache.digest_of(user, password);
    CHECK(digest.has_value());
    return digest.value_or(CredentialDigest{});
  }
};

TEST(CredentialCache, knows_what_was_added_until_its_time_is_up) {
  CredentialCache cache(60s, 10);
  CHECK(cache.open().ok());
  const CredentialDigest bob = digest_of(cache, "bob", "secret");
  CHECK(!cache.knows(bob, now));
  cache.add(bob, now);
  CHECK(cache.knows(bob, now));
  CHECK(cache.knows(bob, now + 59'999ms));
  CHECK(!cache.knows(bob, now + 60s));
}

TEST(CredentialCache, another_password_name_or_border_is_something_else) {
  CredentialCache cache(60s, 10);
  CHECK(cache.open().ok());
  cache.add(digest_of(cache, "ab", "c"), now);
  for (const auto& [user, password] : {std::pair{"a", "bc"}, {"abc", ""}, {"", "abc"}, {"ab", "C"}, {"ab", ""}}) {
    CHECK(!cache.knows(digest_of(cache, user, password), now));
  }
}

TEST(CredentialCache, digests_of_two_caches_have_nothing_in_common) {
  CredentialCache one(60s, 10);
  CredentialCache other(60s, 10);
  CHECK(one.open().ok());
  CHECK(other.open().ok());
  CHECK(digest_of(one, "bob", "secret") != digest_of(other, "bob", "secret"));
  CHECK(one.number_of("bob") != other.number_of("bob"));
  CHECK(one.number_of("bob") == one.number_of("bob"));
}

TEST(CredentialCache, oldest_goes_when_it_is_full) {
  CredentialCache cache(60s, 2);
  CHECK(cache.open().ok());
  for (const char* user : {"a", "b", "c"}) cache.add(digest_of(cache, user, "x"), now++);
  LONGS_EQUAL(2, cache.size());
  CHECK(!cache.knows(digest_of(cache, "a", "x"), now));
  CHECK(cache.knows(digest_of(cache, "b", "x"), now));
  CHECK(cache.knows(digest_of(cache, "c", "x"), now));
}

TEST(CredentialCache, what_is_over_makes_room) {
  CredentialCache cache(60s, 1000);
  CHECK(cache.open().ok());
  for (int i = 0; i < 100; ++i) cache.add(digest_of(cache, "u" + std::to_string(i), "x"), now);
  LONGS_EQUAL(100, cache.size());
  cache.add(digest_of(cache, "later", "x"), now + 60s);
  LONGS_EQUAL(1, cache.size());
}

TEST(CredentialCache, coming_back_does_not_make_it_last_longer) {
  CredentialCache cache(60s, 10);
  CHECK(cache.open().ok());
  const CredentialDigest bob = digest_of(cache, "bob", "x");
  cache.add(bob, now);
  cache.add(bob, now + 30s);
  CHECK(!cache.knows(bob, now + 60s));
  cache.add(bob, now + 60s);
  CHECK(cache.knows(bob, now + 119s));
  LONGS_EQUAL(1, cache.size());
}

TEST(CredentialCache, without_lifetime_or_room_nothing_is_kept) {
  CredentialCache brief(0ms, 10);
  CredentialCache small(60s, 0);
  for (CredentialCache* cache : {&brief, &small}) {
    CHECK(cache->open().ok());
    const CredentialDigest bob = digest_of(*cache, "bob", "x");
    cache->add(bob, now);
    CHECK(!cache->knows(bob, now));
    LONGS_EQUAL(0, cache->size());
  }
}

TEST(CredentialCache, clock_that_goes_back_between_workers_keeps_the_order) {
  CredentialCache cache(60s, 10);
  CHECK(cache.open().ok());
  cache.add(digest_of(cache, "a", "x"), now + 5ms);
  cache.add(digest_of(cache, "b", "x"), now);
  cache.add(digest_of(cache, "c", "x"), now + 60s + 5ms);
  LONGS_EQUAL(1, cache.size());
}

TEST(CredentialCache, infinite_lifetime_never_ends) {
  CredentialCache cache(std::chrono::milliseconds::max(), 10);
  CHECK(cache.open().ok());
  const CredentialDigest bob = digest_of(cache, "bob", "x");
  cache.add(bob, now);
  CHECK(cache.knows(bob, now + 100'000h));
}
