#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/broker/hash_index.h"

#include <CppUTest/TestHarness.h>

using mqloop::broker::HashIndex;

namespace {

std::uint32_t hash_of(std::uint32_t number) { return number * 0x9e3779b1U; }

std::uint32_t look_up(const HashIndex& index, std::uint32_t hash, std::uint32_t number) {
  return index.find(hash, [number](std::uint32_t found) { return found == number; });
}

}  // namespace

TEST_GROUP(HashIndex){};

TEST(HashIndex, an_empty_index_finds_nothing_and_owns_nothing) {
  const HashIndex index;
  UNSIGNED_LONGS_EQUAL(0, look_up(index, 0, 1));
  UNSIGNED_LONGS_EQUAL(0, look_up(index, UINT32_MAX, 1));
  UNSIGNED_LONGS_EQUAL(0, index.footprint());
}

TEST(HashIndex, every_key_is_found_at_every_step_of_growing_and_shrinking) {
  constexpr std::uint32_t kCount = 30000;
  HashIndex index;
  std::mt19937 random(1);
  bool moved_while_growing = false;
  bool moved_while_shrinking = false;
  for (std::uint32_t n = 1; n <= kCount; ++n) {
    index.insert(hash_of(n), n);
    moved_while_growing |= index.to_move() != 0;
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t known = 1 + random() % n;
      UNSIGNED_LONGS_EQUAL(known, look_up(index, hash_of(known), known));
    }
    UNSIGNED_LONGS_EQUAL(0, look_up(index, hash_of(n + 1), n + 1));
  }
  const std::size_t largest = index.footprint();
  for (std::uint32_t n = 1; n <= kCount; ++n) {
    index.erase(hash_of(n), n);
    moved_while_shrinking |= index.to_move() != 0;
    UNSIGNED_LONGS_EQUAL(0, look_up(index, hash_of(n), n));
    for (int i = 0; i < 4 && n < kCount; ++i) {
      const std::uint32_t known = n + 1 + random() % (kCount - n);
      UNSIGNED_LONGS_EQUAL(known, look_up(index, hash_of(known), known));
    }
    if (n == kCount - kCount / 100) CHECK(index.footprint() < largest / 16);
  }
  CHECK(moved_while_growing);
  CHECK(moved_while_shrinking);
  UNSIGNED_LONGS_EQUAL(0, index.size());
  UNSIGNED_LONGS_EQUAL(0, index.footprint());
}

TEST(HashIndex, no_change_moves_more_than_a_few_slots) {
  constexpr std::uint32_t kCount = 1'000'000;
  HashIndex index;
  std::size_t most = 0;
  std::size_t largest_growth = 0;
  std::size_t growths = 0;
  const auto change = [&](auto&& make) {
    const std::size_t before = index.to_move();
    const std::size_t footprint = index.footprint();
    make();
    const std::size_t after = index.to_move();
    if (after != 0 && before == 0) ++growths;
    if (after < before) most = std::max(most, before - after);
    if (index.footprint() > footprint) largest_growth = std::max(largest_growth, index.footprint() - footprint);
  };
  for (std::uint32_t n = 1; n <= kCount; ++n) change([&] { index.insert(hash_of(n), n); });
  CHECK(growths >= 15);  // from 16 slots to 2 million, each time by moving
  for (std::uint32_t n = 1; n <= kCount; ++n) change([&] { index.erase(hash_of(n), n); });
  // 32 slots, on to the next empty one; and for a stretch of slots that were never written to, one step.
  CHECK(most <= 4096 + 256);
  CHECK(largest_growth <= 64 * 1024);
  UNSIGNED_LONGS_EQUAL(0, index.footprint());
}

TEST(HashIndex, keys_of_one_hash_are_told_apart_wherever_their_hash_lies) {
  for (const std::uint32_t hash : {0U, 0x7fffffffU, UINT32_MAX}) {
    HashIndex index;
    for (std::uint32_t n = 1; n <= 300; ++n) index.insert(hash, n);
    for (std::uint32_t n = 1; n <= 300; ++n) UNSIGNED_LONGS_EQUAL(n, look_up(index, hash, n));
    for (std::uint32_t n = 1; n <= 300; n += 2) index.erase(hash, n);
    for (std::uint32_t n = 1; n <= 300; ++n) UNSIGNED_LONGS_EQUAL(n % 2 == 0 ? n : 0, look_up(index, hash, n));
  }
}

TEST(HashIndex, a_replaced_number_is_found_in_its_place) {
  HashIndex index;
  for (std::uint32_t n = 1; n <= 100; ++n) index.insert(hash_of(n), n);
  index.replace(hash_of(40), 40, 4000);
  UNSIGNED_LONGS_EQUAL(4000, look_up(index, hash_of(40), 4000));
  UNSIGNED_LONGS_EQUAL(0, look_up(index, hash_of(40), 40));
}

TEST(HashIndex, agrees_with_a_multimap_under_random_changes) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    // From hashes that never meet to hashes that always do; and phases that mostly insert or mostly erase.
    const std::uint32_t kept = seed % 3 == 0 ? 0xf0000001U : seed % 3 == 1 ? UINT32_MAX : 0xff000000U;
    HashIndex index;
    std::map<std::uint32_t, std::uint32_t> model;  // number -> hash
    std::vector<std::uint32_t> numbers;
    std::uint32_t last = 0;
    for (int step = 0; step < 4000; ++step) {
      const bool insert = model.empty() || random() % 10 < (step / 700 % 2 == 0 ? 9U : 1U);
      if (insert) {
        const auto hash = static_cast<std::uint32_t>(random()) & kept;
        index.insert(hash, ++last);
        model[last] = hash;
        numbers.push_back(last);
      } else {
        const std::size_t pick = random() % numbers.size();
        std::swap(numbers[pick], numbers.back());
        index.erase(model[numbers.back()], numbers.back());
        model.erase(numbers.back());
        numbers.pop_back();
      }
      if (numbers.empty()) continue;
      const std::uint32_t known = numbers[random() % numbers.size()];
      const std::string where = "seed " + std::to_string(seed) + " step " + std::to_string(step);
      CHECK_TEXT(look_up(index, model[known], known) == known, where.c_str());
    }
    for (const auto& [number, hash] : model) UNSIGNED_LONGS_EQUAL(number, look_up(index, hash, number));
    UNSIGNED_LONGS_EQUAL(model.size(), index.size());
  }
}
