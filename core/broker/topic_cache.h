// The TopicCache spares a reactor the walk through the RouteTable for topics that repeat: topic -> a copy of the match.
// One per reactor, owned by it and touched by its thread alone; it takes no lock for a hit.
// An entry holds and compares the topic itself, never only its hash, and is used only while the RouteTable's versions
// for that topic are those of its walk: it never answers otherwise than the RouteTable would.
// Bounded: kWays entries to a set, the longest unused gives way; topics longer than kMaxTopicSize and results of more
// than kMaxMatches are walked each time. A topic is admitted when it is seen a second time, so that a flood of topics
// that never repeat costs no memory and drives nothing out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/broker/route_table.h"

namespace mqloop::broker {

class TopicCache {
 public:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kMaxTopicSize = 256;
  static constexpr std::size_t kMaxMatches = 32;

  // Valid until the next call of match().
  struct Match {
    std::span<const RouteMatch> matches;
    std::uint64_t reactors = 0;  // all bits of `matches`
    bool durable = false;        // a session that outlives its connection may be among the subscribers
  };

  struct Counters {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;      // walked: not there
    std::uint64_t stale = 0;       // walked: there, but the subscriptions have changed
    std::uint64_t uncachable = 0;  // of the misses: too long or too many matches
  };

  // `reader` is this reactor's index. `capacity` is rounded up to a power of two of at least kWays; 0 switches the
  // cache off.
  TopicCache(RouteTable& routes, unsigned reader, std::size_t capacity = 4096);
  ~TopicCache();
  TopicCache(const TopicCache&) = delete;
  TopicCache& operator=(const TopicCache&) = delete;

  // What RouteTable::match would find, for a valid Topic Name.
  [[nodiscard]] Match match(std::string_view topic);

  void clear() noexcept;
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Heap memory of the cache.
  [[nodiscard]] std::size_t footprint() const noexcept;

 private:
  // 64 bytes: one cache line.
  struct alignas(64) Entry {
    [[nodiscard]] std::span<const RouteMatch> matches() const noexcept;
    [[nodiscard]] std::string_view topic() const noexcept;

    RouteVersion version;
    std::unique_ptr<std::byte[]> block;  // room for the matches, then the topic
    std::uint64_t reactors = 0;
    std::uint64_t last_use = 0;
    std::uint16_t version_slot = 0;
    std::uint16_t topic_size = 0;
    std::uint16_t match_count = 0;
    std::uint16_t match_room = 0;
    bool durable = false;
  };
  static_assert(sizeof(Entry) == 64);

  static constexpr std::size_t kNone = SIZE_MAX;

  [[nodiscard]] std::size_t find(std::string_view topic, std::size_t set, std::uint32_t tag) const noexcept;
  [[nodiscard]] std::size_t longest_unused(std::size_t set) const noexcept;
  Match walk(std::string_view topic);
  void keep(std::size_t place, std::string_view topic, std::uint32_t tag);
  void drop(std::size_t place) noexcept;
  [[nodiscard]] static Match answer(const Entry& entry) noexcept {
    return {entry.matches(), entry.reactors, entry.durable};
  }

  RouteTable& routes_;
  unsigned reader_;
  std::size_t capacity_;
  std::vector<std::uint32_t> tags_;       // of the entries, 0 where there is none: a set's share a cache line
  std::unique_ptr<Entry[]> entries_;      // made when the first topic repeats
  std::vector<std::uint32_t> seen_once_;  // tags of topics that missed, by hash
  MatchResult walked_;
  std::uint64_t uses_ = 0;
  std::size_t size_ = 0;
  std::size_t block_bytes_ = 0;
  Counters counters_;
};

}  // namespace mqloop::broker
