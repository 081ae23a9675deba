#include "core/event/input_buffer.h"

#include <cstring>
#include <random>
#include <string>

#include <CppUTest/TestHarness.h>

namespace mqloop::event {

namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string text_of(const InputBuffer& buffer) {
  const auto bytes = buffer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_GROUP(InputBuffer) { InputBuffer buffer; };

TEST(InputBuffer, an_empty_one_is_a_null_pointer) {
  CHECK(sizeof(InputBuffer) <= 16);
  CHECK(buffer.empty());
  LONGS_EQUAL(0, buffer.size());
  LONGS_EQUAL(0, buffer.capacity());
  CHECK(buffer.bytes().empty());
  buffer.append({});
  buffer.consume(0);
  CHECK(buffer.empty());
}

TEST(InputBuffer, gives_its_memory_back_with_the_last_byte) {
  buffer.append(bytes_of("abc"));
  buffer.consume(2);
  STRCMP_EQUAL("c", text_of(buffer).c_str());
  buffer.consume(1);
  CHECK(buffer.empty());
  LONGS_EQUAL(0, buffer.capacity());
}

TEST(InputBuffer, joins_what_comes_in_parts) {
  buffer.append(bytes_of("abc"));
  buffer.append(bytes_of("def"));
  STRCMP_EQUAL("abcdef", text_of(buffer).c_str());
}

TEST(InputBuffer, a_promised_length_takes_no_memory) {
  buffer.append(bytes_of("\x30\xff\xff\xff\x7f"), 268'435'460);
  CHECK(buffer.capacity() <= 64);
}

TEST(InputBuffer, grows_to_twice_what_came_and_not_beyond_the_packet) {
  const std::string part(1000, 'x');
  constexpr std::size_t kPacket = 10'500;
  for (std::size_t received = 1000; received <= 10'000; received += 1000) {
    buffer.append(bytes_of(part), kPacket);
    CHECK(buffer.capacity() <= 2 * received);
    CHECK(buffer.capacity() <= kPacket);
  }
  buffer.append(bytes_of(part).first(500), kPacket);
  LONGS_EQUAL(kPacket, buffer.capacity());
}

TEST(InputBuffer, bytes_beyond_the_packet_are_kept_too) {
  buffer.append(bytes_of("0123456789"), 4);
  STRCMP_EQUAL("0123456789", text_of(buffer).c_str());
}

TEST(InputBuffer, many_small_parts_after_a_whole_packet_do_not_copy_it_each_time) {
  const std::string packet(1000, 'p');
  buffer.append(bytes_of(packet), packet.size());
  int moves = 0;
  const std::uint8_t* before = buffer.bytes().data();
  for (int i = 0; i < 1000; ++i) {
    buffer.append(bytes_of("x"), packet.size());
    moves += buffer.bytes().data() == before ? 0 : 1;
    before = buffer.bytes().data();
  }
  CHECK(moves <= 2);
}

TEST(InputBuffer, can_be_read_into_without_a_copy) {
  buffer.append(bytes_of("ab"), 6);
  const std::span<std::uint8_t> room = buffer.room(6);
  LONGS_EQUAL(4, room.size());
  std::memcpy(room.data(), "cdef", 4);
  buffer.commit(4);
  STRCMP_EQUAL("abcdef", text_of(buffer).c_str());
}

TEST(InputBuffer, room_that_nothing_was_read_into_leaves_nothing_behind) {
  CHECK(!buffer.room(100).empty());
  buffer.commit(0);
  CHECK(buffer.empty());
}

TEST(InputBuffer, random_operations_agree_with_a_string) {
  const unsigned seed = std::random_device{}();
  const std::string trace = "seed " + std::to_string(seed);
  std::mt19937 random(seed);
  std::string model;
  for (int step = 0; step < 50'000; ++step) {
    std::string text(random() % (random() % 20 == 0 ? 5000 : 50), '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    const std::size_t needed = random() % 3 == 0 ? random() % 10'000 : 0;
    switch (random() % 4) {
      case 0:
        buffer.append(bytes_of(text), needed);
        model += text;
        break;
      case 1: {
        const std::span<std::uint8_t> room = buffer.room(needed);
        const std::size_t used = std::min(room.size(), text.size());
        std::memcpy(room.data(), text.data(), used);
        buffer.commit(used);
        model += text.substr(0, used);
        break;
      }
      default: {
        const std::size_t gone = model.empty() ? 0 : random() % (model.size() + 1);
        buffer.consume(gone);
        model.erase(0, gone);
      }
    }
    LONGS_EQUAL_TEXT(model.size(), buffer.size(), trace.c_str());
    CHECK_TEXT(text_of(buffer) == model, trace.c_str());
    CHECK_EQUAL_TEXT(model.empty(), buffer.empty(), trace.c_str());
  }
}

}  // namespace mqloop::event
