#include "core/base/token_bucket.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

TEST_GROUP(TokenBucket) {
  TokenBucket bucket;
  MonotonicTime now{std::chrono::hours(1)};

  // How many pass before one has to wait.
  int burst(double rate) {
    int count = 0;
    for (; count != 10'000 && bucket.wait(rate, now) == milliseconds::zero(); ++count) bucket.take(rate, 1, now);
    return count;
  }
};

TEST(TokenBucket, lets_a_seconds_worth_pass_at_once) {
  LONGS_EQUAL(10, burst(10));
  LONGS_EQUAL(100, bucket.wait(10, now).count());
}

TEST(TokenBucket, counts_rates_exactly_that_are_no_whole_part_of_a_second) {
  LONGS_EQUAL(3, burst(3));
  LONGS_EQUAL(334, bucket.wait(3, now).count());
}

TEST(TokenBucket, lets_one_pass_at_a_time_below_one_a_second) {
  LONGS_EQUAL(1, burst(0.1));
  LONGS_EQUAL(10'000, bucket.wait(0.1, now).count());
}

TEST(TokenBucket, keeps_the_rate_over_time) {
  int passed = burst(50);
  for (int i = 0; i != 10'000; ++i) {
    now += milliseconds(1);
    passed += burst(50);
  }
  LONGS_EQUAL(50 + 500, passed);
}

TEST(TokenBucket, is_full_again_after_a_second_and_no_fuller_later) {
  LONGS_EQUAL(10, burst(10));
  now += seconds(1);
  LONGS_EQUAL(10, burst(10));
  now += std::chrono::hours(24 * 365);
  LONGS_EQUAL(10, burst(10));
}

TEST(TokenBucket, waits_for_what_was_more_than_allowed) {
  bucket.take(1000, 5000, now);
  LONGS_EQUAL(4001, bucket.wait(1000, now).count());
  now += milliseconds(4001);
  LONGS_EQUAL(0, bucket.wait(1000, now).count());
}

TEST(TokenBucket, without_a_rate_never_waits) {
  bucket.take(0, 1'000'000, now);
  LONGS_EQUAL(0, bucket.wait(0, now).count());
}

TEST(TokenBucket, survives_the_slowest_rate_and_the_largest_amount) {
  bucket.take(1e-9, UINT64_MAX, now);
  CHECK(bucket.wait(1e-9, now) > std::chrono::hours(24));
  bucket.take(1e18, 1, now);
  CHECK(bucket.wait(1e-9, now) > std::chrono::hours(24));
}
