#include <random>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/topic.h"

namespace mqloop::mqtt::test {
namespace {

void expect(Fault fault, std::uint32_t column, const TopicCheck& check, const std::string& what) {
  LONGS_EQUAL_TEXT(static_cast<int>(fault), static_cast<int>(check.fault), what.c_str());
  LONGS_EQUAL_TEXT(column, check.column, what.c_str());
}

std::vector<std::string> levels_of(std::string_view topic) {
  std::vector<std::string> levels;
  for (const std::string_view level : Levels(topic)) levels.emplace_back(level);
  return levels;
}

// Written after the words of 4.7 alone, with no regard to speed: the oracle for matches().
bool matches_by_the_book(const std::vector<std::string>& filter, const std::vector<std::string>& topic) {
  if ((filter[0] == "+" || filter[0] == "#") && topic[0].starts_with("$")) return false;
  for (std::size_t i = 0;; ++i) {
    if (i < filter.size() && filter[i] == "#") return true;
    if (i == filter.size() || i == topic.size()) return i == filter.size() && i == topic.size();
    if (filter[i] != "+" && filter[i] != topic[i]) return false;
  }
}

}  // namespace

TEST_GROUP(TopicName){};

TEST(TopicName, is_any_text_of_one_to_65535_bytes_without_wildcards) {
  for (const std::string& name :
       {std::string("a"), std::string("/"), std::string("//"), std::string("sport/tennis"), std::string("/finance"),
        std::string("a/"), std::string("$SYS/x"), std::string("$"), std::string(" "), std::string("with space"),
        std::string("\xC3\xA9t\xC3\xA9"), std::string("\xEF\xBB\xBF"), std::string("*"), std::string(65535, '/')}) {
    expect(Fault::kNone, 0, validate_topic_name(name), name);
  }
  expect(Fault::kEmptyTopicName, 0, validate_topic_name(""), "");
  expect(Fault::kTopicNameBeyondLimits, 0, validate_topic_name(std::string(65536, 'a')), "65536 bytes");
}

TEST(TopicName, with_a_wildcard_or_a_bad_byte_anywhere_is_refused_at_its_column) {
  for (std::size_t at = 0; at < 40; ++at) {
    for (const char c : {'+', '#', '\0', '\xFF', '\xC0'}) {
      std::string name(40, 'x');
      name[at] = c;
      const Fault fault = c == '+' || c == '#' ? Fault::kWildcardInTopicName : Fault::kNotUtf8;
      expect(fault, static_cast<std::uint32_t>(at + 1), validate_topic_name(name), std::to_string(at));
    }
  }
}

TEST(TopicName, beyond_the_limits_of_the_broker_is_well_formed_but_not_taken) {
  const TopicLimits limits{.maximum_levels = 3, .maximum_length = 8};
  expect(Fault::kNone, 0, validate_topic_name("a/b/c", limits), "three levels");
  expect(Fault::kTopicNameBeyondLimits, 0, validate_topic_name("a/b/c/", limits), "four levels");
  expect(Fault::kNone, 0, validate_topic_name("12345678", limits), "8 bytes");
  expect(Fault::kTopicNameBeyondLimits, 0, validate_topic_name("123456789", limits), "9 bytes");
  LONGS_EQUAL(0x90, static_cast<int>(verdict_on(Fault::kTopicNameBeyondLimits).code));
  CHECK(within_limits("///", {.maximum_levels = 4, .maximum_length = 65535}));
  CHECK_FALSE(within_limits("///", {.maximum_levels = 3, .maximum_length = 65535}));
}

TEST_GROUP(TopicFilter){};

TEST(TopicFilter, has_wildcards_that_fill_a_level) {
  for (const char* filter : {"#", "+", "a/#", "/#", "+/+", "/+", "+/", "a/+/b", "+/#", "a//b", "a/ /b", "$SYS/#",
                             "$share", "$shared/x", "$Share/g/t", "a/+/#", "$"}) {
    expect(Fault::kNone, 0, validate_topic_filter(filter), filter);
  }
}

TEST(TopicFilter, with_a_misplaced_wildcard_is_refused_at_its_column) {
  expect(Fault::kEmptyTopicFilter, 0, validate_topic_filter(""), "");
  expect(Fault::kHashNotAlone, 2, validate_topic_filter("a#"), "a#");
  expect(Fault::kHashNotAlone, 3, validate_topic_filter("a/#b"), "a/#b");
  expect(Fault::kHashNotLast, 4, validate_topic_filter("ok/#/x"), "ok/#/x");
  expect(Fault::kHashNotLast, 1, validate_topic_filter("#/"), "#/");
  expect(Fault::kHashNotAlone, 1, validate_topic_filter("##"), "##");
  expect(Fault::kPlusNotAlone, 2, validate_topic_filter("a+"), "a+");
  expect(Fault::kPlusNotAlone, 3, validate_topic_filter("a/+b/c"), "a/+b/c");
  expect(Fault::kPlusNotAlone, 1, validate_topic_filter("++"), "++");
  expect(Fault::kPlusNotAlone, 1, validate_topic_filter("+#"), "+#");
  expect(Fault::kNotUtf8, 3, validate_topic_filter(std::string("a/\0", 3)), "U+0000");
  expect(Fault::kTopicFilterBeyondLimits, 0, validate_topic_filter("a/+", {.maximum_levels = 1, .maximum_length = 9}),
         "limits");
  LONGS_EQUAL(0x8F, static_cast<int>(verdict_on(Fault::kTopicFilterBeyondLimits).code));
}

TEST_GROUP(SharedFilter){};

TEST(SharedFilter, cve_2025_59947_is_parsed_or_refused_in_every_form) {
  struct Row {
    const char* filter;
    Fault fault;
    const char* name;  // null: not a shared subscription
    const char* rest;
  };
  for (const Row& row : std::vector<Row>{
           {"$share", Fault::kNone, nullptr, nullptr},
           {"$share/", Fault::kShareNameEmpty, nullptr, nullptr},
           {"$share//", Fault::kShareNameEmpty, nullptr, nullptr},
           {"$share//t", Fault::kShareNameEmpty, nullptr, nullptr},
           {"$share/g", Fault::kShareWithoutFilter, nullptr, nullptr},
           {"$share/g/", Fault::kShareWithoutFilter, nullptr, nullptr},
           {"$share/g+/t", Fault::kPlusNotAlone, nullptr, nullptr},
           {"$share/+/t", Fault::kShareNameWildcard, nullptr, nullptr},
           {"$share/#", Fault::kShareNameWildcard, nullptr, nullptr},
           {"$share/#/t", Fault::kHashNotLast, nullptr, nullptr},
           {"$share/g/t#", Fault::kHashNotAlone, nullptr, nullptr},
           {"$share/g/t", Fault::kNone, "g", "t"},
           {"$share/g//", Fault::kNone, "g", "/"},
           {"$share/g/#", Fault::kNone, "g", "#"},
           {"$share/g/+/a/#", Fault::kNone, "g", "+/a/#"},
           {"$share/a b/$SYS/x", Fault::kNone, "a b", "$SYS/x"},
           {"$share/g/$share/h/t", Fault::kNone, "g", "$share/h/t"},
           {"x$share/g/t", Fault::kNone, nullptr, nullptr},
       }) {
    LONGS_EQUAL_TEXT(static_cast<int>(row.fault), static_cast<int>(validate_topic_filter(row.filter).fault),
                     row.filter);
    const auto shared = parse_shared(row.filter);
    CHECK_EQUAL_TEXT(row.name != nullptr && row.fault == Fault::kNone, shared.has_value() && row.fault == Fault::kNone,
                     row.filter);
    if (row.name == nullptr) continue;
    CHECK_TEXT(shared->share_name == row.name, row.filter);
    CHECK_TEXT(shared->filter == row.rest, row.filter);
  }
  expect(Fault::kShareNameEmpty, 8, validate_topic_filter("$share//t"), "column");
  expect(Fault::kShareNameWildcard, 8, validate_topic_filter("$share/+/t"), "column");
}

TEST_GROUP(TopicLevels){};

TEST(TopicLevels, are_what_stands_between_the_separators) {
  CHECK((levels_of("a") == std::vector<std::string>{"a"}));
  CHECK((levels_of("/") == std::vector<std::string>{"", ""}));
  CHECK((levels_of("/a//b/") == std::vector<std::string>{"", "a", "", "b", ""}));
  CHECK((levels_of("") == std::vector<std::string>{""}));
  for (const char* topic : {"a", "/", "a/b", "/a//b/", ""}) LONGS_EQUAL(levels_of(topic).size(), level_count(topic));
}

TEST(TopicLevels, know_which_one_is_the_last) {
  const Levels levels("a/b/");
  auto level = levels.begin();
  CHECK_FALSE(level.last());
  CHECK_FALSE((++level).last());
  CHECK((++level).last());
  CHECK(++level == levels.end());
}

TEST_GROUP(Matching){};

TEST(Matching, follows_the_examples_of_the_standard) {
  struct Row {
    const char* filter;
    const char* topic;
    bool match;
  };
  for (const Row& row : std::vector<Row>{
           {"sport/tennis/player1/#", "sport/tennis/player1", true},
           {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
           {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
           {"sport/tennis/player1/#", "sport/tennis/player10", false},
           {"sport/#", "sport", true},
           {"sport/#", "sport/", true},
           {"#", "sport", true},
           {"#", "/", true},
           {"sport/tennis/+", "sport/tennis/player1", true},
           {"sport/tennis/+", "sport/tennis/player1/ranking", false},
           {"sport/+", "sport", false},
           {"sport/+", "sport/", true},
           {"+/+", "/finance", true},
           {"/+", "/finance", true},
           {"+", "/finance", false},
           {"+/tennis/#", "sport/tennis", true},
           {"+/tennis/#", "sport/golf", false},
           {"#", "$SYS/monitor", false},
           {"+/monitor/Clients", "$SYS/monitor/Clients", false},
           {"$SYS/#", "$SYS/monitor", true},
           {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
           {"/#", "$SYS/x", false},
           {"a/+", "a/$x", true},
           {"ACCOUNTS", "Accounts", false},
           {"a", "a/", false},
           {"a/", "a", false},
           {"a/+/#", "a", false},
           {"a/+/#", "a/", true},
       }) {
    CHECK_EQUAL_TEXT(row.match, matches(row.filter, row.topic), (std::string(row.filter) + " " + row.topic).c_str());
  }
}

TEST(Matching, agrees_with_the_book_on_all_short_filters_and_topics) {
  const std::vector<std::string> words = {"", "a", "b", "$"};
  std::vector<std::string> topics;
  std::vector<std::string> filters;
  const auto grow = [](std::vector<std::string>& all, const std::vector<std::string>& with) {
    std::vector<std::string> level = with;
    all = level;
    for (int depth = 0; depth < 2; ++depth) {
      std::vector<std::string> next;
      for (const std::string& head : level) {
        for (const std::string& word : with) next.push_back(head + "/" + word);
      }
      all.insert(all.end(), next.begin(), next.end());
      level = next;
    }
  };
  grow(topics, words);
  grow(filters, {"", "a", "b", "$", "+", "#"});
  std::size_t checked = 0;
  for (const std::string& filter : filters) {
    if (!validate_topic_filter(filter).ok()) continue;
    for (const std::string& topic : topics) {
      if (!validate_topic_name(topic).ok()) continue;
      ++checked;
      CHECK_EQUAL_TEXT(matches_by_the_book(levels_of(filter), levels_of(topic)), matches(filter, topic),
                       (filter + " " + topic).c_str());
    }
  }
  CHECK(checked > 10'000);
}

TEST(Matching, of_65535_levels_needs_no_stack) {
  const std::string deep(65535, '/');
  CHECK(matches(deep, deep));
  CHECK(matches("#", deep));
  CHECK_FALSE(matches(deep, deep.substr(1)));
  CHECK(has_wildcard("a/+"));
  CHECK_FALSE(has_wildcard("a/b"));
}

}  // namespace mqloop::mqtt::test
