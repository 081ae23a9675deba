#include "core/base/slab_pool.h"

#include <map>
#include <random>
#include <string>

#include <CppUTest/TestHarness.h>

namespace mqloop {

namespace {

struct Counted {
  explicit Counted(int& living, int number = 0) : living_(living), value(number) { ++living_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --living_; }
  int& living_;
  int value;
};

}  // namespace

TEST_GROUP(SlabPool) {
  int living = 0;
  SlabPool<Counted> pool;
};

TEST(SlabPool, a_handle_finds_its_object) {
  const auto created = pool.emplace(living, 7);
  POINTERS_EQUAL(created.object, pool.find(created.handle));
  LONGS_EQUAL(7, created.object->value);
  LONGS_EQUAL(1, living);
  LONGS_EQUAL(1, pool.size());
}

TEST(SlabPool, an_empty_handle_names_nothing) {
  pool.emplace(living);
  CHECK(!SlotHandle{});
  POINTERS_EQUAL(nullptr, pool.find({}));
  CHECK(!pool.erase({}));
}

TEST(SlabPool, a_handle_beyond_all_pages_names_nothing) {
  pool.emplace(living);
  POINTERS_EQUAL(nullptr, pool.find({64, 1}));
  POINTERS_EQUAL(nullptr, pool.find({~0U, 1}));
}

TEST(SlabPool, a_stale_handle_finds_nothing_when_its_slot_is_used_again) {
  const auto first = pool.emplace(living);
  CHECK(pool.erase(first.handle));
  LONGS_EQUAL(0, living);
  POINTERS_EQUAL(nullptr, pool.find(first.handle));
  const auto second = pool.emplace(living);
  LONGS_EQUAL(first.handle.slot, second.handle.slot);
  POINTERS_EQUAL(nullptr, pool.find(first.handle));
  CHECK(!pool.erase(first.handle));
  POINTERS_EQUAL(second.object, pool.find(second.handle));
}

TEST(SlabPool, generations_go_on_after_a_page_was_given_back) {
  std::vector<SlotHandle> handles;
  for (int i = 0; i < 64 * 3; ++i) handles.push_back(pool.emplace(living).handle);
  const std::size_t full = pool.memory();
  for (const SlotHandle handle : handles) pool.erase(handle);
  CHECK(pool.memory() < full);
  LONGS_EQUAL(0, living);
  for (int i = 0; i < 64 * 3; ++i) pool.emplace(living);
  for (const SlotHandle handle : handles) POINTERS_EQUAL(nullptr, pool.find(handle));
}

TEST(SlabPool, addresses_stay_when_it_grows) {
  const auto first = pool.emplace(living, 1);
  for (int i = 0; i < 10000; ++i) pool.emplace(living);
  POINTERS_EQUAL(first.object, pool.find(first.handle));
}

TEST(SlabPool, objects_may_be_erased_while_all_are_visited) {
  for (int i = 0; i < 200; ++i) pool.emplace(living, i);
  int visited = 0;
  pool.for_each([&](SlotHandle handle, Counted& object) {
    ++visited;
    if (object.value % 2 == 0) pool.erase(handle);
  });
  LONGS_EQUAL(200, visited);
  LONGS_EQUAL(100, pool.size());
  LONGS_EQUAL(100, living);
}

TEST(SlabPool, destroys_what_is_left) {
  int others = 0;
  {
    SlabPool<Counted> passing;
    for (int i = 0; i < 100; ++i) passing.emplace(others);
    LONGS_EQUAL(100, others);
  }
  LONGS_EQUAL(0, others);
}

TEST(SlabPool, one_that_comes_and_goes_takes_no_memory_in_the_long_run) {
  for (int i = 0; i < 64; ++i) pool.emplace(living);
  std::size_t after_first = 0;
  for (int i = 0; i < 10000; ++i) {
    pool.erase(pool.emplace(living).handle);
    if (i == 0) after_first = pool.memory();
  }
  LONGS_EQUAL(after_first, pool.memory());
}

TEST(SlabPool, random_operations_agree_with_a_map) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const std::string trace = "seed " + std::to_string(seed);
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> model;
  std::vector<SlotHandle> all;
  for (int step = 0; step < 20000; ++step) {
    if (all.empty() || random() % 100 < (step / 5000 % 2 == 0 ? 70U : 30U)) {
      const SlotHandle handle = pool.emplace(living, step).handle;
      CHECK_TEXT(model.emplace(std::pair(handle.slot, handle.generation), step).second, trace.c_str());
      all.push_back(handle);
      continue;
    }
    const SlotHandle handle = all[random() % all.size()];
    const bool known = model.erase({handle.slot, handle.generation}) != 0;
    CHECK_EQUAL_TEXT(known, pool.erase(handle), trace.c_str());
  }
  LONGS_EQUAL_TEXT(model.size(), pool.size(), trace.c_str());
  LONGS_EQUAL_TEXT(model.size(), living, trace.c_str());
  for (const SlotHandle handle : all) {
    const auto known = model.find({handle.slot, handle.generation});
    const Counted* object = pool.find(handle);
    CHECK_EQUAL_TEXT(known != model.end(), object != nullptr, trace.c_str());
    if (object != nullptr) LONGS_EQUAL_TEXT(known->second, object->value, trace.c_str());
  }
}

}  // namespace mqloop
