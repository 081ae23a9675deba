// The RouteTable says which reactors have subscribers for a topic: filter -> bitmap of reactors. One per broker, shared
// by all its reactors (at most 64), owned by the Broker.
// Any thread may call anything. A reader holds the one mutex of the index it names (a reactor names its own, so nobody
// waits) for one walk and copies the FilterIds out; a writer holds the mutexes of all readers, in index order, for at
// most kEdgesPerHold edges at a time. What changed is announced by the cache versions before the mutexes are released.
// Invariant: a node exists only while a filter ends in it or below it (or a writer is on its way through it), so memory
// follows the number of filters.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/level_tree.h"
#include "core/broker/reader_locks.h"
#include "core/broker/topic_hash.h"

namespace mqloop::broker {

// Names a filter for as long as any reactor subscribes to it. The generation tells it from every other filter that had
// or will have the same slot, so that a FilterId kept across turns or threads is at worst stale, never wrong.
struct FilterId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0 names no filter

  explicit operator bool() const noexcept { return generation != 0; }
  friend bool operator==(FilterId, FilterId) noexcept = default;
};

struct RouteMatch {
  FilterId filter;
  std::uint64_t reactors = 0;  // bit r: reactor r has subscribers
};

// The state of the table that an answer about one topic rests on: while it is unchanged, so is the answer.
struct RouteVersion {
  std::uint64_t first_level = 0;       // changes of filters whose first level hashes like the topic's
  std::uint64_t leading_wildcard = 0;  // changes of filters that begin with + or #

  friend bool operator==(const RouteVersion&, const RouteVersion&) noexcept = default;
};

// What one walk found. Keep one and use it again: it allocates only to become larger than ever before.
struct MatchResult {
  std::vector<RouteMatch> matches;  // each filter once, in no particular order
  std::uint64_t reactors = 0;       // all bits of `matches`
  bool durable = false;             // a session that outlives its connection may be among the subscribers
  RouteVersion version;             // as of the walk
  std::uint16_t version_slot = 0;   // where RouteTable::version() finds the present one for this topic
};

class RouteTable {
 public:
  static constexpr unsigned kMaxReactors = 64;
  static constexpr std::size_t kEdgesPerHold = 64;
  static constexpr std::size_t kVersionSlots = 1024;

  // `reactors` is 1..64. `hash` converts from a HashSeed.
  RouteTable(unsigned reactors, TopicHash hash);
  ~RouteTable();
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  struct Added {
    FilterId filter;
    bool created = false;  // no reactor had this filter before
  };
  // `filter` is a valid Topic Filter (of a shared subscription: the part after the ShareName). Sets the bit of
  // `reactor`; adding again is harmless and gives the same FilterId. `durable`: for a session that outlives its
  // connection. That such a one has subscribed is remembered as long as there is the filter.
  Added add(std::string_view filter, unsigned reactor, bool durable = false);
  // The same for the filters of a long SUBSCRIBE, several to a hold. `added` has the size of `filters`.
  void add(std::span<const std::string_view> filters, unsigned reactor, std::span<Added> added, bool durable = false);

  // Clears the bit of `reactor`. True when that was the filter's last one: it is gone and its FilterId stale. A stale
  // FilterId is ignored.
  bool remove(FilterId filter, unsigned reactor);
  // The same for the filters of a session that ends, several to a hold. Returns how many filters are gone.
  std::size_t remove(std::span<const FilterId> filters, unsigned reactor);

  // Finds the filters that match `topic`, a valid Topic Name, and replaces what `out` held.
  void match(std::string_view topic, unsigned reader, MatchResult& out);

  // As of now, without a lock: whoever was told of a change sees the version that came with it.
  [[nodiscard]] RouteVersion version(std::uint16_t slot) const noexcept {
    return {versions_[slot].load(std::memory_order_acquire), wildcard_version_.load(std::memory_order_acquire)};
  }

  // No FilterId (false) when no reactor has the filter.
  [[nodiscard]] FilterId find(std::string_view filter, unsigned reader);
  // Empty when the FilterId is stale.
  [[nodiscard]] std::string filter_text(FilterId filter, unsigned reader);
  // The reactors of a filter; 0 when the FilterId is stale.
  [[nodiscard]] std::uint64_t reactors(FilterId filter, unsigned reader);

  [[nodiscard]] const TopicHash& hash() const noexcept { return hash_; }
  [[nodiscard]] unsigned reactor_count() const noexcept { return static_cast<unsigned>(readers_.size()); }
  [[nodiscard]] std::size_t filter_count() const noexcept { return filters_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t node_count() const noexcept { return nodes_.load(std::memory_order_relaxed); }
  // Heap memory of the table, its level texts included.
  [[nodiscard]] std::size_t footprint() const noexcept { return footprint_.load(std::memory_order_relaxed); }

 private:
  struct Node : LevelNode {
    std::uint32_t children : 29 = 0;  // and one for each writer that will come back here in its next hold
    std::uint32_t has_plus : 1 = 0;
    std::uint32_t has_number_sign : 1 = 0;
    std::uint32_t durable : 1 = 0;  // a session that outlives its connection has subscribed since there is the filter
    std::uint32_t generation = 0;   // 0: no filter ends here
    std::uint64_t reactors = 0;
  };
  static_assert(sizeof(Node) == 40);
  using Tree = LevelTree<Node>;

  // Nodes that a walk has reached, kept to spare allocations; guarded by the reader's mutex.
  struct alignas(64) Frontier {
    std::vector<std::uint32_t> now;
    std::vector<std::uint32_t> next;
  };
  class Descent;

  std::uint32_t step_down(std::uint32_t node, std::string_view level);
  Added attach(std::uint32_t node, std::uint64_t reactor, std::string_view filter, bool durable);
  bool detach(FilterId filter, std::uint64_t reactor, std::size_t& budget, std::uint32_t& pinned);
  void prune(std::uint32_t node, std::size_t& budget, std::uint32_t& pinned);
  void bump(std::string_view first_level);
  void publish_sizes() noexcept;

  static void emit(std::uint32_t slot, const Node& node, MatchResult& out);
  void emit_rest(std::uint32_t number, MatchResult& out) const;
  void spread(std::uint32_t number, std::string_view level, std::uint64_t level_hash, std::vector<std::uint32_t>& next,
              MatchResult& out) const;

  TopicHash hash_;
  ReaderLocks readers_;
  Tree tree_;
  std::unique_ptr<Frontier[]> frontiers_;
  std::uint32_t last_generation_ = 0;
  std::array<std::atomic<std::uint64_t>, kVersionSlots> versions_{};
  std::atomic<std::uint64_t> wildcard_version_{0};
  std::atomic<std::size_t> filters_{0};
  std::atomic<std::size_t> nodes_{0};
  std::atomic<std::size_t> footprint_{0};
};

}  // namespace mqloop::broker
