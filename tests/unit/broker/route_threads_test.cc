// The matching structures that reactors share, with real threads: made for ThreadSanitizer, true without it.
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/topic_cache.h"
#include "tests/unit/broker/topic_samples.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::broker;
using mqloop::HashSeed;
using mqloop::Message;
using mqloop::Ref;

namespace {

constexpr unsigned kThreads = 4;

template <typename Body>
void on_threads(Body body) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

std::string deep_filter(unsigned branch) {
  std::string filter = "deep";
  for (int i = 0; i < 150; ++i) filter += "/x";
  return filter + "/" + std::to_string(branch);
}

}  // namespace

TEST_GROUP(ThreadedRouteTable) { RouteTable table{kThreads, HashSeed{5, 6}}; };

TEST(ThreadedRouteTable, readers_always_see_what_stays_while_every_thread_writes) {
  const FilterId stays = table.add("stays/+/#", 0).filter;
  const std::size_t nodes = table.node_count();
  std::atomic<int> wrong{0};
  on_threads([&](unsigned me) {
    TopicSamples samples(me + 1);
    MatchResult found;
    std::vector<FilterId> mine;
    for (int step = 0; step < 3000; ++step) {
      if (samples.below(2) == 0) mine.push_back(table.add(samples.filter(), me).filter);
      if (mine.size() > 50) {
        table.remove(mine, me);
        mine.clear();
      }
      table.match("stays/here/now", me, found);
      int seen = 0;
      for (const RouteMatch& match : found.matches) seen += match.filter == stays ? 1 : 0;
      if (seen != 1) ++wrong;
      table.match(samples.topic(), me, found);
      for (const RouteMatch& match : found.matches) {
        if (match.reactors == 0 || !match.filter) ++wrong;
      }
    }
    table.remove(mine, me);
  });
  LONGS_EQUAL(0, wrong.load());
  UNSIGNED_LONGS_EQUAL(1, table.filter_count());
  UNSIGNED_LONGS_EQUAL(nodes, table.node_count());
}

// Each add and remove takes several holds, and the writers share the whole way down but its last step.
TEST(ThreadedRouteTable, deep_filters_that_share_their_way_come_and_go_between_each_others_holds) {
  std::atomic<int> wrong{0};
  on_threads([&](unsigned me) {
    const std::string filter = deep_filter(me % 2);
    MatchResult found;
    for (int step = 0; step < 300; ++step) {
      const FilterId id = table.add(filter, me).filter;
      table.match(filter, me, found);
      if (found.matches.size() != 1 || (found.reactors >> me & 1) == 0) ++wrong;
      table.remove(id, me);
      table.match(filter, me, found);
      if ((found.reactors >> me & 1) != 0) ++wrong;
    }
  });
  LONGS_EQUAL(0, wrong.load());
  UNSIGNED_LONGS_EQUAL(0, table.filter_count());
  UNSIGNED_LONGS_EQUAL(0, table.node_count());
}

TEST(ThreadedRouteTable, a_cache_shows_every_change_that_its_thread_has_been_told_of) {
  // Thread 0 adds and removes a filter and says so; the others ask their caches after they have heard it.
  std::atomic<std::uint64_t> told{0};  // odd: the filter is there
  std::atomic<unsigned> heard[kThreads]{};
  std::atomic<int> wrong{0};
  constexpr std::uint64_t kRounds = 400;
  on_threads([&](unsigned me) {
    if (me == 0) {
      FilterId id;
      for (std::uint64_t round = 1; round <= kRounds; ++round) {
        if (round % 2 == 1) {
          id = table.add(round % 4 == 1 ? "a/b" : "+/b", 0).filter;
        } else {
          table.remove(id, 0);
        }
        told.store(round, std::memory_order_release);
        for (unsigned other = 1; other < kThreads; ++other) {
          while (heard[other].load(std::memory_order_acquire) != round) std::this_thread::yield();
        }
      }
      return;
    }
    TopicCache cache(table, me, 16);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      while (told.load(std::memory_order_acquire) != round) {
        (void)cache.match("a/b");
        std::this_thread::yield();
      }
      if (cache.match("a/b").matches.size() != round % 2) ++wrong;
      heard[me].store(static_cast<unsigned>(round), std::memory_order_release);
    }
  });
  LONGS_EQUAL(0, wrong.load());
}

namespace {

Ref<const Message> retained_message(std::string_view topic) {
  Message::Content content;
  content.topic = topic;
  content.retain = true;
  return Message::create(content);
}

}  // namespace

TEST_GROUP(ThreadedRetainedStore) { RetainedStore store{kThreads, HashSeed{7, 8}}; };

// The promise that a subscriber's replay rests on: when last_sequence() is A, each topic shows its latest value up to A
// or a later one, and nothing up to A appears afterwards.
TEST(ThreadedRetainedStore, everything_up_to_the_last_sequence_is_visible) {
  struct Stored {
    std::string topic;
    std::uint64_t sequence;
  };
  struct Seen {
    std::uint64_t at;
    std::map<std::string, std::uint64_t> values;
  };
  std::vector<Stored> stored[2];
  std::vector<Seen> seen[2];
  std::atomic<int> publishing{2};
  on_threads([&](unsigned me) {
    if (me < 2) {
      TopicSamples samples(me + 1);
      for (int step = 0; step < 4000; ++step) {
        const std::string topic = "p" + std::to_string(me) + "/" + std::to_string(samples.below(40)) + "/x";
        stored[me].push_back({topic, store.store(retained_message(topic), me).sequence});
      }
      --publishing;
      return;
    }
    bool last = false;
    while (!last) {
      last = publishing == 0;  // one look at what they leave behind, however the threads were scheduled
      Seen now{store.last_sequence(), {}};
      RetainedCursor cursor(store, me == 2 ? "#" : "+/+/x", me);
      std::vector<Retained> list;
      while (cursor.next(16, list)) {
      }
      for (const Retained& retained : list) now.values[std::string(retained.message->topic())] = retained.sequence;
      if (last || seen[me - 2].size() < 200) seen[me - 2].push_back(std::move(now));
    }
  });
  std::size_t checked = 0;
  for (const auto& snapshots : seen) {
    for (const Seen& snapshot : snapshots) {
      std::map<std::string, std::uint64_t> due;
      for (const auto& log : stored) {
        for (const Stored& entry : log) {
          if (entry.sequence <= snapshot.at) due[entry.topic] = entry.sequence;
        }
      }
      for (const auto& [topic, sequence] : due) {
        const auto found = snapshot.values.find(topic);
        CHECK(found != snapshot.values.end() && found->second >= sequence);
        ++checked;
      }
    }
  }
  CHECK(checked > 0);
}

TEST(ThreadedRetainedStore, topics_come_and_go_under_cursors_and_sweeps_and_leave_nothing_behind) {
  on_threads([&](unsigned me) {
    TopicSamples samples(me + 10);
    std::vector<Ref<const Message>> removed;
    for (int step = 0; step < 600; ++step) {
      const std::string topic = samples.topic();
      store.store(retained_message(topic), me);
      (void)store.get(samples.topic(), me);
      store.clear(samples.topic(), me);
      if (step % 20 == 0) {
        RetainedCursor cursor(store, samples.filter(), me);
        std::vector<Retained> list;
        for (int slice = 0; slice < 10 && cursor.next(8, list); ++slice) store.clear(samples.topic(), me);
      }
      if (step % 50 == 0) {
        RetainedCursor cursor = RetainedCursor::everything(store, me);
        std::uint64_t turn = 0;
        while (store.sweep(
            cursor, [&](const Message&) { return ++turn % 3 == 0; }, 16, removed)) {
        }
      }
    }
  });
  std::vector<Ref<const Message>> removed;
  RetainedCursor cursor = RetainedCursor::everything(store, 0);
  while (store.sweep(
      cursor, [](const Message&) { return true; }, 100, removed)) {
  }
  UNSIGNED_LONGS_EQUAL(0, store.count());
  UNSIGNED_LONGS_EQUAL(0, store.bytes());
  UNSIGNED_LONGS_EQUAL(0, store.node_count());
}
