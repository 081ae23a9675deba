// How filters relate, held against all topics of a small world: three texts (one begins with $) and up to five levels
// are enough to tell apart any two filters of up to four levels over two of these texts, because the third stands for
// whatever no filter names.
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/topic.h>

#include "core/mqtt/topic.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;

namespace {

std::vector<std::string> rows(const std::vector<std::string>& levels, std::size_t most) {
  std::vector<std::string> all;
  std::vector<std::string> row = {""};
  for (std::size_t length = 1; length <= most; ++length) {
    std::vector<std::string> longer;
    for (const std::string& shorter : row) {
      for (const std::string& level : levels) longer.push_back(length == 1 ? level : shorter + '/' + level);
    }
    all.insert(all.end(), longer.begin(), longer.end());
    row = std::move(longer);
  }
  return all;
}

// Well-formed filters of up to `most` levels.
std::vector<std::string> filters(const std::vector<std::string>& levels, std::size_t most) {
  std::vector<std::string> all;
  for (std::string& filter : rows(levels, most)) {
    if (check_topic_filter(filter).ok()) all.push_back(std::move(filter));
  }
  return all;
}

std::string pair(const std::string& a, const std::string& b) { return a + "  " + b; }

}  // namespace

TEST_GROUP(FilterRelation){};

TEST(FilterRelation, overlap_and_cover_are_what_the_topics_say) {
  const std::vector<std::string> topics = rows({"$a", "b", "x"}, 5);
  const std::vector<std::string> all = filters({"$a", "b", "+", "#"}, 4);
  std::vector<std::vector<bool>> matched;
  for (const std::string& filter : all) {
    std::vector<bool>& row = matched.emplace_back();
    for (const std::string& topic : topics) row.push_back(mqtt::matches(filter, topic));
  }
  std::size_t overlaps = 0;
  std::size_t covers = 0;
  for (std::size_t a = 0; a != all.size(); ++a) {
    for (std::size_t b = 0; b != all.size(); ++b) {
      bool overlap = false;
      bool cover = true;
      for (std::size_t i = 0; i != topics.size(); ++i) {
        overlap |= matched[a][i] && matched[b][i];
        cover &= matched[a][i] || !matched[b][i];
      }
      if (overlap != filters_overlap(all[a], all[b])) FAIL(("overlap: " + pair(all[a], all[b])).c_str());
      if (cover != filter_covers(all[a], all[b])) FAIL(("cover: " + pair(all[a], all[b])).c_str());
      overlaps += overlap ? 1 : 0;
      covers += cover ? 1 : 0;
    }
  }
  CHECK(overlaps > all.size() && overlaps < all.size() * all.size());
  CHECK(covers > all.size() && covers < overlaps);
}

TEST(FilterRelation, parent_level_belongs_to_the_number_sign) {
  CHECK_TRUE(topic_matches("sport/#", "sport"));
  CHECK_TRUE(filters_overlap("sport/#", "sport"));
  CHECK_TRUE(filter_covers("sport/#", "sport"));
  CHECK_FALSE(filter_covers("sport/+/#", "sport/#"));
  CHECK_TRUE(filter_covers("+/#", "#"));
}

TEST(FilterRelation, empty_levels_are_levels) {
  CHECK_TRUE(filter_covers("+/+", "/"));
  CHECK_FALSE(filters_overlap("a/+", "a/b/"));
  CHECK_TRUE(filters_overlap("a//#", "a/+"));
}

TEST(FilterRelation, leading_wildcard_has_nothing_to_do_with_dollar_topics) {
  CHECK_FALSE(filters_overlap("#", "$SYS/#"));
  CHECK_FALSE(filter_covers("#", "$SYS/broker"));
  CHECK_FALSE(filters_overlap("$SYS/x", "+/x"));
  CHECK_TRUE(filter_covers("$SYS/#", "$SYS/+/x"));
}

TEST(FilterRelation, longest_filters_are_read_once_and_without_a_stack) {
  const std::string slashes(65535, '/');
  CHECK_TRUE(filter_covers(slashes, slashes));
  CHECK_FALSE(filters_overlap(slashes, slashes.substr(1)));
}

TEST(FilterRelation, fault_of_a_filter_is_told_with_its_column) {
  CHECK_TRUE(check_topic_filter("a/+/#").ok());
  LONGS_EQUAL(4, check_topic_filter("a/b#").column);
  STRCMP_EQUAL("'#' must fill a whole level", std::string(check_topic_filter("a/b#").explanation).c_str());
  CHECK_FALSE(check_topic_filter("").ok());
}
