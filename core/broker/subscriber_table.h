// The SubscriberTable says who on this reactor subscribes to a filter: FilterId -> Subscribers. One per reactor, owned
// by it and touched by its thread alone.
// A filter with one subscriber (most have no more) costs no allocation of its own; a long list knows each session's
// place, so that adding, finding, replacing and removing one subscriber of 100,000 take the same time as one of two.
// Invariant: a session stands at most once under a filter, and a FilterId is present only while it has a subscriber.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/broker/hash_index.h"
#include "core/broker/route_table.h"

namespace mqloop::broker {

// 16 bytes, trivially copyable.
struct Subscriber {
  static constexpr std::uint8_t kQosMask = 0x03;
  static constexpr std::uint8_t kNoLocal = 0x04;
  static constexpr std::uint8_t kRetainAsPublished = 0x08;
  static constexpr std::uint8_t kSharedGroup = 0x10;    // `session` is the slot of a shared subscription's group
  static constexpr std::uint8_t kCheckDelivery = 0x20;  // the authorizer wants to see each delivery
  static constexpr std::uint8_t kReplaying = 0x40;      // retained messages are being replayed to it

  std::uint32_t session = 0;                  // slot of the session on this reactor
  std::uint32_t subscription_identifier = 0;  // 0: none
  std::uint32_t cookie = 0;                   // the owner's: for instance the place in the session's list of filters
  std::uint8_t options = 0;
  std::uint8_t user[3] = {};  // the owner's

  [[nodiscard]] std::uint8_t qos() const noexcept { return options & kQosMask; }
  [[nodiscard]] bool no_local() const noexcept { return (options & kNoLocal) != 0; }
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

  [[nodiscard]] std::size_t filter_count() const noexcept;
  [[nodiscard]] std::size_t subscriber_count() const noexcept { return subscribers_; }
  [[nodiscard]] std::size_t footprint() const noexcept;
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
};

}  // namespace mqloop::broker
