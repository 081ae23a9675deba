// Parcel: what one reactor gives the publisher between two sendings, in the order in which it happened; filled by its
// shard, fed to the ledger by the writer, then used again. Owned by one of them at a time, so nothing in it is locked.
// Flat on purpose: a message costs one entry and each of its deliveries another, and no allocation once the vectors
// have grown. An entry with a message holds a reference to it, which whoever feeds it takes over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/message.h>
#include <mqloop/publisher.h>

namespace mqloop::publisher_sqlite {

enum class EntryKind : std::uint8_t {
  kSource,       // begins a SourceBlock: `number` of the turn, `session`: the targets, `message_number`: the highest of
                 // those that were published in it
  kPublished,    // a QoS 2 PUBLISH of a durable session, in it
  kRecipients,   // begins a RecipientBlock: `number` of the turn, `session`: its source, `count` entries follow
  kRecipient,    // in it
  kFlush,        // the end of this reactor's turn `number`; `count`: publishes that were acknowledged before
  kSession,      // `detail`: into Parcel::sessions
  kReleased,     // PUBREL
  kSubscribe,    // `detail`: into Parcel::subscriptions
  kUnsubscribe,  // likewise
  kDelivered,    // these six as in DeliveryEventKind
  kReceived,
  kAcknowledged,
  kDropped,
  kReturned,
  kGroupDone,
  kRetained,  // `number`: its sequence. Without a message: cleared, and `detail` has the topic
};

struct Entry {
  union {
    std::uint64_t message_number = 0;
    const Message* message;  // with a reference of its own: `has_message`
  };
  std::uint64_t session = 0;
  std::uint64_t number = 0;  // of the delivery
  union {
    std::uint32_t identifier = 0;  // Subscription Identifier of a delivery
    std::uint32_t count;
  };
  std::uint32_t detail = 0;
  std::uint16_t packet_id = 0;
  EntryKind kind = EntryKind::kFlush;
  std::uint8_t qos : 2 = 0;
  bool retain : 1 = false;
  bool durable : 1 = false;  // the session outlives its connection
  bool waits : 1 = false;    // somebody waits until this is on disk
  bool has_detail : 1 = false;
  bool has_message : 1 = false;
};

// A session as it was at the time of an event.
struct SessionEntry {
  SessionEventKind kind = SessionEventKind::kCreated;
  std::uint64_t number = 0;
  std::string client_id;
  bool has_user_name = false;
  std::string user_name;
  std::uint32_t expiry_interval = 0;
  bool connected = false;
  WallTime at{};
  Ref<const Message> will;
  std::uint32_t will_delay = 0;
  std::optional<std::uint32_t> will_expiry;
  Ref<const Principal> principal;
};

struct SubscriptionEntry {
  std::uint64_t session = 0;
  std::string filter;
  QoS qos = QoS::kAtMostOnce;
  std::uint8_t options = 0;
  std::uint32_t identifier = 0;
  bool removed = false;
};

// What few deliveries have: the name of a group, several Subscription Identifiers.
struct Detail {
  std::string_view group;
  std::span<const std::uint32_t> identifiers;
};

class Parcel {
 public:
  explicit Parcel(std::uint32_t reactor) noexcept : reactor_(reactor) {}
  ~Parcel() { drop_messages(); }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  [[nodiscard]] std::uint32_t reactor() const noexcept { return reactor_; }
  [[nodiscard]] bool empty() const noexcept { return entries.empty(); }
  // About what it occupies, its messages included.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return entries.size() * sizeof(Entry) + message_bytes_ + sessions.size() * sizeof(SessionEntry) +
           subscriptions.size() * sizeof(SubscriptionEntry) + text_.size();
  }

  Entry& add(EntryKind kind) {
    Entry& entry = entries.emplace_back();
    entry.kind = kind;
    return entry;
  }
  // Gives `entry` a reference to `message`.
  void hold(Entry& entry, const Message& message) noexcept;
  void set_text(Entry& entry, std::string_view text);
  void set_detail(Entry& entry, std::string_view group, std::span<const std::uint32_t> identifiers);

  [[nodiscard]] std::string_view text(const Entry& entry) const noexcept;
  // Empty without one. `identifiers` lives in `scratch`.
  [[nodiscard]] Detail detail(const Entry& entry, std::vector<std::uint32_t>& scratch) const;

  // Ready to be filled again, its memory kept.
  void clear() noexcept;

  std::vector<Entry> entries;
  std::vector<SessionEntry> sessions;
  std::vector<SubscriptionEntry> subscriptions;
  std::vector<Ref<const Message>> discarded;  // on its way back
  // What the reactor's clocks said when it was sent.
  MonotonicTime now{};
  WallTime wall_now{};

 private:
  void drop_messages() noexcept;

  const std::uint32_t reactor_;
  std::size_t message_bytes_ = 0;
  const Message* last_ = nullptr;  // counted already; of no other use
  std::string text_;
};

}  // namespace mqloop::publisher_sqlite
