#include <string>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/topic_alias.h"

namespace mqloop::mqtt::test {

TEST_GROUP(InboundAliases) {
  InboundTopicAliases aliases{3};
  Fault resolve(std::uint16_t alias, std::string_view topic, std::string_view expected) {
    const Fault fault = aliases.resolve(alias, topic);
    if (fault == Fault::kNone) CHECK(topic == expected);
    return fault;
  }
};

TEST(InboundAliases, stand_for_the_last_topic_that_came_with_them) {
  CHECK(resolve(3, "a", "a") == Fault::kNone);
  CHECK(resolve(3, "", "a") == Fault::kNone);
  CHECK(resolve(1, "b", "b") == Fault::kNone);
  CHECK(resolve(3, "c/d", "c/d") == Fault::kNone);
  CHECK(resolve(3, "", "c/d") == Fault::kNone);
  CHECK(resolve(1, "", "b") == Fault::kNone);
}

TEST(InboundAliases, that_are_0_too_large_or_unknown_are_refused_each_with_its_code) {
  CHECK(resolve(0, "a", "a") == Fault::kTopicAliasZero);
  CHECK(resolve(4, "a", "a") == Fault::kTopicAliasTooLarge);
  CHECK(resolve(4, "", "") == Fault::kTopicAliasTooLarge);
  CHECK(resolve(2, "", "") == Fault::kTopicAliasUnknown);
  CHECK(resolve(3, "x", "x") == Fault::kNone);
  CHECK(resolve(2, "", "") == Fault::kTopicAliasUnknown);
  LONGS_EQUAL(0x94, static_cast<int>(verdict_on(Fault::kTopicAliasTooLarge).code));
  LONGS_EQUAL(0x82, static_cast<int>(verdict_on(Fault::kTopicAliasUnknown).code));
}

TEST(InboundAliases, of_a_server_that_takes_none_are_too_large) {
  InboundTopicAliases none;
  std::string_view topic = "a";
  CHECK(none.resolve(1, topic) == Fault::kTopicAliasTooLarge);
}

TEST_GROUP(OutboundAliases){};

TEST(OutboundAliases, come_with_their_topic_once_and_alone_after_that) {
  OutboundTopicAliases aliases(2);
  auto choice = aliases.choose("a");
  LONGS_EQUAL(1, choice.alias);
  CHECK(choice.send_topic);
  choice = aliases.choose("a");
  LONGS_EQUAL(1, choice.alias);
  CHECK_FALSE(choice.send_topic);
  LONGS_EQUAL(2, aliases.choose("b").alias);
}

TEST(OutboundAliases, are_not_used_when_the_peer_takes_none) {
  OutboundTopicAliases aliases;
  LONGS_EQUAL(0, aliases.choose("a").alias);
  CHECK(aliases.choose("a").send_topic);
}

TEST(OutboundAliases, never_pass_the_maximum_of_the_peer_nor_their_own) {
  OutboundTopicAliases few(3);
  OutboundTopicAliases many(65535);
  LONGS_EQUAL(OutboundTopicAliases::kMaximumAliases, many.maximum());
  for (int i = 0; i < 1000; ++i) {
    CHECK(few.choose(std::to_string(i)).alias <= 3);
    CHECK(many.choose(std::to_string(i)).alias <= OutboundTopicAliases::kMaximumAliases);
  }
}

TEST(OutboundAliases, stay_with_a_frequent_topic_while_rare_ones_pass) {
  OutboundTopicAliases aliases(2);
  (void)aliases.choose("often");
  int kept = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto choice = aliases.choose("often");
    kept += choice.alias != 0 && !choice.send_topic ? 1 : 0;
    (void)aliases.choose("rare" + std::to_string(i));
  }
  LONGS_EQUAL(1000, kept);
}

TEST(OutboundAliases, move_to_the_topics_that_are_used_now) {
  OutboundTopicAliases aliases(2);
  for (int i = 0; i < 100; ++i) {
    (void)aliases.choose("old1");
    (void)aliases.choose("old2");
  }
  for (int i = 0; i < 10; ++i) {
    (void)aliases.choose("new1");
    (void)aliases.choose("new2");
  }
  CHECK_FALSE(aliases.choose("new1").send_topic);
  CHECK_FALSE(aliases.choose("new2").send_topic);
}

TEST(OutboundAliases, what_the_peer_was_told_is_what_we_mean) {
  // The receiver's table follows every choice: an alias alone must always resolve to the topic that was meant.
  OutboundTopicAliases ours(4);
  InboundTopicAliases theirs(4);
  for (int i = 0; i < 10'000; ++i) {
    const std::string topic = "t" + std::to_string((i * i + i / 7) % 11);
    const auto choice = ours.choose(topic);
    if (choice.alias == 0) continue;
    if (i % 13 == 0 && choice.send_topic) {  // this PUBLISH is dropped on the way out
      ours.forget(choice.alias);
      continue;
    }
    std::string_view sent = choice.send_topic ? std::string_view(topic) : std::string_view();
    CHECK(theirs.resolve(choice.alias, sent) == Fault::kNone);
    CHECK(sent == topic);
  }
}

}  // namespace mqloop::mqtt::test
