#include "core/base/seeded_hash.h"

#include <string>
#include <unordered_map>

#include <CppUTest/TestHarness.h>

namespace mqloop {

namespace {

constexpr auto kHash24 = &seeded_hash<2, 4>;

// The key 00 01 .. 0f and the inputs 00 01 .. n-1 of the SipHash paper's appendix.
constexpr HashSeed kPaperSeed{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};

std::string paper_input(int size) {
  std::string input;
  for (int i = 0; i < size; ++i) input += static_cast<char>(i);
  return input;
}

}  // namespace

TEST_GROUP(SeededHash){};

TEST(SeededHash, siphash_2_4_gives_the_published_vectors) {
  CHECK(kHash24(kPaperSeed, paper_input(0)) == 0x726fdb47dd0e0e31U);
  CHECK(kHash24(kPaperSeed, paper_input(8)) == 0x93f5f5799a932462U);
  CHECK(kHash24(kPaperSeed, paper_input(15)) == 0xa129ca6149be45e5U);
}

// hash(bytes) of CPython 3.11 (siphash13) with PYTHONHASHSEED=0.
TEST(SeededHash, siphash_1_3_gives_what_cpython_gives) {
  CHECK(seeded_hash({0, 0}, "a") == 0x407448d2b89b1813U);
  CHECK(seeded_hash({0, 0}, "12345678") == 0x3489982430560a87U);
  CHECK(seeded_hash({0, 0}, "sport/tennis") == 0xbd5310cb2ed91992U);
  CHECK(seeded_hash({0, 0}, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefxyz") ==
        0x8f0525a1d04c9648U);
}

TEST(SeededHash, another_seed_is_another_hash) {
  CHECK(seeded_hash({1, 2}, "sport") != seeded_hash({1, 3}, "sport"));
  CHECK(seeded_hash({1, 2}, "sport") != seeded_hash({2, 2}, "sport"));
}

TEST(SeededHash, trailing_zero_bytes_count) {
  using namespace std::string_view_literals;
  CHECK(seeded_hash({1, 2}, "ab"sv) != seeded_hash({1, 2}, "ab\0"sv));
}

TEST(SeededHash, a_map_is_searched_by_string_view_without_a_copy) {
  std::unordered_map<std::string, int, SeededStringHash, std::equal_to<>> map(8, SeededStringHash{{3, 4}});
  map.emplace("sport", 7);
  const auto found = map.find(std::string_view("sport"));
  CHECK(found != map.end());
  LONGS_EQUAL(7, found->second);
}

}  // namespace mqloop
