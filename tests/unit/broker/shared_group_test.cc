// Whose turn it is in the group of a shared subscription: every line of the table in shared_group.h.
#include "core/broker/shared_group.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;

}  // namespace

TEST_GROUP(SharedGroup) {
  SharedGroup group;

  SharedMember& add(std::uint64_t number, std::uint32_t window = 10) {
    SharedMember member;
    member.number = number;
    member.online = true;
    member.window = window;
    group.put(member);
    return *group.find(number);
  }
  // The member's number, its window taken into account; 0: nobody.
  std::uint64_t next(SharedStrategy strategy, std::uint64_t topic = 0, const std::vector<std::uint64_t>& tried = {},
                     SharedGroup::For purpose = SharedGroup::For::kSending) {
    SharedMember* member = group.choose(strategy, purpose, topic, tried);
    if (member == nullptr) return 0;
    ++member->in_flight;
    return member->number;
  }
  std::string row(SharedStrategy strategy, int count) {
    std::string text;
    while (count-- != 0) text += std::to_string(next(strategy)) + ' ';
    return text;
  }
  void away(std::uint64_t number, bool durable) {
    SharedMember member = *group.find(number);
    member.online = false;
    member.durable = durable;
    group.put(member);
  }
};

TEST(SharedGroup, round_robin_gives_each_in_turn) {
  add(1), add(2), add(3);
  STRCMP_EQUAL("1 2 3 1 2 3 1 ", row(SharedStrategy::kRoundRobin, 7).c_str());
}

TEST(SharedGroup, round_robin_passes_over_a_full_window_until_all_are_full) {
  add(1), add(2, 1), add(3);
  STRCMP_EQUAL("1 2 3 1 3 1 3 ", row(SharedStrategy::kRoundRobin, 7).c_str());
  group.find(1)->window = group.find(3)->window = 1;
  STRCMP_EQUAL("1 2 3 1 ", row(SharedStrategy::kRoundRobin, 4).c_str());
}

TEST(SharedGroup, least_inflight_gives_to_the_one_with_the_fewest) {
  add(1).in_flight = 3;
  add(2).in_flight = 1;
  add(3).in_flight = 2;
  STRCMP_EQUAL("2 ", row(SharedStrategy::kLeastInflight, 1).c_str());
  // 2 and 3 have two each now, then all have three: each in turn.
  STRCMP_EQUAL("3 2 3 1 2 ", row(SharedStrategy::kLeastInflight, 5).c_str());
}

TEST(SharedGroup, sticky_stays_with_one_until_it_goes_away_or_is_full) {
  add(1), add(2), add(3);
  STRCMP_EQUAL("1 1 1 ", row(SharedStrategy::kSticky, 3).c_str());
  away(1, true);
  STRCMP_EQUAL("2 2 ", row(SharedStrategy::kSticky, 2).c_str());
  group.find(2)->window = 2;
  STRCMP_EQUAL("3 3 ", row(SharedStrategy::kSticky, 2).c_str());
  group.remove(3);
  STRCMP_EQUAL("2 ", row(SharedStrategy::kSticky, 1).c_str());
}

TEST(SharedGroup, hash_topic_keeps_a_topic_with_its_member_whatever_its_window) {
  for (std::uint64_t number = 1; number != 9; ++number) add(number, 1);
  std::map<std::uint64_t, std::uint64_t> member_of;
  std::set<std::uint64_t> used;
  for (std::uint64_t topic = 0; topic != 200; ++topic)
    used.insert(member_of[topic] = next(SharedStrategy::kHashTopic, topic));
  LONGS_EQUAL(8, used.size());
  for (const auto& [topic, member] : member_of) LONGS_EQUAL(member, next(SharedStrategy::kHashTopic, topic));
  // Who leaves moves its own topics alone, and they come back with it.
  away(5, true);
  for (const auto& [topic, member] : member_of) {
    const std::uint64_t now = next(SharedStrategy::kHashTopic, topic);
    CHECK(member == 5 ? now != 5 : now == member);
  }
  SharedMember back = *group.find(5);
  back.online = true;
  group.put(back);
  for (const auto& [topic, member] : member_of) LONGS_EQUAL(member, next(SharedStrategy::kHashTopic, topic));
}

TEST(SharedGroup, nobody_is_tried_twice) {
  add(1), add(2);
  for (const SharedStrategy strategy : {SharedStrategy::kRoundRobin, SharedStrategy::kLeastInflight,
                                        SharedStrategy::kSticky, SharedStrategy::kHashTopic}) {
    const std::uint64_t first = next(strategy);
    const std::uint64_t second = next(strategy, 0, {first});
    CHECK(second != 0 && second != first);
    LONGS_EQUAL(0, next(strategy, 0, {first, second}));
  }
}

TEST(SharedGroup, who_is_away_is_sent_nothing_and_queues_if_its_session_stays) {
  add(1), add(2);
  away(1, false);
  away(2, true);
  LONGS_EQUAL(0, next(SharedStrategy::kRoundRobin));
  LONGS_EQUAL(2, next(SharedStrategy::kRoundRobin, 0, {}, SharedGroup::For::kQueueing));
  LONGS_EQUAL(0, next(SharedStrategy::kRoundRobin, 0, {2}, SharedGroup::For::kQueueing));
}

TEST(SharedGroup, who_is_online_queues_when_nobody_else_does) {
  add(1);
  LONGS_EQUAL(1, next(SharedStrategy::kRoundRobin, 0, {}, SharedGroup::For::kQueueing));
  add(2);
  away(2, true);
  LONGS_EQUAL(2, next(SharedStrategy::kRoundRobin, 0, {}, SharedGroup::For::kQueueing));
}

TEST(SharedGroup, a_change_of_a_member_keeps_what_it_has_in_flight) {
  add(1).in_flight = 4;
  add(1, 7);
  LONGS_EQUAL(4, group.find(1)->in_flight);
  LONGS_EQUAL(7, group.find(1)->window);
  LONGS_EQUAL(1, group.size());
}

TEST(SharedGroup, is_durable_while_some_member_is) {
  add(1), add(2);
  CHECK(!group.is_durable());
  away(1, true);
  away(2, true);
  CHECK(group.is_durable());
  CHECK(group.remove(2));
  CHECK(group.is_durable());
  CHECK(group.remove(1));
  CHECK(!group.is_durable());
  CHECK(group.empty());
  CHECK(!group.remove(1));
}
