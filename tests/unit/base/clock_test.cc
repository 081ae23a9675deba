#include "core/base/clock.h"

#include <set>

#include <CppUTest/TestHarness.h>

namespace mqloop {

TEST_GROUP(SystemClock){};

TEST(SystemClock, monotonic_time_never_goes_back) {
  SystemClock clock;
  MonotonicTime last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    const MonotonicTime now = clock.now();
    CHECK(now >= last);
    last = now;
  }
}

TEST(SystemClock, wall_time_is_that_of_the_system) {
  SystemClock clock;
  const auto before = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const WallTime now = clock.wall_now();
  CHECK(now >= before);
  CHECK(now <= std::chrono::system_clock::now());
}

TEST_GROUP(SystemRandom){};

TEST(SystemRandom, numbers_do_not_repeat_within_and_across_blocks_and_objects) {
  SystemRandom one;
  SystemRandom two;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 500; ++i) {
    seen.insert(one.next());
    seen.insert(two.next());
  }
  LONGS_EQUAL(1000, seen.size());
}

TEST(SystemRandom, every_bit_takes_both_values) {
  SystemRandom random;
  std::uint64_t ones = 0;
  std::uint64_t zeros = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t number = random.next();
    ones |= number;
    zeros |= ~number;
  }
  CHECK(ones == ~0ULL);
  CHECK(zeros == ~0ULL);
}

}  // namespace mqloop
