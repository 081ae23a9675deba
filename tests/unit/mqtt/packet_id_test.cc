#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/packet_id.h"

namespace mqloop::mqtt::test {

TEST_GROUP(PacketIds){};

TEST(PacketIds, begin_with_1_and_rotate) {
  PacketIdAllocator ids;
  LONGS_EQUAL(1, ids.allocate());
  LONGS_EQUAL(2, ids.allocate());
  CHECK(ids.release(1));
  LONGS_EQUAL(3, ids.allocate());
}

TEST(PacketIds, come_back_after_65535_and_pass_over_those_in_use) {
  PacketIdAllocator ids;
  CHECK(ids.reserve(1));
  CHECK(ids.reserve(2));
  for (int id = 3; id <= 65535; ++id) {
    LONGS_EQUAL(id, ids.allocate());
    CHECK(ids.release(static_cast<std::uint16_t>(id)));
  }
  LONGS_EQUAL(3, ids.allocate());
}

TEST(PacketIds, are_65535_and_never_0) {
  PacketIdAllocator ids;
  std::set<std::uint16_t> all;
  for (int i = 0; i < 65535; ++i) all.insert(ids.allocate());
  LONGS_EQUAL(65535, all.size());
  CHECK_FALSE(all.contains(0));
  LONGS_EQUAL(0, ids.allocate());
  LONGS_EQUAL(65535, ids.size());
  CHECK(ids.release(777));
  LONGS_EQUAL(777, ids.allocate());
  LONGS_EQUAL(0, ids.allocate());
  for (int id = 1; id <= 65535; ++id) CHECK(ids.release(static_cast<std::uint16_t>(id)));
  LONGS_EQUAL(0, ids.size());
}

TEST(PacketIds, that_are_not_in_use_cannot_be_released_nor_reserved_twice) {
  PacketIdAllocator ids;
  CHECK_FALSE(ids.release(1));
  CHECK_FALSE(ids.release(0));
  CHECK_FALSE(ids.reserve(0));
  CHECK(ids.reserve(9));
  CHECK_FALSE(ids.reserve(9));
  CHECK(ids.in_use(9));
  CHECK(ids.release(9));
  CHECK_FALSE(ids.release(9));
  LONGS_EQUAL(0, ids.size());
}

TEST(PacketIds, are_never_in_use_twice_under_random_use) {
  std::mt19937 random(1);
  PacketIdAllocator ids;
  std::set<std::uint16_t> model;
  std::vector<std::uint16_t> order;
  for (int i = 0; i < 200'000; ++i) {
    // Phases that fill and phases that drain, so that the table moves to its pages and back.
    const bool fill = i / 20'000 % 2 == 0;
    if (order.empty() || random() % 100 < (fill ? 60U : 40U)) {
      const std::uint16_t id = ids.allocate();
      CHECK(id != 0 && model.insert(id).second);
      order.push_back(id);
    } else {
      const std::size_t at = random() % order.size();
      std::swap(order[at], order.back());
      CHECK(ids.release(order.back()));
      model.erase(order.back());
      order.pop_back();
    }
    LONGS_EQUAL(model.size(), ids.size());
  }
}

TEST(PacketIds, take_at_most_32_bytes_in_the_session) { CHECK(sizeof(PacketIdAllocator) <= 32); }

TEST_GROUP(PacketIdTable){};

TEST(PacketIdTable, agrees_with_a_map_under_random_use) {
  std::mt19937 random(2);
  PacketIdTable table;
  std::map<std::uint16_t, std::uint8_t> model;
  for (int i = 0; i < 100'000; ++i) {
    const bool few = i / 10'000 % 2 == 0;
    const auto id = static_cast<std::uint16_t>(1 + random() % (few ? 12 : 65535));
    const auto state = static_cast<std::uint8_t>(random() % (few ? 4 : 3));
    table.set(id, state);
    if (state == 0) {
      model.erase(id);
    } else {
      model[id] = state;
    }
    LONGS_EQUAL(model.size(), table.size());
    const auto other = static_cast<std::uint16_t>(random() % 65536);
    const auto known = model.find(other);
    LONGS_EQUAL(known == model.end() ? 0 : known->second, table.get(other));
    if (i % 10'000 == 9'999) {
      for (const auto& [each, value] : model) LONGS_EQUAL(value, table.get(each));
      while (few && !model.empty()) {  // drain, so that the other phase begins with none
        table.set(model.begin()->first, 0);
        model.erase(model.begin());
      }
    }
  }
}

TEST(PacketIdTable, finds_the_next_free_one_from_anywhere) {
  PacketIdTable table;
  for (std::uint16_t id = 65000; id != 0; ++id) table.set(id, 3);
  for (std::uint16_t id = 1; id <= 5000; ++id) table.set(id, static_cast<std::uint8_t>(1 + id % 3));
  LONGS_EQUAL(5001, table.next_free(1));
  LONGS_EQUAL(5001, table.next_free(65000));
  LONGS_EQUAL(64999, table.next_free(64999));
  table.set(2047, 0);
  LONGS_EQUAL(2047, table.next_free(65535));
  LONGS_EQUAL(5001, table.next_free(2048));
}

TEST(PacketIdTable, moves_with_all_it_holds) {
  for (const int count : {3, 300}) {
    PacketIdTable table;
    for (int id = 1; id <= count; ++id) table.set(static_cast<std::uint16_t>(id * 7), 2);
    PacketIdTable other(std::move(table));
    LONGS_EQUAL(count, other.size());
    LONGS_EQUAL(2, other.get(7));
    PacketIdTable third;
    third = std::move(other);
    LONGS_EQUAL(count, third.size());
    LONGS_EQUAL(2, third.get(static_cast<std::uint16_t>(count * 7)));
    third.clear();
    CHECK(third.empty());
    LONGS_EQUAL(0, third.get(7));
  }
}

}  // namespace mqloop::mqtt::test
