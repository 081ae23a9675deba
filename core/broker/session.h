// Session: the state of one client that outlives its connections (3.1.2.4, 4.1): subscriptions, what is to be sent,
// what was received and not released, the will. Owned by the SessionTable of its home reactor, where it stays; only
// that reactor's thread touches it.
//
//   event                                  absent       connected        away
//   CONNECT, no session or Clean Start     connected    ended, connected anew      ended, connected anew
//   CONNECT, session kept                  -            connected (taken over)     connected
//   connection ends, expiry interval 0     -            ended            -
//   connection ends, expiry interval > 0   -            away             -
//   expiry interval passes                 -            -                ended
//
// A session that has ended is found no more and gets nothing; its subscriptions and its queue go at once or, when they
// are many, in the turns that follow, and then it is destroyed.
//
// Away, a timer waits for the end of the session and another for the Will Delay Interval; a session that ends publishes
// a will that still waits [MQTT-3.1.2-8].
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/protocol.h>
#include <mqloop/publisher.h>

#include "core/broker/counters.h"
#include "core/broker/filter_budget.h"
#include "core/broker/outbound.h"
#include "core/broker/route_table.h"
#include "core/broker/settings.h"
#include "core/broker/shared_memberships.h"
#include "core/event/timer_wheel.h"
#include "core/mqtt/packet.h"
#include "core/mqtt/qos2_receiver.h"

namespace mqloop::broker {

class Connection;
class Shard;

// The Session Expiry Interval that never ends (3.1.2.11.2).
inline constexpr std::uint32_t kExpiryNever = 0xFFFFFFFF;
// The longest that limits.session.max_expiry_interval grants, in seconds.
[[nodiscard]] std::uint32_t longest_session_expiry(const LimitsSettings& limits) noexcept;

// Who a client is, as authentication found it. Without a name it came in anonymously, whatever it sent.
struct Identity {
  bool has_user_name = false;
  std::string user_name;
  friend bool operator==(const Identity&, const Identity&) = default;
};

// A Will Message as CONNECT brought it; its Message Expiry Interval counts from its publication.
struct StoredWill {
  Ref<const Message> message;
  std::optional<std::uint32_t> message_expiry_interval;
  std::uint32_t delay_interval = 0;
};

class Session {
 public:
  Session(Shard& shard, std::uint64_t number, std::string_view client_id, Identity identity);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Its place in the SessionTable, which sets it.
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  void set_slot(std::uint32_t slot) noexcept { slot_ = slot; }
  // Never used twice while the broker runs.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] std::string_view client_id() const noexcept { return client_id_; }
  // What Message::publisher() says of messages that this client published.
  [[nodiscard]] std::uint64_t client_key() const noexcept { return client_key_; }
  [[nodiscard]] const Identity& identity() const noexcept { return identity_; }
  // As access rules see this client on its latest connection; null: that listener has no authorizers.
  [[nodiscard]] const Ref<const Principal>& principal() const noexcept { return principal_; }
  void set_principal(Ref<const Principal> principal) noexcept { principal_ = std::move(principal); }
  // Null while its client is away.
  [[nodiscard]] Connection* connection() const noexcept { return connection_; }
  [[nodiscard]] std::uint32_t expiry_interval() const noexcept { return expiry_interval_; }
  void set_expiry_interval(std::uint32_t seconds) noexcept { expiry_interval_ = seconds; }
  // That its client came by last; null: it is not in the configuration any more.
  [[nodiscard]] const ListenerSettings* listener() const noexcept { return listener_; }
  void set_listener(const ListenerSettings* listener) noexcept { listener_ = listener; }
  // As that listener has them.
  [[nodiscard]] const LimitsSettings& limits() const noexcept;
  // It outlives its connection.
  [[nodiscard]] bool is_durable() const noexcept { return expiry_interval_ != 0; }
  // The publisher hears of it.
  [[nodiscard]] bool is_kept() const noexcept { return kept_; }
  void set_kept(bool kept) noexcept { kept_ = kept; }

  // A connection has taken the session up; timers stop, a delayed will is dropped [MQTT-3.1.3-9].
  void connected(Connection& connection, const ListenerSettings& listener) noexcept;
  // The session has ended: nothing of it waits for anything any more. What is many goes with clear_some().
  void end() noexcept;
  [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }
  // Once it has ended: takes subscriptions out of the tables and messages out of the queue until `budget` is spent.
  // True when none is left.
  bool clear_some(FilterBudget& budget);
  // The connection is gone and the session stays: its timers start.
  void disconnected() noexcept;
  // They start, with so much left of its expiry interval.
  void away(std::chrono::seconds remaining) noexcept;

  [[nodiscard]] const std::unique_ptr<StoredWill>& will() const noexcept { return will_; }
  void set_will(std::unique_ptr<StoredWill> will) noexcept { will_ = std::move(will); }
  [[nodiscard]] std::unique_ptr<StoredWill> take_will() noexcept { return std::move(will_); }

  struct Subscribed {
    FilterId filter;
    bool existed = false;  // an identical filter was replaced [MQTT-3.8.4-3]
  };
  // `access` is Subscriber::access() of the new subscription.
  Subscribed subscribe(std::string_view filter, const mqtt::SubscriptionOptions& options, std::uint32_t identifier,
                       std::uint8_t access);
  // False when there was no such subscription.
  bool unsubscribe(std::string_view filter);
  [[nodiscard]] bool has_subscription(std::string_view filter) const;
  // What was allowed before is allowed no more as a matter of course: every delivery is checked from now on, also of
  // what is queued already. `access` as above.
  void check_deliveries(std::uint8_t access) noexcept;
  [[nodiscard]] const std::vector<FilterId>& filters() const noexcept { return filters_; }
  // Of a replaying subscription: live copies of retained publishes up to this sequence were replayed already.
  [[nodiscard]] bool was_replayed(FilterId filter, std::uint64_t sequence) const noexcept;
  void note_replay(FilterId filter, std::uint64_t last_sequence);

  // Null while it has no shared subscriptions; filters() are the others.
  [[nodiscard]] SharedMemberships* shared() noexcept { return shared_.get(); }
  SharedMemberships& make_shared();
  void free_shared_if_empty() noexcept;
  void drop_shared() noexcept { shared_.reset(); }
  // Of both kinds.
  [[nodiscard]] std::size_t subscriptions() const noexcept {
    return filters_.size() + (shared_ ? shared_->count() : 0);
  }

  // Null while there is nothing to send.
  [[nodiscard]] Outbound* outbound() noexcept { return outbound_.get(); }
  [[nodiscard]] const Outbound* outbound() const noexcept { return outbound_.get(); }
  Outbound& make_outbound();
  // `entry`, which is one of outbound(), as a publisher is told of it. Borrows from both.
  [[nodiscard]] Recipient recipient(const OutboundEntry& entry) const noexcept;
  void free_outbound_if_empty() noexcept;
  [[nodiscard]] mqtt::Qos2Receiver& received() noexcept { return received_; }

  // What its client has lost since the session began; null: nothing. Shard::drop() counts.
  [[nodiscard]] const ClientDrops* drops() const noexcept { return drops_.get(); }
  [[nodiscard]] ClientDrops& make_drops();

  // Scratch of the delivery that is under way: the place of this session among its recipients.
  std::uint64_t delivery_mark = 0;
  std::uint32_t delivery_index = 0;

 private:
  struct Absence;
  // By filter: the sequence up to which its retained messages were replayed.
  using ReplayMarks = std::unordered_map<std::uint64_t, std::uint64_t>;

  void forget_place(std::uint32_t place) noexcept;
  void shrink_filters();
  void unsubscribe_last(std::size_t count);
  void on_expiry() noexcept;
  void on_will_delay() noexcept;

  Shard& shard_;
  std::uint32_t slot_ = 0;
  std::uint32_t expiry_interval_ = 0;
  std::uint64_t number_;
  std::uint64_t client_key_;
  std::string client_id_;
  Identity identity_;
  Ref<const Principal> principal_;
  Connection* connection_ = nullptr;
  bool has_ended_ = false;
  bool kept_ = false;
  const ListenerSettings* listener_ = nullptr;
  std::vector<FilterId> filters_;
  std::unique_ptr<ReplayMarks> replays_;
  std::unique_ptr<SharedMemberships> shared_;
  std::unique_ptr<Outbound> outbound_;
  mqtt::Qos2Receiver received_;
  std::unique_ptr<StoredWill> will_;
  std::unique_ptr<Absence> absence_;
  std::unique_ptr<ClientDrops> drops_;
};

}  // namespace mqloop::broker
