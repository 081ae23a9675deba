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

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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

  // The sequence of the latest change; 0 before the first.
  [[nodiscard]] std::uint64_t last_sequence() const noexcept { return sequence_.load(std::memory_order_acquire); }

  // Removes what `condemned(const Message&)` names among the next at most `budget` nodes of `cursor`, a cursor over
  // everything. True when the cursor has reached the end.
  template <typename Predicate>
  bool sweep(RetainedCursor& cursor, Predicate&& condemned, std::size_t budget);

  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  // The sum of the messages' footprints.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t node_count() const noexcept { return nodes_.load(std::memory_order_relaxed); }
  // Heap memory of the tree itself, without the messages.
  [[nodiscard]] std::size_t footprint() const noexcept { return footprint_.load(std::memory_order_relaxed); }
};

// Enumerates the retained messages that match a filter, a slice at a time. Between slices it pins the node it stopped
// at and holds no lock. A message that is there from the first slice to the last is found once; one that comes, goes or
// is replaced meanwhile may be found or not. Used by one thread at a time; must die before the store.
class RetainedCursor {
 public:
  // `filter` is a valid Topic Filter; it is copied.
  RetainedCursor(RetainedStore& store, std::string_view filter, unsigned reader);
  // Over every topic, those that begin with $ included, which no filter can name at once.
  static RetainedCursor everything(RetainedStore& store, unsigned reader);
  ~RetainedCursor();
  RetainedCursor(const RetainedCursor&) = delete;
  RetainedCursor& operator=(const RetainedCursor&) = delete;

  // Appends the matching messages among the next at most `budget` nodes. True when more may come: call again.
  bool next(std::size_t budget, std::vector<Retained>& out);
};

}  // namespace mqloop::broker
