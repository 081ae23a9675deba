#include "core/event/send_queue.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace mqloop::event {

namespace {

class SharedBytes final : public SharedObject {
 public:
  static Ref<const SharedBytes> make(std::string text, int& living) {
    return Ref<const SharedBytes>::adopt(new SharedBytes(std::move(text), living));
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const {
    return {reinterpret_cast<const std::uint8_t*>(text_.data()), text_.size()};
  }

 private:
  SharedBytes(std::string text, int& living) : text_(std::move(text)), living_(living) { ++living_; }
  ~SharedBytes() override { --living_; }
  const std::string text_;
  int& living_;
};

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// All that the queue holds, through as few parts at a time as `most_parts`, taking `step` bytes a turn.
std::string drain(SendQueue& queue, std::size_t step, std::size_t most_parts = 16) {
  std::string out;
  while (!queue.empty()) {
    std::vector<iovec> parts(most_parts);
    const std::size_t count = queue.gather(parts);
    std::string visible;
    for (std::size_t i = 0; i < count; ++i) visible.append(static_cast<char*>(parts[i].iov_base), parts[i].iov_len);
    const std::size_t taken = std::min(step, visible.size());
    if (taken == 0) return out + "<stuck>";
    out += visible.substr(0, taken);
    queue.consume(taken);
  }
  return out;
}

std::string noise(std::mt19937& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

}  // namespace

TEST_GROUP(SendQueue) {
  int living = 0;
  ChunkPool pool{4};
};

TEST(SendQueue, an_empty_queue_is_small_and_owns_nothing) {
  SendQueue queue(pool);
  CHECK(sizeof(SendQueue) <= 32);
  CHECK(queue.empty());
  LONGS_EQUAL(0, queue.size());
  iovec part;
  LONGS_EQUAL(0, queue.gather({&part, 1}));
  queue.append(bytes_of("x"));
  LONGS_EQUAL(0, pool.kept());
  queue.consume(1);
  LONGS_EQUAL(1, pool.kept());
}

TEST(SendQueue, small_appends_are_gathered_as_one_part) {
  SendQueue queue(pool);
  queue.append(bytes_of("hello, "));
  queue.append(bytes_of(""));
  queue.append(bytes_of("world"));
  std::vector<iovec> parts(4);
  LONGS_EQUAL(1, queue.gather(parts));
  LONGS_EQUAL(12, queue.size());
  STRCMP_EQUAL("hello, world", drain(queue, 5).c_str());
}

TEST(SendQueue, reserved_room_counts_when_it_is_committed) {
  SendQueue queue(pool);
  std::uint8_t* room = queue.reserve(SendQueue::kMostReserved);
  std::memcpy(room, "abcdef", 6);
  queue.commit(3);
  LONGS_EQUAL(3, queue.size());
  std::memcpy(queue.reserve(3), "xyz", 3);
  queue.commit(3);
  STRCMP_EQUAL("abcxyz", drain(queue, 100).c_str());
}

TEST(SendQueue, a_reservation_that_is_not_used_leaves_nothing_behind) {
  SendQueue queue(pool);
  (void)queue.reserve(10);
  queue.commit(0);
  CHECK(queue.empty());
  LONGS_EQUAL(1, pool.kept());

  queue.append(bytes_of("tail"));
  (void)queue.reserve(SendQueue::kMostReserved);  // needs a second chunk
  queue.commit(0);
  STRCMP_EQUAL("tail", drain(queue, 1).c_str());
  LONGS_EQUAL(2, pool.kept());
}

TEST(SendQueue, shared_bytes_are_referenced_in_place_and_let_go_when_written) {
  const auto shared = SharedBytes::make("a payload", living);
  {
    SendQueue queue(pool);
    queue.append(bytes_of("head "));
    queue.append_shared(shared, shared->bytes());
    queue.append(bytes_of(" tail"));
    std::vector<iovec> parts(4);
    LONGS_EQUAL(3, queue.gather(parts));
    POINTERS_EQUAL(shared->bytes().data(), parts[1].iov_base);
    STRCMP_EQUAL("head a payload tail", drain(queue, 4).c_str());
  }
  LONGS_EQUAL(1, living);
}

TEST(SendQueue, holds_the_owner_until_the_last_byte_is_consumed) {
  SendQueue queue(pool);
  auto shared = SharedBytes::make("payload", living);
  const auto bytes = shared->bytes();
  queue.append_shared(std::move(shared), bytes);
  queue.consume(6);
  LONGS_EQUAL(1, living);
  queue.consume(1);
  LONGS_EQUAL(0, living);
}

TEST(SendQueue, drops_its_references_when_it_is_cleared_or_destroyed) {
  {
    SendQueue queue(pool);
    for (int i = 0; i < 500; ++i) {
      auto shared = SharedBytes::make("payload", living);
      const auto bytes = shared->bytes();
      queue.append_shared(std::move(shared), bytes);
    }
    LONGS_EQUAL(500, living);
    queue.consume(7 * 100 + 3);
    LONGS_EQUAL(400, living);
    queue.clear();
    LONGS_EQUAL(0, living);
    CHECK(queue.empty());
    auto shared = SharedBytes::make("payload", living);
    const auto bytes = shared->bytes();
    queue.append_shared(std::move(shared), bytes);
  }
  LONGS_EQUAL(0, living);
}

TEST(SendQueue, gather_stops_when_the_parts_are_full) {
  SendQueue queue(pool);
  const auto shared = SharedBytes::make("0123456789", living);
  for (int i = 0; i < 20; ++i) queue.append_shared(shared, shared->bytes());
  std::vector<iovec> parts(7);
  LONGS_EQUAL(7, queue.gather(parts));
  LONGS_EQUAL(200, drain(queue, 1000, 7).size());
}

TEST(SendQueue, a_partial_write_at_every_split_loses_and_repeats_nothing) {
  const auto shared = SharedBytes::make("<shared bytes of some length>", living);
  const std::string copied = "copied bytes ";
  const auto fill = [&](SendQueue& queue) {
    queue.append(bytes_of(copied));
    queue.append_shared(shared, shared->bytes().first(10));
    queue.append(bytes_of("id"));
    queue.append_shared(shared, shared->bytes().subspan(12));
    queue.append(bytes_of(copied));
  };
  SendQueue reference(pool);
  fill(reference);
  const std::size_t size = reference.size();
  const std::string expected = drain(reference, size);
  LONGS_EQUAL(size, expected.size());
  for (std::size_t first = 0; first <= size; ++first) {
    for (std::size_t second = first; second <= size; ++second) {
      SendQueue queue(pool);
      fill(queue);
      queue.consume(first);
      queue.consume(second - first);
      LONGS_EQUAL(size - second, queue.size());
      CHECK(drain(queue, size) == expected.substr(second));
    }
  }
}

TEST(SendQueue, takes_far_more_than_a_chunk) {
  std::mt19937 random(7);
  const std::string large = noise(random, 100'000);
  SendQueue queue(pool);
  queue.append(bytes_of(large));
  LONGS_EQUAL(large.size(), queue.size());
  CHECK(drain(queue, 777) == large);
}

TEST(SendQueue, moves_to_the_pool_of_another_loop) {
  ChunkPool other(4);
  SendQueue queue(pool);
  queue.append(bytes_of("from here "));
  queue.use(other);
  queue.append(bytes_of("to there"));
  STRCMP_EQUAL("from here to there", drain(queue, 100).c_str());
  LONGS_EQUAL(0, pool.kept());
  LONGS_EQUAL(1, other.kept());
}

TEST(SendQueue, random_operations_agree_with_a_string) {
  const unsigned seed = std::random_device{}();
  const std::string trace = "seed " + std::to_string(seed);
  std::mt19937 random(seed);
  std::string expected, written;
  SendQueue queue(pool);
  for (int step = 0; step < 20'000; ++step) {
    const std::string text = noise(random, random() % (random() % 50 == 0 ? 10'000 : 100));
    switch (random() % 5) {
      case 0:
        queue.append(bytes_of(text));
        expected += text;
        break;
      case 1: {
        const std::size_t size = std::min(text.size(), SendQueue::kMostReserved);
        const std::size_t used = size == 0 ? 0 : random() % (size + 1);
        std::memcpy(queue.reserve(size), text.data(), used);
        queue.commit(used);
        expected += text.substr(0, used);
        break;
      }
      case 2: {
        auto shared = SharedBytes::make(text, living);
        const auto bytes = shared->bytes();
        queue.append_shared(std::move(shared), bytes);
        expected += text;
        break;
      }
      default: {
        std::vector<iovec> parts(1 + random() % 8);
        const std::size_t count = queue.gather(parts);
        std::string visible;
        for (std::size_t i = 0; i < count; ++i) {
          visible.append(static_cast<char*>(parts[i].iov_base), parts[i].iov_len);
        }
        const std::size_t taken = visible.empty() ? 0 : random() % (visible.size() + 1);
        written += visible.substr(0, taken);
        queue.consume(taken);
      }
    }
    LONGS_EQUAL_TEXT(expected.size() - written.size(), queue.size(), trace.c_str());
  }
  written += drain(queue, 4096);
  CHECK_TEXT(written == expected, trace.c_str());
  LONGS_EQUAL_TEXT(0, living, trace.c_str());
}

TEST_GROUP(ChunkPool){};

TEST(ChunkPool, keeps_no_more_than_its_cap) {
  ChunkPool pool(2);
  std::vector<Chunk*> chunks;
  for (int i = 0; i < 5; ++i) chunks.push_back(pool.take());
  for (Chunk* chunk : chunks) pool.give_back(chunk);
  LONGS_EQUAL(2, pool.kept());
  Chunk* again = pool.take();
  LONGS_EQUAL(1, pool.kept());
  LONGS_EQUAL(Chunk::kRoom, again->free_room());
  pool.give_back(again);
}

}  // namespace mqloop::event
