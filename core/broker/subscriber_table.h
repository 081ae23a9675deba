// The SubscriberTable says who on this reactor subscribes to a filter: FilterId -> Subscribers. One per reactor, owned
// by it and touched by its thread alone.
// A filter with one subscriber (most have no more) costs no allocation of its own; a long list knows each session's
// place, so that adding, finding, replacing and removing one subscriber of 100,000 take the same time as one of two.
// Invariant: a session stands at most once under a filter, and a FilterId is present only while it has a subscriber.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/broker/hash_index.h"
#include "core/broker/node_pool.h"
#include "core/broker/route_table.h"

namespace mqloop::broker {

// 16 bytes, trivially copyable.
struct Subscriber {
  static constexpr std::uint8_t kQosMask = 0x03;
  static constexpr std::uint8_t kNoLocal = 0x04;
  static constexpr std::uint8_t kRetainAsPublished = 0x08;
  static constexpr std::uint8_t kSharedGroup = 0x10;    // `session` is the slot of a shared subscription's group
  static constexpr std::uint8_t kCheckDelivery = 0x20;  // the authorizer wants to see each delivery
  static constexpr std::uint8_t kNeedsAllow = 0x80;     // with kCheckDelivery: nobody allowed the whole filter

  std::uint32_t session = 0;                  // slot of the session on this reactor
  std::uint32_t subscription_identifier = 0;  // 0: none
  std::uint32_t cookie = 0;                   // the owner's: for instance the place in the session's list of filters
  std::uint8_t options = 0;
  std::uint8_t replay_bytes[3] = {};

  // Of the replay of retained messages to it that counts, 24 bits; 0: there was none.
  [[nodiscard]] std::uint32_t replay() const noexcept {
    return replay_bytes[0] | static_cast<std::uint32_t>(replay_bytes[1]) << 8 |
           static_cast<std::uint32_t>(replay_bytes[2]) << 16;
  }
  void set_replay(std::uint32_t number) noexcept {
    for (unsigned i = 0; i != 3; ++i) replay_bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  [[nodiscard]] std::uint8_t qos() const noexcept { return options & kQosMask; }
  [[nodiscard]] bool is_group() const noexcept { return (options & kSharedGroup) != 0; }
  [[nodiscard]] bool no_local() const noexcept { return (options & kNoLocal) != 0; }
  // What DeliveryAccess has to know; 0: it need not be asked.
  [[nodiscard]] std::uint8_t access() const noexcept {
    return (options & kCheckDelivery) == 0 ? 0 : options & (kCheckDelivery | kNeedsAllow);
  }
  // It may not want every message that matches its filter.
  [[nodiscard]] bool has_conditions() const noexcept { return (options & (kNoLocal | kCheckDelivery)) != 0; }
  [[nodiscard]] bool retain_as_published() const noexcept { return (options & kRetainAsPublished) != 0; }
};
static_assert(sizeof(Subscriber) == 16);

class SubscriberCursor;

class SubscriberTable {
 public:
  SubscriberTable();
  ~SubscriberTable();
  SubscriberTable(const SubscriberTable&) = delete;
  SubscriberTable& operator=(const SubscriberTable&) = delete;

  enum class Put : std::uint8_t {
    kFirst,     // the filter's first subscriber on this reactor
    kAdded,     // one more
    kReplaced,  // the session was there already: options and identifier are the new ones, its place is the old one
  };
  Put put(FilterId filter, const Subscriber& subscriber);

  struct Removed {
    Subscriber subscriber;
    bool last = false;  // the filter has no subscriber left here: clear this reactor's bit in the RouteTable
  };
  std::optional<Removed> remove(FilterId filter, std::uint32_t session);

  // For reading and for changing cookie, options or identifier in place (never `session`). Null when there is none.
  // Valid until the next put or remove.
  [[nodiscard]] Subscriber* find(FilterId filter, std::uint32_t session) noexcept;
  // Everybody under the filter; empty for a stale FilterId. Valid until the next put or remove.
  [[nodiscard]] std::span<const Subscriber> subscribers(FilterId filter) const noexcept;

  [[nodiscard]] std::size_t filter_count() const noexcept { return index_.size(); }
  [[nodiscard]] std::size_t subscriber_count() const noexcept { return subscribers_; }
  // Heap memory of the table.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return entries_.footprint() + index_.footprint() + list_bytes_;
  }

 private:
  friend class SubscriberCursor;

  // The subscribers of a filter that has two or more.
  struct List {
    [[nodiscard]] std::size_t footprint() const noexcept;
    [[nodiscard]] std::uint32_t place_of(std::uint32_t session) const noexcept;  // size() when it is not there
    void append(const Subscriber& subscriber);
    void move(std::uint32_t from, std::uint32_t to) noexcept;
    void drop_last();  // whose place in the index is forgotten already

    std::vector<Subscriber> subscribers;
    std::unique_ptr<HashIndex> places;  // session -> place + 1, for long lists
  };

  // The subscribers of one filter.
  struct Entry {
    Entry() noexcept : one() {}
    ~Entry() {
      if (size > 1) delete list;
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    std::uint32_t generation = 0;
    std::uint32_t size = 0;
    union {
      Subscriber one;  // up to one
      List* list;      // more
    };
  };
  static_assert(sizeof(Entry) == 24);

  [[nodiscard]] std::uint32_t number_of(FilterId filter) const noexcept;
  void append(Entry& entry, const Subscriber& subscriber);
  Subscriber take_from_list(Entry& entry, FilterId filter, std::uint32_t place);

  NodePool<Entry> entries_;
  HashIndex index_;  // slot -> entry
  std::size_t subscribers_ = 0;
  std::size_t list_bytes_ = 0;
  std::vector<SubscriberCursor*> cursors_;
};

// Visits the subscribers that a filter had when the cursor was made, in slices, while others come and go between the
// slices: each that stays is visited once, one that left is not visited, one that came later (or left and came back)
// is not visited. Belongs to the table's thread and must die before the table.
class SubscriberCursor {
 public:
  SubscriberCursor(SubscriberTable& table, FilterId filter);
  ~SubscriberCursor();
  SubscriberCursor(const SubscriberCursor&) = delete;
  SubscriberCursor& operator=(const SubscriberCursor&) = delete;

  // The next at most `most` subscribers; empty when all were visited. Valid until the next put or remove.
  [[nodiscard]] std::span<const Subscriber> next(std::size_t most) noexcept;
  [[nodiscard]] std::size_t left() const noexcept { return end_ - position_; }
  // The subscriber of `session`, visited or to be visited; null for who came later. Valid until the next put or remove.
  [[nodiscard]] const Subscriber* find(std::uint32_t session) const noexcept;
  [[nodiscard]] FilterId filter() const noexcept { return filter_; }
  // From here on both visit the same subscribers in the same order.
  [[nodiscard]] bool stands_as(const SubscriberCursor& other) const noexcept {
    return filter_ == other.filter_ && position_ == other.position_ && end_ == other.end_;
  }

 private:
  friend class SubscriberTable;

  // The list lies as visited [0, position_), to be visited [position_, end_), come later [end_, size).
  SubscriberTable& table_;
  FilterId filter_;
  std::uint32_t position_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace mqloop::broker
