#include "core/config/suggest.h"

#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace mqloop::config {

TEST_GROUP(Suggest){};

TEST(Suggest, distance_counts_inserts_deletes_replacements_and_swaps) {
  LONGS_EQUAL(0, edit_distance("limits", "limits", 2));
  LONGS_EQUAL(1, edit_distance("limit", "limits", 2));
  LONGS_EQUAL(1, edit_distance("limitss", "limits", 2));
  LONGS_EQUAL(1, edit_distance("limots", "limits", 2));
  LONGS_EQUAL(1, edit_distance("limist", "limits", 2));
  LONGS_EQUAL(2, edit_distance("listner", "listeners", 2));
  LONGS_EQUAL(2, edit_distance("ilmist", "limits", 2));
  LONGS_EQUAL(3, edit_distance("ca", "abc", 3));  // no part is edited twice
}

TEST(Suggest, distance_stops_counting_beyond_the_limit) {
  LONGS_EQUAL(3, edit_distance("abcdefgh", "zyxwvuts", 2));
  LONGS_EQUAL(3, edit_distance("a", std::string(1000, 'a'), 2));
  LONGS_EQUAL(3, edit_distance(std::string(1000, 'a'), std::string(1000, 'a'), 2));
}

TEST(Suggest, the_nearest_name_wins_and_the_first_of_equals) {
  const std::vector<std::string> names = {"listens", "listeners", "limits"};
  STRCMP_EQUAL("listeners", std::string(nearest("listeers", names)).c_str());
  STRCMP_EQUAL("listens", std::string(nearest("listns", names)).c_str());
  STRCMP_EQUAL("aa", std::string(nearest("ab", std::vector<std::string>{"aa", "bb"})).c_str());
  CHECK(nearest("elephant", names).empty());
}

TEST(Suggest, a_short_name_is_not_turned_into_just_anything) {
  const std::vector<std::string> names = {"max", "user"};
  STRCMP_EQUAL("max", std::string(nearest("mx", names)).c_str());
  CHECK(nearest("tls", names).empty());
  STRCMP_EQUAL("user", std::string(nearest("muser2", names)).c_str());
  CHECK(nearest("uz", names).empty());
}

}  // namespace mqloop::config
