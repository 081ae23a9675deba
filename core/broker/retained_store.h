// The RetainedStore holds the retained message of each topic (3.3.1.3) and enumerates those that match a filter. One
// per broker, shared by all its reactors, owned by the Broker.
// Any thread may call anything. Locks are those of the RouteTable: whoever reads or replaces a value holds the mutex of
// the reader it names and one of the striped value locks; a new topic, or one that goes, is a structural write under
// all readers' mutexes, at most kEdgesPerHold edges at a time. No Message is destroyed under a lock.
// Each stored value draws a sequence number under the lock that makes it visible. last_sequence() == A therefore means:
// every value up to A can be read from now on, which is what a new subscription builds its replay on (Retained::
// sequence <= A is replayed, a live copy with a sequence <= A is not sent to it).
// Limits are the caller's: it asks count() and bytes() before it stores; expiry too: it is judged at delivery and by
// sweep().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/broker/level_tree.h"
#include "core/broker/reader_locks.h"
#include "core/broker/topic_hash.h"

namespace mqloop::broker {

class RetainedCursor;

struct Retained {
  Ref<const Message> message;
  std::uint64_t sequence = 0;
};

class RetainedStore {
 public:
  static constexpr std::size_t kEdgesPerHold = 64;

  RetainedStore(unsigned readers, TopicHash hash);
  ~RetainedStore();
  RetainedStore(const RetainedStore&) = delete;
  RetainedStore& operator=(const RetainedStore&) = delete;

  struct Change {
    Ref<const Message> previous;  // what the topic held
    std::uint64_t sequence = 0;   // of this change; the live copies of the publish carry it
  };
  // Makes `message` the retained message of its topic, a valid Topic Name [MQTT-3.3.1-5].
  Change store(Ref<const Message> message, unsigned reader);
  // Removes the retained message of `topic`, as a retained PUBLISH with an empty payload asks [MQTT-3.3.1-6].
  Change clear(std::string_view topic, unsigned reader);

  // A null message when the topic has none.
  [[nodiscard]] Retained get(std::string_view topic, unsigned reader);

  // Before the first change: sequences are above this one.
  void start_above(std::uint64_t sequence) noexcept { sequence_.store(sequence, std::memory_order_release); }
  // The sequence of the latest change; 0 before the first.
  [[nodiscard]] std::uint64_t last_sequence() const noexcept { return sequence_.load(std::memory_order_acquire); }

  // Removes what `condemned(const Message&)` names among the next at most `budget` nodes of `cursor`, a cursor over
  // everything, and appends it to `removed`. The predicate is called under the locks: it judges and returns. True when
  // more may come: call again.
  template <typename Predicate>
  bool sweep(RetainedCursor& cursor, Predicate&& condemned, std::size_t budget,
             std::vector<Ref<const Message>>& removed) {
    const auto judge = [](void* context, const Message& message) -> bool {
      return (*static_cast<std::remove_reference_t<Predicate>*>(context))(message);
    };
    return sweep_slice(cursor, judge, const_cast<void*>(static_cast<const void*>(&condemned)), budget, removed);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  // The sum of the messages' footprints.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t node_count() const noexcept { return nodes_.load(std::memory_order_relaxed); }
  // Heap memory of the tree itself, without the messages.
  [[nodiscard]] std::size_t footprint() const noexcept { return footprint_.load(std::memory_order_relaxed); }

 private:
  friend class RetainedCursor;

  // Links change under all readers' mutexes only; `pins`, `message` and `sequence` under one of them and the node's
  // value lock, or under all.
  struct Node : LevelNode {
    std::uint32_t first_child = 0;
    std::uint32_t next = 0;  // among the parent's children
    std::uint32_t previous = 0;
    std::uint32_t pins = 0;  // who will come back here; the node stays
    Ref<const Message> message;
    std::uint64_t sequence = 0;
  };
  static_assert(sizeof(Node) == 56);
  using Tree = LevelTree<Node>;
  using Judge = bool (*)(void* context, const Message& message);
  struct alignas(64) ValueLock {
    AdaptiveMutex mutex;
  };
  static constexpr std::size_t kValueLocks = 64;

  [[nodiscard]] std::uint32_t walk(std::string_view topic) const;
  std::uint32_t step_down(std::uint32_t number, std::string_view level);
  Change create(Ref<const Message> message);
  Change exchange(Node& node, Ref<const Message> message) noexcept;
  bool unpin_in_use(std::uint32_t number);
  void unpin_all(std::span<const std::uint32_t> numbers);
  void prune(std::uint32_t number, std::size_t& budget, std::uint32_t& pinned);
  void publish_sizes() noexcept;
  bool sweep_slice(RetainedCursor& cursor, Judge judge, void* context, std::size_t budget,
                   std::vector<Ref<const Message>>& removed);
  [[nodiscard]] AdaptiveMutex& value_lock(std::uint32_t number) noexcept {
    return value_locks_[number % kValueLocks].mutex;
  }

  ReaderLocks readers_;
  std::unique_ptr<ValueLock[]> value_locks_;
  Tree tree_;
  std::atomic<std::uint64_t> sequence_{0};
  std::atomic<std::size_t> count_{0};
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> nodes_{0};
  std::atomic<std::size_t> footprint_{0};
};

// Enumerates the retained messages that match a filter, a slice at a time. Between slices it pins the node it stopped
// at and holds no lock. A topic that has a message from the first slice to the last is found once, with the old message
// or the new one when it was replaced meanwhile; one that comes or goes between the slices may be found or not. Used by
// one thread at a time; must die before the store.
class RetainedCursor {
 public:
  // `filter` is a valid Topic Filter; it is copied.
  RetainedCursor(RetainedStore& store, std::string_view filter, unsigned reader);
  // Over every topic, those that begin with $ included, which no filter names together with the others.
  static RetainedCursor everything(RetainedStore& store, unsigned reader) {
    return RetainedCursor(store, "#", reader, Scope::kEverything);
  }
  ~RetainedCursor();
  RetainedCursor(const RetainedCursor&) = delete;
  RetainedCursor& operator=(const RetainedCursor&) = delete;

  // Appends the matching messages among the next at most `budget` nodes (at least one is visited). True when more may
  // come: call again.
  bool next(std::size_t budget, std::vector<Retained>& out);

 private:
  friend class RetainedStore;
  enum class Scope : std::uint8_t { kFilter, kEverything };
  struct Level {
    std::string_view text;
    std::uint64_t hash;
  };

  RetainedCursor(RetainedStore& store, std::string_view filter, unsigned reader, Scope scope);

  // Visits nodes until the budget ends, under the reader's mutex; then pins the last one. `visit` gets each node whose
  // topic matches.
  template <typename Visit>
  bool advance(std::size_t budget, Visit&& visit);
  bool step();
  std::uint32_t down() const;
  [[nodiscard]] bool all_children(std::size_t depth) const noexcept;
  void leave() noexcept;

  RetainedStore& store_;
  std::string filter_;
  std::vector<Level> levels_;  // without a closing "#"
  bool rest_ = false;          // the filter ends with "#"
  Scope scope_;
  bool finished_ = false;
  bool pinned_ = false;
  unsigned reader_;
  std::uint32_t node_;     // visited; its children are not
  std::size_t depth_ = 0;  // levels between the root and node_
};

}  // namespace mqloop::broker
