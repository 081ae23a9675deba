#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/retained_store.h"
#include "core/mqtt/topic.h"
#include "tests/unit/broker/topic_samples.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::broker;
using mqloop::HashSeed;
using mqloop::Message;
using mqloop::Ref;

namespace {

Ref<const Message> message(std::string_view topic, std::string_view payload = "x") {
  Message::Content content;
  content.topic = topic;
  content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  content.retain = true;
  return Message::create(content);
}

std::string payload_of(const Ref<const Message>& message) {
  if (!message) return "(none)";
  return {reinterpret_cast<const char*>(message->payload().data()), message->payload().size()};
}

std::set<std::string> topics_of(const std::vector<Retained>& list) {
  std::set<std::string> topics;
  for (const Retained& retained : list) topics.emplace(retained.message->topic());
  UNSIGNED_LONGS_EQUAL(list.size(), topics.size());
  return topics;
}

std::set<std::string> enumerate(RetainedCursor& cursor, std::size_t budget) {
  std::vector<Retained> list;
  while (cursor.next(budget, list)) {
  }
  return topics_of(list);
}

std::set<std::string> matching(RetainedStore& store, std::string_view filter, std::size_t budget = 3) {
  RetainedCursor cursor(store, filter, 0);
  return enumerate(cursor, budget);
}

using Topics = std::set<std::string>;

}  // namespace

TEST_GROUP(RetainedStore) { RetainedStore store{2, HashSeed{11, 22}}; };

TEST(RetainedStore, a_new_message_replaces_the_old_one_of_its_topic) {  // [MQTT-3.3.1-5]
  CHECK_FALSE(static_cast<bool>(store.store(message("a/b", "one"), 0).previous));
  const RetainedStore::Change change = store.store(message("a/b", "two"), 1);
  CHECK_EQUAL(std::string("one"), payload_of(change.previous));
  CHECK_EQUAL(std::string("two"), payload_of(store.get("a/b", 0).message));
  UNSIGNED_LONGS_EQUAL(1, store.count());
}

TEST(RetainedStore, clear_removes_the_message_and_its_nodes) {  // [MQTT-3.3.1-6]
  const std::size_t before = store.footprint();
  store.store(message("a/b/c", "one"), 0);
  CHECK_EQUAL(std::string("one"), payload_of(store.clear("a/b/c", 1).previous));
  CHECK_FALSE(static_cast<bool>(store.get("a/b/c", 0).message));
  UNSIGNED_LONGS_EQUAL(0, store.count());
  UNSIGNED_LONGS_EQUAL(0, store.bytes());
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
  UNSIGNED_LONGS_EQUAL(before, store.footprint());
}

TEST(RetainedStore, clearing_what_is_not_there_is_harmless) {
  store.store(message("a/b"), 0);
  CHECK_FALSE(static_cast<bool>(store.clear("a", 0).previous));
  CHECK_FALSE(static_cast<bool>(store.clear("a/b/c", 0).previous));
  CHECK_FALSE(static_cast<bool>(store.clear("x", 0).previous));
  UNSIGNED_LONGS_EQUAL(1, store.count());
  UNSIGNED_LONGS_EQUAL(2, store.node_count());
}

TEST(RetainedStore, a_topic_on_the_way_to_another_has_a_message_of_its_own) {
  store.store(message("a/b/c", "below"), 0);
  CHECK_FALSE(static_cast<bool>(store.get("a/b", 0).message));
  store.store(message("a/b", "above"), 0);
  UNSIGNED_LONGS_EQUAL(3, store.node_count());
  store.clear("a/b/c", 0);
  CHECK_EQUAL(std::string("above"), payload_of(store.get("a/b", 0).message));
  UNSIGNED_LONGS_EQUAL(2, store.node_count());
  store.clear("a/b", 0);
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}

TEST(RetainedStore, every_change_draws_the_next_sequence) {
  UNSIGNED_LONGS_EQUAL(0, store.last_sequence());
  UNSIGNED_LONGS_EQUAL(1, store.store(message("a"), 0).sequence);
  UNSIGNED_LONGS_EQUAL(2, store.store(message("b"), 0).sequence);
  UNSIGNED_LONGS_EQUAL(3, store.store(message("a"), 1).sequence);
  UNSIGNED_LONGS_EQUAL(4, store.clear("b", 1).sequence);
  UNSIGNED_LONGS_EQUAL(5, store.clear("b", 1).sequence);
  UNSIGNED_LONGS_EQUAL(5, store.last_sequence());
  UNSIGNED_LONGS_EQUAL(3, store.get("a", 0).sequence);
}

TEST(RetainedStore, bytes_are_the_footprints_of_the_messages_held) {
  const Ref<const Message> small = message("a", "1");
  const Ref<const Message> large = message("b", std::string(1000, 'x'));
  store.store(small, 0);
  store.store(large, 0);
  UNSIGNED_LONGS_EQUAL(small->footprint() + large->footprint(), store.bytes());
  store.store(message("b", "22"), 0);
  UNSIGNED_LONGS_EQUAL(2 * small->footprint() + 1, store.bytes());
}

TEST(RetainedStore, filters_find_the_messages_that_they_match) {
  for (const char* topic : {"sport", "sport/", "sport/tennis", "sport/tennis/player1", "/finance", "a//b", "news"}) {
    store.store(message(topic), 0);
  }
  CHECK(matching(store, "sport/tennis") == Topics{"sport/tennis"});
  CHECK(matching(store, "sport/#") == (Topics{"sport", "sport/", "sport/tennis", "sport/tennis/player1"}));
  CHECK(matching(store, "sport/+") == (Topics{"sport/", "sport/tennis"}));
  CHECK(matching(store, "+") == (Topics{"sport", "news"}));
  CHECK(matching(store, "+/+") == (Topics{"sport/", "sport/tennis", "/finance"}));
  CHECK(matching(store, "+/tennis/#") == (Topics{"sport/tennis", "sport/tennis/player1"}));
  CHECK(matching(store, "a/+/b") == Topics{"a//b"});
  CHECK(matching(store, "/+") == Topics{"/finance"});
  CHECK(matching(store, "nothing/#").empty());
  UNSIGNED_LONGS_EQUAL(7, matching(store, "#").size());
}

TEST(RetainedStore, a_leading_wildcard_finds_no_topic_that_begins_with_dollar) {  // [MQTT-4.7.2-1]
  for (const char* topic : {"$SYS/a", "$SYS", "a/$SYS", "a"}) store.store(message(topic), 0);
  CHECK(matching(store, "#") == (Topics{"a", "a/$SYS"}));
  CHECK(matching(store, "+") == Topics{"a"});
  CHECK(matching(store, "+/a").empty());
  CHECK(matching(store, "$SYS/#") == (Topics{"$SYS", "$SYS/a"}));
  CHECK(matching(store, "$SYS/+") == Topics{"$SYS/a"});
}

TEST(RetainedStore, a_cursor_over_everything_finds_what_begins_with_dollar_too) {
  for (const char* topic : {"$SYS/a", "$SYS", "b/c", "a"}) store.store(message(topic), 0);
  for (const std::size_t budget : {1U, 2U, 100U}) {
    RetainedCursor cursor = RetainedCursor::everything(store, 0);
    CHECK(enumerate(cursor, budget) == (Topics{"$SYS", "$SYS/a", "a", "b/c"}));
  }
}

TEST(RetainedStore, a_cursor_over_an_empty_store_ends_at_once) {
  RetainedCursor cursor(store, "#", 0);
  std::vector<Retained> list;
  CHECK_FALSE(cursor.next(10, list));
  CHECK_FALSE(cursor.next(10, list));
  RetainedCursor everything = RetainedCursor::everything(store, 0);
  CHECK(enumerate(everything, 10).empty());
}

TEST(RetainedStore, a_slice_visits_no_more_nodes_than_its_budget) {
  for (int i = 0; i < 100; ++i) store.store(message("t/" + std::to_string(i)), 0);
  RetainedCursor cursor(store, "#", 0);
  std::vector<Retained> list;
  std::size_t before = 0;
  while (cursor.next(7, list)) {
    CHECK(list.size() - before <= 7);
    before = list.size();
  }
  UNSIGNED_LONGS_EQUAL(100, topics_of(list).size());
}

TEST(RetainedStore, topics_of_two_hundred_levels_come_and_go_in_several_holds) {
  std::string deep = "a";
  for (int i = 1; i < 200; ++i) deep += "/b";
  store.store(message(deep), 0);
  UNSIGNED_LONGS_EQUAL(200, store.node_count());
  CHECK(matching(store, "#") == Topics{deep});
  CHECK(matching(store, deep) == Topics{deep});
  store.clear(deep, 0);
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}

TEST(RetainedStore, the_node_that_a_cursor_stopped_at_outlives_its_message) {
  for (const char* topic : {"a/1", "a/2", "a/3"}) store.store(message(topic), 0);
  RetainedCursor cursor(store, "a/+", 0);
  std::vector<Retained> list;
  CHECK_TRUE(cursor.next(2, list));  // "a" and the first of its children
  UNSIGNED_LONGS_EQUAL(1, list.size());
  store.clear(list[0].message->topic(), 0);
  UNSIGNED_LONGS_EQUAL(4, store.node_count());
  while (cursor.next(2, list)) {
  }
  UNSIGNED_LONGS_EQUAL(3, topics_of(list).size());
  UNSIGNED_LONGS_EQUAL(3, store.node_count());
}

TEST(RetainedStore, a_cursor_given_up_leaves_nothing_pinned) {
  store.store(message("a/b/c"), 0);
  {
    RetainedCursor cursor(store, "#", 1);
    std::vector<Retained> list;
    for (int i = 0; i < 3; ++i) CHECK_TRUE(cursor.next(1, list));
    store.clear("a/b/c", 0);
    UNSIGNED_LONGS_EQUAL(3, store.node_count());
  }
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}

TEST(RetainedStore, two_cursors_may_stop_at_one_node) {
  store.store(message("a"), 0);
  std::vector<Retained> list;
  RetainedCursor one(store, "a", 0);
  auto two = std::make_unique<RetainedCursor>(store, "#", 1);
  CHECK_TRUE(one.next(1, list));
  CHECK_TRUE(two->next(1, list));
  store.clear("a", 0);
  two.reset();
  UNSIGNED_LONGS_EQUAL(1, store.node_count());
  CHECK_FALSE(one.next(1, list));
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}

TEST(RetainedStore, a_sweep_removes_what_the_predicate_names_and_nothing_else) {
  for (int i = 0; i < 1000; ++i) {
    const std::string topic = (i % 3 == 0 ? "$SYS/" : "t/") + std::to_string(i);
    store.store(message(topic, i % 2 == 0 ? "old" : "new"), 0);
  }
  RetainedCursor cursor = RetainedCursor::everything(store, 0);
  std::vector<Ref<const Message>> removed;
  const auto is_old = [](const Message& m) { return m.payload().front() == 'o'; };
  std::size_t slices = 1;
  while (store.sweep(cursor, is_old, 50, removed)) ++slices;
  CHECK(slices > 1000 / 50);
  UNSIGNED_LONGS_EQUAL(500, removed.size());
  for (const Ref<const Message>& m : removed) CHECK_EQUAL(std::string("old"), payload_of(m));
  UNSIGNED_LONGS_EQUAL(500, store.count());
  UNSIGNED_LONGS_EQUAL(502, store.node_count());
  RetainedCursor again = RetainedCursor::everything(store, 0);
  while (store.sweep(
      again, [](const Message&) { return true; }, 1, removed)) {
  }
  UNSIGNED_LONGS_EQUAL(0, store.count());
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}

TEST(RetainedStore, memory_returns_to_where_it_was_when_a_hundred_thousand_topics_have_gone) {
  const std::size_t before = store.footprint();
  std::vector<std::string> topics;
  for (int i = 0; i < 100000; ++i) topics.push_back("site/" + std::to_string(i % 100) + "/device/" + std::to_string(i));
  for (const std::string& topic : topics) store.store(message(topic), 0);
  UNSIGNED_LONGS_EQUAL(100000, store.count());
  CHECK(store.footprint() < before + 100000 * 120);
  std::shuffle(topics.begin(), topics.end(), std::mt19937(7));
  for (const std::string& topic : topics) store.clear(topic, 0);
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
  UNSIGNED_LONGS_EQUAL(0, store.bytes());
  UNSIGNED_LONGS_EQUAL(before, store.footprint());
}

TEST(RetainedStore, agrees_with_a_map_and_the_plain_matcher_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const std::string where = "seed " + std::to_string(seed);
    TopicSamples samples(seed);
    RetainedStore tested(2, TopicHash({seed, seed}, seed % 4 == 0 ? 0U : UINT32_MAX));
    const std::size_t footprint = tested.footprint();
    std::map<std::string, std::string> model;
    for (int step = 0; step < 600; ++step) {
      const std::string topic = samples.topic();
      if (samples.below(3) != 0) {
        tested.store(message(topic, std::to_string(step)), 0);
        model[topic] = std::to_string(step);
      } else {
        auto victim = model.lower_bound(topic);
        if (victim == model.end()) continue;
        tested.clear(victim->first, 1);
        model.erase(victim);
      }
      const std::string filter = samples.filter();
      std::set<std::string> expected;
      for (const auto& [name, payload] : model) {
        if (mqloop::mqtt::matches(filter, name)) expected.insert(name);
      }
      CHECK_TEXT(matching(tested, filter, 1 + samples.below(20)) == expected, (where + " filter " + filter).c_str());
      CHECK_TEXT(payload_of(tested.get(topic, 0).message) == (model.contains(topic) ? model[topic] : "(none)"),
                 where.c_str());
      CHECK_TEXT(tested.count() == model.size(), where.c_str());
    }
    for (const auto& [name, payload] : model) tested.clear(name, 0);
    CHECK_TEXT(tested.node_count() == 0 && tested.footprint() == footprint, where.c_str());
  }
}

// What is there all the time is found once, whatever comes and goes between the slices.
TEST(RetainedStore, a_cursor_misses_nothing_that_stays_while_other_topics_change) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::string where = "seed " + std::to_string(seed);
    TopicSamples samples(seed);
    RetainedStore tested(1, HashSeed{seed, 0});
    std::set<std::string> stays;
    std::set<std::string> changes;
    for (int i = 0; i < 60; ++i) stays.insert(samples.topic());
    for (const std::string& topic : stays) tested.store(message(topic), 0);
    const std::string filter = samples.filter();
    std::set<std::string> expected;
    for (const std::string& topic : stays) {
      if (mqloop::mqtt::matches(filter, topic)) expected.insert(topic);
    }
    {
      RetainedCursor cursor(tested, filter, 0);
      std::vector<Retained> list;
      bool more = true;
      while (more) {
        for (std::uint64_t i = samples.below(20); i > 0; --i) {
          const std::string topic = samples.topic();
          if (stays.contains(topic)) continue;
          if (samples.below(2) == 0) {
            tested.store(message(topic), 0);
            changes.insert(topic);
          } else {
            tested.clear(topic, 0);
          }
        }
        more = cursor.next(1 + samples.below(4), list);
      }
      std::multiset<std::string> found;
      for (const Retained& retained : list) found.emplace(retained.message->topic());
      for (const std::string& topic : expected) CHECK_TEXT(found.count(topic) == 1, where.c_str());
      for (const std::string& topic : found) CHECK_TEXT(mqloop::mqtt::matches(filter, topic), where.c_str());
    }
    for (const std::string& topic : stays) tested.clear(topic, 0);
    for (const std::string& topic : changes) tested.clear(topic, 0);
    CHECK_TEXT(tested.node_count() == 0, where.c_str());
  }
}
