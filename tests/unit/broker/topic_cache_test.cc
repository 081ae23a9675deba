#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/topic_cache.h"
#include "tests/unit/broker/topic_samples.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::broker;
using mqloop::HashSeed;

TEST_GROUP(TopicCache) {
  RouteTable routes{2, HashSeed{1, 2}};
  TopicCache cache{routes, 0, 64};

  std::size_t matches(std::string_view topic) { return cache.match(topic).matches.size(); }
  // A topic is admitted when it comes the second time.
  void warm(std::string_view topic) {
    matches(topic);
    matches(topic);
  }
};

TEST(TopicCache, a_topic_that_repeats_is_walked_twice_and_then_known) {
  const FilterId filter = routes.add("a/+", 1).filter;
  for (int i = 0; i < 5; ++i) {
    const TopicCache::Match match = cache.match("a/b");
    UNSIGNED_LONGS_EQUAL(1, match.matches.size());
    CHECK(match.matches[0].filter == filter);
    UNSIGNED_LONGS_EQUAL(2, match.matches[0].reactors);
    UNSIGNED_LONGS_EQUAL(2, match.reactors);
  }
  UNSIGNED_LONGS_EQUAL(2, cache.counters().misses);
  UNSIGNED_LONGS_EQUAL(3, cache.counters().hits);
  UNSIGNED_LONGS_EQUAL(1, cache.size());
}

TEST(TopicCache, topics_that_never_repeat_are_not_kept) {
  for (int i = 0; i < 1000; ++i) matches("once/" + std::to_string(i));
  UNSIGNED_LONGS_EQUAL(0, cache.size());
  UNSIGNED_LONGS_EQUAL(1000, cache.counters().misses);
}

TEST(TopicCache, that_nobody_subscribes_is_worth_knowing_too) {
  warm("nobody");
  UNSIGNED_LONGS_EQUAL(0, matches("nobody"));
  UNSIGNED_LONGS_EQUAL(1, cache.counters().hits);
}

TEST(TopicCache, a_subscription_that_comes_or_goes_is_seen_at_once) {
  warm("a/b");
  const FilterId plain = routes.add("a/b", 0).filter;
  UNSIGNED_LONGS_EQUAL(1, matches("a/b"));
  const FilterId wild = routes.add("+/b", 0).filter;
  UNSIGNED_LONGS_EQUAL(2, matches("a/b"));
  routes.add("+/b", 1);
  UNSIGNED_LONGS_EQUAL(3, cache.match("a/b").reactors);
  routes.remove(wild, 0);
  routes.remove(wild, 1);
  UNSIGNED_LONGS_EQUAL(1, matches("a/b"));
  routes.remove(plain, 0);
  UNSIGNED_LONGS_EQUAL(0, matches("a/b"));
  UNSIGNED_LONGS_EQUAL(5, cache.counters().stale);
  UNSIGNED_LONGS_EQUAL(1, cache.size());
}

TEST(TopicCache, subscriptions_elsewhere_do_not_empty_it) {
  warm("a/b");
  std::size_t elsewhere = 0;
  for (int i = 0; i < 100; ++i) {
    MatchResult a;
    MatchResult other;
    const std::string first = "elsewhere" + std::to_string(i);
    routes.match("a", 0, a);
    routes.match(first, 0, other);
    if (a.version_slot == other.version_slot) continue;
    routes.add(first + "/#", 0);
    ++elsewhere;
    matches("a/b");
  }
  CHECK(elsewhere > 90);
  UNSIGNED_LONGS_EQUAL(0, cache.counters().stale);
  UNSIGNED_LONGS_EQUAL(elsewhere, cache.counters().hits);
}

TEST(TopicCache, it_is_bounded_and_the_longest_unused_gives_way) {
  for (int i = 0; i < 1000; ++i) {
    warm("topic/" + std::to_string(i));
    warm("always");
  }
  CHECK(cache.size() <= 64);
  CHECK(cache.size() > 32);
  // Used before and after each of the others, it was walked at its first two uses only.
  UNSIGNED_LONGS_EQUAL(2 * 1000 - 2, cache.counters().hits);
}

TEST(TopicCache, what_is_too_large_to_keep_is_walked_each_time) {
  const std::string long_topic(TopicCache::kMaxTopicSize + 1, 'x');
  routes.add(long_topic, 0);
  for (int i = 0; i < 3; ++i) UNSIGNED_LONGS_EQUAL(1, matches(long_topic));
  std::string filter = "many";
  for (std::size_t i = 0; i <= TopicCache::kMaxMatches; ++i, filter += "/x") routes.add(filter + "/#", 0);
  for (int i = 0; i < 3; ++i) UNSIGNED_LONGS_EQUAL(TopicCache::kMaxMatches + 1, matches(filter));
  UNSIGNED_LONGS_EQUAL(0, cache.size());
  UNSIGNED_LONGS_EQUAL(6, cache.counters().uncachable);
}

TEST(TopicCache, an_entry_that_grows_too_large_is_dropped) {
  routes.add("a/#", 0);
  warm("a");
  UNSIGNED_LONGS_EQUAL(1, cache.size());
  std::string topic = "d";
  for (std::size_t i = 0; i < TopicCache::kMaxMatches; ++i) topic += "/x";
  warm(topic);
  UNSIGNED_LONGS_EQUAL(2, cache.size());
  std::string filter = "d";
  for (std::size_t i = 0; i <= TopicCache::kMaxMatches; ++i, filter += "/x") routes.add(filter + "/#", 0);
  UNSIGNED_LONGS_EQUAL(TopicCache::kMaxMatches + 1, matches(topic));
  UNSIGNED_LONGS_EQUAL(1, cache.size());
}

TEST(TopicCache, a_capacity_of_zero_switches_it_off) {
  TopicCache off(routes, 0, 0);
  routes.add("a", 0);
  for (int i = 0; i < 3; ++i) UNSIGNED_LONGS_EQUAL(1, off.match("a").matches.size());
  UNSIGNED_LONGS_EQUAL(0, off.counters().hits);
  UNSIGNED_LONGS_EQUAL(0, off.size());
}

TEST(TopicCache, clear_gives_the_entries_back) {
  warm("a");
  const std::size_t before = cache.footprint();
  warm("b");
  CHECK(cache.footprint() > before);
  cache.clear();
  CHECK(cache.footprint() < before);
  UNSIGNED_LONGS_EQUAL(0, cache.size());
  UNSIGNED_LONGS_EQUAL(0, matches("a"));
}

TEST(TopicCache, answers_as_the_route_table_does_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    TopicSamples samples(seed);
    RouteTable table(3, HashSeed{seed, seed});
    TopicCache tested(table, 2, 256);
    MatchResult walked;
    for (int step = 0; step < 4000; ++step) {
      const auto reactor = static_cast<unsigned>(samples.below(3));
      const std::uint64_t what = samples.below(50);
      if (what == 0) table.add(samples.filter(), reactor);
      if (what == 1) table.remove(table.find(samples.filter(), 0), reactor);
      const std::string topic = samples.topic();
      const TopicCache::Match cached = tested.match(topic);
      table.match(topic, 2, walked);
      const std::string where = "seed " + std::to_string(seed) + " topic " + topic;
      CHECK_TEXT(cached.reactors == walked.reactors, where.c_str());
      CHECK_TEXT(std::equal(cached.matches.begin(), cached.matches.end(), walked.matches.begin(), walked.matches.end(),
                            [](const RouteMatch& a, const RouteMatch& b) {
                              return a.filter == b.filter && a.reactors == b.reactors;
                            }),
                 where.c_str());
    }
    CHECK(tested.counters().hits > 100);
    CHECK(tested.counters().stale > 100);
  }
}
