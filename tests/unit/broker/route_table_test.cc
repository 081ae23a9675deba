#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pthread.h>

#include "core/broker/route_table.h"
#include "core/mqtt/topic.h"
#include "tests/unit/broker/topic_samples.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::broker;
using mqloop::HashSeed;

namespace {

constexpr HashSeed kSeed{0x0123456789abcdef, 0xfedcba9876543210};

std::string repeated(std::string_view piece, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += piece;
  return text;
}

}  // namespace

TEST_GROUP(RouteTable) {
  RouteTable table{4, kSeed};
  MatchResult found;

  // The texts of the filters that match, sorted and joined by blanks.
  std::string matching(std::string_view topic) {
    table.match(topic, 0, found);
    std::vector<std::string> texts;
    for (const RouteMatch& match : found.matches) texts.push_back(table.filter_text(match.filter, 0));
    std::sort(texts.begin(), texts.end());
    std::string joined;
    for (const std::string& text : texts) joined += (joined.empty() ? "" : " ") + text;
    return joined;
  }
  void add(std::initializer_list<std::string_view> filters) {
    for (const std::string_view filter : filters) table.add(filter, 0);
  }
};

TEST(RouteTable, number_sign_matches_the_parent_and_any_number_of_levels_below) {  // 4.7.1.2
  add({"sport/tennis/player1/#"});
  CHECK_EQUAL(std::string("sport/tennis/player1/#"), matching("sport/tennis/player1"));
  CHECK_EQUAL(std::string("sport/tennis/player1/#"), matching("sport/tennis/player1/ranking"));
  CHECK_EQUAL(std::string("sport/tennis/player1/#"), matching("sport/tennis/player1/score/wimbledon"));
  CHECK_EQUAL(std::string("sport/tennis/player1/#"), matching("sport/tennis/player1/"));
  CHECK_EQUAL(std::string(), matching("sport/tennis"));
  CHECK_EQUAL(std::string(), matching("sport/tennis/player10"));
}

TEST(RouteTable, sport_number_sign_matches_sport_itself) {  // 4.7.1.2
  add({"sport/#"});
  CHECK_EQUAL(std::string("sport/#"), matching("sport"));
}

TEST(RouteTable, a_lone_number_sign_matches_every_topic_that_does_not_begin_with_dollar) {  // 4.7.1.2, 4.7.2
  add({"#"});
  CHECK_EQUAL(std::string("#"), matching("a"));
  CHECK_EQUAL(std::string("#"), matching("/"));
  CHECK_EQUAL(std::string("#"), matching("a/$b"));
  CHECK_EQUAL(std::string(), matching("$SYS/uptime"));
}

TEST(RouteTable, plus_matches_exactly_one_level_which_may_be_empty) {  // 4.7.1.3
  add({"sport/tennis/+", "sport/+", "+/+", "/+", "+"});
  CHECK_EQUAL(std::string("sport/tennis/+"), matching("sport/tennis/player1"));
  CHECK_EQUAL(std::string(), matching("sport/tennis/player1/ranking"));
  CHECK_EQUAL(std::string("+/+ sport/+"), matching("sport/"));
  CHECK_EQUAL(std::string("+"), matching("sport"));
  CHECK_EQUAL(std::string("+/+ /+"), matching("/finance"));
}

TEST(RouteTable, plus_and_number_sign_work_together) {  // 4.7.1.3
  add({"+/tennis/#", "+/+/#"});
  CHECK_EQUAL(std::string("+/+/# +/tennis/#"), matching("sport/tennis"));
  CHECK_EQUAL(std::string("+/+/# +/tennis/#"), matching("sport/tennis/a/b"));
  CHECK_EQUAL(std::string(), matching("sport"));
}

TEST(RouteTable, a_leading_wildcard_never_matches_a_topic_that_begins_with_dollar) {  // [MQTT-4.7.2-1]
  add({"#", "+/monitor/Clients", "+", "+/#", "$SYS/#", "$SYS/monitor/+", "$share", "$"});
  CHECK_EQUAL(std::string("$SYS/# $SYS/monitor/+"), matching("$SYS/monitor/Clients"));
  CHECK_EQUAL(std::string("$SYS/#"), matching("$SYS"));
  CHECK_EQUAL(std::string("$share"), matching("$share"));
  CHECK_EQUAL(std::string("$"), matching("$"));
  CHECK_EQUAL(std::string(), matching("$CONTROL/x"));
  CHECK_EQUAL(std::string(), matching("$x"));
}

TEST(RouteTable, case_and_separators_count_and_nothing_is_normalized) {  // [MQTT-4.7.3-4]
  add({"ACCOUNTS", "/finance", "finance", "a//b", "\xc3\xa9", "e\xcc\x81"});
  CHECK_EQUAL(std::string(), matching("Accounts"));
  CHECK_EQUAL(std::string("/finance"), matching("/finance"));
  CHECK_EQUAL(std::string("finance"), matching("finance"));
  CHECK_EQUAL(std::string(), matching("finance/"));
  CHECK_EQUAL(std::string("a//b"), matching("a//b"));
  CHECK_EQUAL(std::string(), matching("a/b"));
  CHECK_EQUAL(std::string("\xc3\xa9"), matching("\xc3\xa9"));
}

TEST(RouteTable, levels_that_agree_in_their_first_bytes_are_told_apart) {
  add({"fourteen bytes", "fourteen bytes+1", "fourteen bytes+2", "fourteen byte"});
  CHECK_EQUAL(std::string("fourteen bytes"), matching("fourteen bytes"));
  CHECK_EQUAL(std::string("fourteen bytes+1"), matching("fourteen bytes+1"));
  CHECK_EQUAL(std::string("fourteen byte"), matching("fourteen byte"));
  CHECK_EQUAL(std::string(), matching("fourteen bytes+3"));
}

TEST(RouteTable, the_bitmap_names_the_reactors_and_a_filter_ends_with_the_last_of_them) {
  const RouteTable::Added first = table.add("a/b", 0);
  const RouteTable::Added second = table.add("a/b", 3);
  CHECK_TRUE(first.created);
  CHECK_FALSE(second.created);
  CHECK(first.filter == second.filter);
  table.match("a/b", 1, found);
  UNSIGNED_LONGS_EQUAL(1, found.matches.size());
  CHECK(found.matches[0].filter == first.filter);
  UNSIGNED_LONGS_EQUAL(0b1001, found.matches[0].reactors);
  UNSIGNED_LONGS_EQUAL(0b1001, found.reactors);
  UNSIGNED_LONGS_EQUAL(0b1001, table.reactors(first.filter, 2));

  CHECK_FALSE(table.remove(first.filter, 0));
  table.match("a/b", 1, found);
  UNSIGNED_LONGS_EQUAL(0b1000, found.reactors);
  CHECK_TRUE(table.remove(first.filter, 3));
  UNSIGNED_LONGS_EQUAL(0, table.filter_count());
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
  CHECK_EQUAL(std::string(), matching("a/b"));
  UNSIGNED_LONGS_EQUAL(0, found.reactors);
}

TEST(RouteTable, the_highest_reactor_has_a_bit_too) {
  RouteTable wide(RouteTable::kMaxReactors, kSeed);
  const FilterId filter = wide.add("a", 63).filter;
  CHECK(wide.reactors(filter, 63) == std::uint64_t{1} << 63);
  CHECK_TRUE(wide.remove(filter, 63));
}

TEST(RouteTable, adding_again_changes_nothing) {
  const FilterId filter = table.add("a", 0).filter;
  table.match("a", 0, found);
  const RouteVersion before = found.version;
  const RouteTable::Added again = table.add("a", 0);
  CHECK(again.filter == filter);
  CHECK_FALSE(again.created);
  CHECK(before == table.version(found.version_slot));
  CHECK_TRUE(table.remove(filter, 0));
}

TEST(RouteTable, a_stale_filter_id_names_nothing_even_when_its_slot_is_used_again) {
  const FilterId old = table.add("a/b", 0).filter;
  CHECK_TRUE(table.remove(old, 0));
  const FilterId next = table.add("c/d", 0).filter;
  UNSIGNED_LONGS_EQUAL(old.slot, next.slot);
  CHECK(old != next);
  CHECK_EQUAL(std::string(), table.filter_text(old, 0));
  UNSIGNED_LONGS_EQUAL(0, table.reactors(old, 0));
  CHECK_FALSE(table.remove(old, 0));
  UNSIGNED_LONGS_EQUAL(1, table.filter_count());
  const FilterId same_text = table.add("a/b", 0).filter;
  CHECK(same_text != old);
}

TEST(RouteTable, ids_that_never_were_are_ignored) {
  table.add("a", 0);
  for (const FilterId id :
       {FilterId{0, 0}, FilterId{0, 1}, FilterId{1, 0}, FilterId{500, 1}, FilterId{UINT32_MAX, 1}}) {
    CHECK_FALSE(table.remove(id, 0));
    CHECK_EQUAL(std::string(), table.filter_text(id, 0));
    UNSIGNED_LONGS_EQUAL(0, table.reactors(id, 0));
  }
  UNSIGNED_LONGS_EQUAL(1, table.filter_count());
}

TEST(RouteTable, removing_for_a_reactor_that_does_not_have_the_filter_changes_nothing) {
  const FilterId filter = table.add("a", 0).filter;
  CHECK_FALSE(table.remove(filter, 1));
  CHECK_EQUAL(std::string("a"), matching("a"));
}

TEST(RouteTable, find_knows_filters_but_not_the_nodes_on_the_way_to_them) {
  const FilterId filter = table.add("a/+/c", 0).filter;
  CHECK(table.find("a/+/c", 0) == filter);
  CHECK_FALSE(static_cast<bool>(table.find("a/+", 0)));
  CHECK_FALSE(static_cast<bool>(table.find("a/b/c", 0)));
  CHECK_FALSE(static_cast<bool>(table.find("a/+/c/d", 0)));
}

TEST(RouteTable, filter_text_gives_back_what_was_added) {
  for (const std::string_view text : {"a", "/", "//", "a/", "/a", "#", "+/+", "$SYS/#", "$", "a/b/c/d/e/f"}) {
    CHECK_EQUAL(std::string(text), table.filter_text(table.add(text, 0).filter, 0));
  }
}

TEST(RouteTable, a_filter_below_or_above_another_survives_its_removal) {
  const FilterId above = table.add("a/b", 0).filter;
  const FilterId below = table.add("a/b/c", 0).filter;
  const FilterId beside = table.add("a/+", 0).filter;
  CHECK_TRUE(table.remove(above, 0));
  CHECK_EQUAL(std::string("a/b/c"), matching("a/b/c"));
  CHECK_EQUAL(std::string("a/+"), matching("a/b"));
  CHECK_TRUE(table.remove(beside, 0));
  CHECK_EQUAL(std::string(), matching("a/b"));
  CHECK_EQUAL(std::string("a/b/c"), matching("a/b/c"));
  CHECK_TRUE(table.remove(below, 0));
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
}

TEST(RouteTable, lists_of_filters_are_added_and_removed_like_single_ones) {
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back("list/" + std::to_string(i) + "/+/x");
  texts.push_back(texts.front());
  const std::vector<std::string_view> filters(texts.begin(), texts.end());
  std::vector<RouteTable::Added> added(filters.size());
  table.add(filters, 2, added);
  UNSIGNED_LONGS_EQUAL(300, table.filter_count());
  CHECK(added.back().filter == added.front().filter);
  CHECK_TRUE(added.front().created);
  CHECK_FALSE(added.back().created);
  std::vector<FilterId> ids;
  for (std::size_t i = 0; i < added.size(); ++i) {
    CHECK_EQUAL(texts[i], table.filter_text(added[i].filter, 0));
    ids.push_back(added[i].filter);
  }
  UNSIGNED_LONGS_EQUAL(300, table.remove(ids, 2));
  UNSIGNED_LONGS_EQUAL(0, table.filter_count());
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
}

TEST(RouteTable, filters_of_two_hundred_levels_come_and_go_in_several_holds) {
  const std::string deep = "a" + repeated("/b", 199);
  const std::string wild = "+" + repeated("/+", 199);
  const FilterId one = table.add(deep, 0).filter;
  const FilterId two = table.add(wild, 1).filter;
  UNSIGNED_LONGS_EQUAL(400, table.node_count());
  table.match(deep, 0, found);
  UNSIGNED_LONGS_EQUAL(2, found.matches.size());
  CHECK_EQUAL(deep, table.filter_text(one, 0));
  CHECK_TRUE(table.remove(one, 0));
  UNSIGNED_LONGS_EQUAL(200, table.node_count());
  CHECK_TRUE(table.remove(two, 1));
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
}

// Tables that walked a filter by recursion have died of this (CVE-2019-11779): 65,535 separators, a small stack.
TEST(RouteTable, the_deepest_filter_that_a_packet_can_hold_needs_no_stack) {
  struct Work {
    RouteTable& table;
    std::string filter = std::string(65535, '/');
    std::size_t matches = 0;
    bool gone = false;
  } work{table};
  const auto run = [](void* context) -> void* {
    auto& w = *static_cast<Work*>(context);
    MatchResult result;
    const FilterId filter = w.table.add(w.filter, 0).filter;
    w.table.match(w.filter, 0, result);
    w.matches = result.matches.size();
    w.gone = w.table.filter_text(filter, 0) == w.filter && w.table.remove(filter, 0);
    return nullptr;
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  LONGS_EQUAL(0, pthread_create(&thread, &attributes, run, &work));
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  UNSIGNED_LONGS_EQUAL(1, work.matches);
  CHECK_TRUE(work.gone);
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
}

TEST(RouteTable, the_longest_level_is_one_level) {
  const std::string level(65535, 'x');
  const FilterId filter = table.add(level, 0).filter;
  CHECK_EQUAL(level, matching(level));
  CHECK_EQUAL(std::string(), matching(level.substr(1)));
  CHECK_TRUE(table.remove(filter, 0));
}

TEST(RouteTable, versions_move_for_the_topics_that_a_change_may_concern_and_for_no_others) {
  const auto version_of = [&](std::string_view topic) {
    table.match(topic, 0, found);
    return found.version;
  };
  // Two first levels of different version slots.
  std::string other = "x";
  table.match("a", 0, found);
  const std::uint16_t slot = found.version_slot;
  for (table.match(other, 0, found); found.version_slot == slot; table.match(other, 0, found)) other += 'x';

  const RouteVersion a = version_of("a/b");
  const RouteVersion b = version_of(other + "/b");
  const FilterId filter = table.add("a/c", 0).filter;
  CHECK_FALSE(version_of("a/b") == a);
  CHECK(version_of(other + "/b") == b);

  const RouteVersion a2 = version_of("a/b");
  table.add("a/c", 1);
  CHECK_FALSE(version_of("a/b") == a2);
  const RouteVersion a3 = version_of("a/b");
  table.remove(filter, 1);
  CHECK_FALSE(version_of("a/b") == a3);

  const RouteVersion b2 = version_of(other + "/b");
  const FilterId wild = table.add("+/c", 0).filter;
  CHECK_FALSE(version_of(other + "/b") == b2);
  const RouteVersion b3 = version_of(other + "/b");
  table.remove(wild, 0);
  CHECK_FALSE(version_of(other + "/b") == b3);
}

TEST(RouteTable, memory_returns_to_where_it_was_when_a_hundred_thousand_filters_have_gone) {
  const std::size_t before = table.footprint();
  std::vector<FilterId> ids;
  for (int i = 0; i < 100000; ++i) {
    ids.push_back(
        table.add("site/" + std::to_string(i % 100) + "/device/" + std::to_string(i) + "/a long last level", 0).filter);
  }
  UNSIGNED_LONGS_EQUAL(100000, table.filter_count());
  CHECK(table.footprint() < before + 100000 * 200);
  std::shuffle(ids.begin(), ids.end(), std::mt19937(7));
  for (const FilterId id : ids) CHECK_TRUE(table.remove(id, 0));
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
  UNSIGNED_LONGS_EQUAL(before, table.footprint());
}

// What grows by doubling would show here as one large step, and move as much.
TEST(RouteTable, no_filter_of_half_a_million_makes_it_grow_by_more_than_a_few_blocks) {
  constexpr std::size_t kCount = 500'000;
  std::size_t most = 0;
  for (std::size_t i = 0; i != kCount; ++i) {
    const std::size_t before = table.footprint();
    table.add("site/" + std::to_string(i % 1000) + "/sensor/" + std::to_string(i), 0);
    most = std::max(most, std::max(table.footprint(), before) - before);
  }
  UNSIGNED_LONGS_EQUAL(kCount, table.filter_count());
  CHECK(most <= 128 * 1024);
  CHECK(table.footprint() / kCount <= 80);
}

TEST(RouteTable, every_filter_is_found_at_every_step_of_growing) {
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    table.add("grow/" + std::to_string(i), 0);
    table.match("grow/" + std::to_string(random() % (i + 1)), 0, found);
    UNSIGNED_LONGS_EQUAL(1, found.matches.size());
  }
}

namespace {

// Filters with their reactors, matched one by one.
class Naive {
 public:
  using Matches = std::map<std::string, std::uint64_t>;

  Matches filters;
  Matches match(const std::string& topic) const {
    Matches found;
    for (const auto& [filter, reactors] : filters) {
      if (mqloop::mqtt::matches(filter, topic)) found[filter] = reactors;
    }
    return found;
  }
};

// `kept` are the bits left of each edge's hash: with 0 all edges collide.
void compare_with_naive(std::uint64_t seed, std::uint32_t kept, int steps) {
  const std::string where = "seed " + std::to_string(seed) + " kept " + std::to_string(kept);
  TopicSamples samples(seed);
  RouteTable table(5, TopicHash({seed, ~seed}, kept));
  const std::size_t footprint = table.footprint();
  Naive naive;
  MatchResult found;
  for (int step = 0; step < steps; ++step) {
    const auto reactor = static_cast<unsigned>(samples.below(5));
    const std::uint64_t bit = std::uint64_t{1} << reactor;
    if (samples.below(3) != 0) {
      const std::string filter = samples.filter();
      const RouteTable::Added added = table.add(filter, reactor);
      CHECK_TEXT(added.created == !naive.filters.contains(filter), where.c_str());
      naive.filters[filter] |= bit;
    } else if (!naive.filters.empty()) {
      auto victim = naive.filters.lower_bound(samples.filter());
      if (victim == naive.filters.end()) victim = naive.filters.begin();
      const bool last = victim->second == bit;
      CHECK_TEXT(table.remove(table.find(victim->first, reactor), reactor) == last, where.c_str());
      victim->second &= ~bit;
      if (victim->second == 0) naive.filters.erase(victim);
    }
    const std::string topic = samples.topic();
    table.match(topic, reactor, found);
    Naive::Matches got;
    for (const RouteMatch& match : found.matches) got[table.filter_text(match.filter, 0)] = match.reactors;
    CHECK_TEXT(got.size() == found.matches.size(), where.c_str());
    CHECK_TEXT(got == naive.match(topic), (where + " topic " + topic).c_str());
    CHECK_TEXT(table.filter_count() == naive.filters.size(), where.c_str());
  }
  for (const auto& [filter, reactors] : naive.filters) {
    for (unsigned reactor = 0; reactor < 5; ++reactor) table.remove(table.find(filter, 0), reactor);
  }
  CHECK_TEXT(table.node_count() == 0, where.c_str());
  CHECK_TEXT(table.footprint() == footprint, where.c_str());
}

}  // namespace

TEST(RouteTable, agrees_with_the_plain_matcher_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) compare_with_naive(seed, UINT32_MAX, 800);
}

TEST(RouteTable, agrees_with_the_plain_matcher_when_hashes_collide) {
  for (std::uint64_t seed = 101; seed <= 104; ++seed) compare_with_naive(seed, 0xc0000000U, 400);
  for (std::uint64_t seed = 201; seed <= 204; ++seed) compare_with_naive(seed, 0, 400);
}
