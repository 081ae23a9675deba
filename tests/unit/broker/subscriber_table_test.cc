#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/broker/subscriber_table.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::broker;

namespace {

constexpr FilterId kFilter{7, 1};
constexpr FilterId kOther{8, 2};

Subscriber of(std::uint32_t session, std::uint8_t options = 0) {
  Subscriber subscriber;
  subscriber.session = session;
  subscriber.options = options;
  return subscriber;
}

}  // namespace

TEST_GROUP(SubscriberTable) {
  SubscriberTable table;

  std::set<std::uint32_t> sessions(FilterId filter) const {
    std::set<std::uint32_t> found;
    for (const Subscriber& subscriber : table.subscribers(filter)) found.insert(subscriber.session);
    UNSIGNED_LONGS_EQUAL(found.size(), table.subscribers(filter).size());
    return found;
  }
};

TEST(SubscriberTable, the_first_and_the_last_subscriber_of_a_filter_are_told) {
  CHECK(table.put(kFilter, of(1)) == SubscriberTable::Put::kFirst);
  CHECK(table.put(kFilter, of(2)) == SubscriberTable::Put::kAdded);
  CHECK_FALSE(table.remove(kFilter, 1)->last);
  CHECK_TRUE(table.remove(kFilter, 2)->last);
  UNSIGNED_LONGS_EQUAL(0, table.filter_count());
  UNSIGNED_LONGS_EQUAL(0, table.subscriber_count());
  CHECK_TRUE(table.subscribers(kFilter).empty());
}

TEST(SubscriberTable, the_same_filter_again_replaces_the_subscription) {  // [MQTT-3.8.4-3]
  table.put(kFilter, of(1, 1));
  table.put(kFilter, of(2, 1));
  Subscriber again = of(1, 2 | Subscriber::kNoLocal | Subscriber::kRetainAsPublished);
  again.subscription_identifier = 99;
  CHECK(table.put(kFilter, again) == SubscriberTable::Put::kReplaced);
  UNSIGNED_LONGS_EQUAL(2, table.subscribers(kFilter).size());
  const Subscriber* found = table.find(kFilter, 1);
  UNSIGNED_LONGS_EQUAL(2, found->qos());
  CHECK_TRUE(found->no_local());
  CHECK_TRUE(found->retain_as_published());
  UNSIGNED_LONGS_EQUAL(99, found->subscription_identifier);
  UNSIGNED_LONGS_EQUAL(1, table.find(kFilter, 2)->qos());
}

TEST(SubscriberTable, what_was_removed_is_handed_back_with_its_cookie) {
  Subscriber subscriber = of(5, 1);
  subscriber.cookie = 1234;
  table.put(kFilter, subscriber);
  table.find(kFilter, 5)->cookie = 4321;
  const auto removed = table.remove(kFilter, 5);
  UNSIGNED_LONGS_EQUAL(4321, removed->subscriber.cookie);
  UNSIGNED_LONGS_EQUAL(1, removed->subscriber.qos());
}

TEST(SubscriberTable, who_is_not_there_is_not_found_and_not_removed) {
  CHECK(table.find(kFilter, 1) == nullptr);
  CHECK_FALSE(table.remove(kFilter, 1).has_value());
  table.put(kFilter, of(1));
  CHECK(table.find(kFilter, 2) == nullptr);
  CHECK_FALSE(table.remove(kFilter, 2).has_value());
  table.put(kFilter, of(3));
  CHECK(table.find(kFilter, 2) == nullptr);
  CHECK_FALSE(table.remove(kFilter, 2).has_value());
  UNSIGNED_LONGS_EQUAL(2, table.subscriber_count());
}

TEST(SubscriberTable, a_stale_filter_id_delivers_nothing) {
  table.put(kFilter, of(1));
  const FilterId stale{kFilter.slot, kFilter.generation + 1};
  CHECK_TRUE(table.subscribers(stale).empty());
  CHECK(table.find(stale, 1) == nullptr);
  CHECK_FALSE(table.remove(stale, 1).has_value());
  CHECK_TRUE(table.subscribers(FilterId()).empty());
  UNSIGNED_LONGS_EQUAL(1, table.subscribers(kFilter).size());
}

TEST(SubscriberTable, one_subscriber_to_a_filter_takes_no_allocation_of_its_own) {
  table.put(FilterId{1, 1}, of(1));
  const std::size_t before = table.footprint();
  for (std::uint32_t slot = 2; slot <= 10; ++slot) table.put(FilterId{slot, 1}, of(1));
  UNSIGNED_LONGS_EQUAL(before, table.footprint());
}

TEST(SubscriberTable, filters_do_not_mix) {
  table.put(kFilter, of(1));
  table.put(kOther, of(2));
  table.put(kOther, of(1));
  CHECK(sessions(kFilter) == std::set<std::uint32_t>{1});
  CHECK(sessions(kOther) == (std::set<std::uint32_t>{1, 2}));
}

TEST(SubscriberTable, a_hundred_thousand_subscribers_of_one_filter_come_and_go_and_leave_no_memory_behind) {
  constexpr std::uint32_t kCount = 100000;
  const std::size_t before = table.footprint();
  for (std::uint32_t session = 0; session < kCount; ++session) table.put(kFilter, of(session));
  UNSIGNED_LONGS_EQUAL(kCount, table.subscribers(kFilter).size());
  std::vector<std::uint32_t> order(kCount);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(5));
  const std::size_t largest = table.footprint();
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const auto removed = table.remove(kFilter, order[i]);
    UNSIGNED_LONGS_EQUAL(order[i], removed->subscriber.session);
    CHECK(removed->last == (i + 1 == kCount));
    if (i == kCount - kCount / 100) CHECK(table.footprint() < largest / 8);
  }
  UNSIGNED_LONGS_EQUAL(before, table.footprint());
}

TEST(SubscriberTable, agrees_with_a_map_of_maps_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const std::string where = "seed " + std::to_string(seed);
    std::mt19937_64 random(seed);
    SubscriberTable tested;
    const std::size_t footprint = tested.footprint();
    std::map<std::uint32_t, std::map<std::uint32_t, std::uint32_t>> model;  // slot -> session -> identifier
    std::size_t subscribers = 0;
    for (int step = 0; step < 20000; ++step) {
      // Few filters with long lists, many with one; growing and shrinking in turn.
      const auto slot = static_cast<std::uint32_t>(random() % 4 == 0 ? random() % 1000 : random() % 3);
      const auto session = static_cast<std::uint32_t>(random() % 300);
      const FilterId filter{slot, slot + 1};
      if (random() % 10 < (step / 4000 % 2 == 0 ? 8U : 2U)) {
        Subscriber subscriber = of(session);
        subscriber.subscription_identifier = static_cast<std::uint32_t>(step);
        const auto put = tested.put(filter, subscriber);
        const bool first = model[slot].empty();
        const bool added = model[slot].insert_or_assign(session, step).second;
        subscribers += added ? 1 : 0;
        const auto expected = first   ? SubscriberTable::Put::kFirst
                              : added ? SubscriberTable::Put::kAdded
                                      : SubscriberTable::Put::kReplaced;
        CHECK_TEXT(put == expected, where.c_str());
      } else {
        const auto removed = tested.remove(filter, session);
        const bool expected = model[slot].erase(session) == 1;
        subscribers -= expected ? 1 : 0;
        CHECK_TEXT(removed.has_value() == expected, where.c_str());
        if (expected) CHECK_TEXT(removed->last == model[slot].empty(), where.c_str());
      }
      CHECK_TEXT((tested.find(filter, session) != nullptr) == model[slot].contains(session), where.c_str());
      CHECK_TEXT(tested.subscribers(filter).size() == model[slot].size(), where.c_str());
      if (step % 40 != 0) continue;
      std::map<std::uint32_t, std::uint32_t> got;
      for (const Subscriber& s : tested.subscribers(filter)) got[s.session] = s.subscription_identifier;
      CHECK_TEXT(got == model[slot], where.c_str());
      CHECK_TEXT(tested.subscriber_count() == subscribers, where.c_str());
    }
    for (const auto& [slot, list] : model) {
      for (const auto& [session, identifier] : list) {
        UNSIGNED_LONGS_EQUAL(identifier, tested.find(FilterId{slot, slot + 1}, session)->subscription_identifier);
        tested.remove(FilterId{slot, slot + 1}, session);
      }
    }
    UNSIGNED_LONGS_EQUAL(footprint, tested.footprint());
  }
}

TEST_GROUP(SubscriberCursor) {
  SubscriberTable table;

  static std::vector<std::uint32_t> visit(SubscriberCursor & cursor, std::size_t most) {
    std::vector<std::uint32_t> visited;
    for (const Subscriber& subscriber : cursor.next(most)) visited.push_back(subscriber.session);
    return visited;
  }
};

TEST(SubscriberCursor, visits_everybody_once_in_slices) {
  for (std::uint32_t session = 0; session < 10; ++session) table.put(kFilter, of(session));
  SubscriberCursor cursor(table, kFilter);
  UNSIGNED_LONGS_EQUAL(10, cursor.left());
  std::set<std::uint32_t> visited;
  for (const std::size_t size : {4U, 4U, 2U, 0U}) {
    const auto slice = visit(cursor, 4);
    UNSIGNED_LONGS_EQUAL(size, slice.size());
    visited.insert(slice.begin(), slice.end());
  }
  UNSIGNED_LONGS_EQUAL(10, visited.size());
}

TEST(SubscriberCursor, of_a_filter_without_subscribers_visits_nobody) {
  SubscriberCursor cursor(table, kFilter);
  table.put(kFilter, of(1));
  CHECK_TRUE(visit(cursor, 10).empty());
}

TEST(SubscriberCursor, removing_somebody_visited_loses_nobody_to_be_visited) {
  for (std::uint32_t session = 0; session < 4; ++session) table.put(kFilter, of(session));
  SubscriberCursor cursor(table, kFilter);
  std::vector<std::uint32_t> visited = visit(cursor, 2);
  table.remove(kFilter, visited[0]);
  const auto rest = visit(cursor, 10);
  visited.insert(visited.end(), rest.begin(), rest.end());
  CHECK(std::set<std::uint32_t>(visited.begin(), visited.end()) == (std::set<std::uint32_t>{0, 1, 2, 3}));
  UNSIGNED_LONGS_EQUAL(4, visited.size());
}

TEST(SubscriberCursor, who_comes_later_is_not_visited_even_when_others_leave) {
  for (std::uint32_t session = 0; session < 4; ++session) table.put(kFilter, of(session));
  SubscriberCursor cursor(table, kFilter);
  table.put(kFilter, of(100));
  table.remove(kFilter, 0);
  table.remove(kFilter, 1);
  table.put(kFilter, of(1));
  const auto visited = visit(cursor, 10);
  CHECK(std::set<std::uint32_t>(visited.begin(), visited.end()) == (std::set<std::uint32_t>{2, 3}));
}

TEST(SubscriberCursor, ends_when_the_filter_loses_everybody_and_stays_at_its_end) {
  table.put(kFilter, of(1));
  table.put(kFilter, of(2));
  SubscriberCursor cursor(table, kFilter);
  table.remove(kFilter, 1);
  table.remove(kFilter, 2);
  table.put(kFilter, of(3));
  CHECK_TRUE(visit(cursor, 10).empty());
}

TEST(SubscriberCursor, several_cursors_keep_their_promises_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const std::string where = "seed " + std::to_string(seed);
    std::mt19937_64 random(seed);
    SubscriberTable tested;
    std::set<std::uint32_t> present;
    std::uint32_t last = 0;
    const auto arrive = [&] {
      tested.put(kFilter, of(++last));
      present.insert(last);
    };
    struct Visitor {
      std::unique_ptr<SubscriberCursor> cursor;
      std::set<std::uint32_t> expected;
    };
    std::vector<Visitor> visitors;
    while (present.size() < 1 + seed % 100) arrive();
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t what = random() % 8;
      if (what < 3 || present.empty()) {
        arrive();
      } else if (what < 6) {
        auto leaves = present.lower_bound(static_cast<std::uint32_t>(random() % (last + 1)));
        if (leaves == present.end()) leaves = present.begin();
        for (Visitor& visitor : visitors) visitor.expected.erase(*leaves);
        tested.remove(kFilter, *leaves);
        present.erase(leaves);
      } else if (what == 6 && visitors.size() < 4) {
        visitors.push_back({std::make_unique<SubscriberCursor>(tested, kFilter), present});
      } else if (!visitors.empty()) {
        Visitor& visitor = visitors[random() % visitors.size()];
        for (const std::uint32_t session : visit(*visitor.cursor, random() % 8)) {
          CHECK_TEXT(visitor.expected.erase(session) == 1, where.c_str());
        }
        CHECK_TEXT(visitor.cursor->left() == visitor.expected.size(), where.c_str());
        if (visitor.expected.empty()) std::erase_if(visitors, [&](const Visitor& v) { return &v == &visitor; });
      }
    }
    for (Visitor& visitor : visitors) {
      const auto rest = visit(*visitor.cursor, SIZE_MAX);
      CHECK_TEXT(std::set<std::uint32_t>(rest.begin(), rest.end()) == visitor.expected, where.c_str());
      CHECK_TEXT(rest.size() == visitor.expected.size(), where.c_str());
    }
    for (const std::uint32_t session : present) CHECK_TEXT(tested.find(kFilter, session) != nullptr, where.c_str());
  }
}
