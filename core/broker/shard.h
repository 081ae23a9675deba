// Shard: the part of the broker that lives on one reactor. It owns that reactor's connections and sessions and ties the
// parts that work on them together; what is shared by all reactors it reaches through the Broker. Everything here is
// for the reactor's own thread, but for what says «any thread».
//
// A turn, after what arrived in it was handled: connections with input left over -> closings put off -> replays of
// retained messages -> slices of fan-outs -> publishes and out-boxes -> output of dirty connections -> mail about
// shared subscriptions -> the dead are destroyed. Another configuration comes by mail, so all that happens between its
// arrival and the next turn's mail goes by it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/publisher.h>

#include "core/base/log_brake.h"
#include "core/base/slab_pool.h"
#include "core/broker/client_directory.h"
#include "core/broker/connection.h"
#include "core/broker/counters.h"
#include "core/broker/credit.h"
#include "core/broker/delivery.h"
#include "core/broker/delivery_access.h"
#include "core/broker/fan_outs.h"
#include "core/broker/filter_budget.h"
#include "core/broker/generation.h"
#include "core/broker/hook_chain.h"
#include "core/broker/listener_gate.h"
#include "core/broker/memory_guard.h"
#include "core/broker/publisher_trouble.h"
#include "core/broker/publishing.h"
#include "core/broker/refusal_log.h"
#include "core/broker/retained_replay.h"
#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/session_table.h"
#include "core/broker/shared_groups.h"
#include "core/broker/shared_mail.h"
#include "core/broker/shared_members.h"
#include "core/broker/subscriber_table.h"
#include "core/broker/take_over_brake.h"
#include "core/broker/wills.h"
#include "core/event/loop.h"

namespace mqloop::broker {

class Broker;

class Shard final : public event::TurnHandler, private PublishSink {
 public:
  Shard(Broker& broker, event::Loop& loop, HashSeed seed);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Starts the plugins and the publisher's shard.
  [[nodiscard]] Status start();
  // A session of an earlier run, before start().
  void restored(const Session& session, std::chrono::seconds remaining, bool was_connected);
  // Every shard has started: what waited for that in the restored sessions goes on.
  void begin();
  // Publishes every will that there is, of those who are away too, to the last box.
  void publish_wills();
  // Says good-bye to every client; `stopped` is called when all are gone, or after `deadline`.
  void stop(std::chrono::milliseconds deadline, std::function<void()> stopped);

  // ---- another configuration; each by mail from loop 0, which sees to the order (broker.h)
  // Starts the plugins of `next` that do not run yet. When it fails everything is as before.
  [[nodiscard]] Status prepare(Ref<const BrokerConfiguration> next);
  void discard_prepared() noexcept;
  // Works by what was prepared from here on. `views`: what it says of the listeners, by the slots of their gates.
  void switch_to_prepared(std::vector<ListenerView> views);

  // ---- what this reactor works by; references and pointers hold for the turn
  [[nodiscard]] const BrokerSettings& settings() const noexcept { return current_->configuration->settings; }
  // Those of all: what a listener may say otherwise is asked of Connection, Session or ListenerView.
  [[nodiscard]] const LimitsSettings& limits() const noexcept { return current_->configuration->settings.limits; }
  [[nodiscard]] const AuthSettings& auth() const noexcept { return current_->configuration->settings.auth; }
  [[nodiscard]] HookChains& hooks() noexcept { return current_->hooks; }
  // Null: there is no such chain (any more).
  [[nodiscard]] const Chain* chain_named(std::string_view name) const noexcept;
  // Of a gate of which listener_is_closed() is false.
  [[nodiscard]] const ListenerView& listener(const ListenerGate& gate) const noexcept { return views_[gate.slot()]; }
  [[nodiscard]] bool listener_is_closed(const ListenerGate& gate) const noexcept {
    return listener(gate).settings == nullptr;
  }

  // ---- the parts
  [[nodiscard]] event::Loop& loop() noexcept { return loop_; }
  [[nodiscard]] std::uint32_t index() const noexcept { return loop_.index(); }
  [[nodiscard]] Log& log() noexcept { return loop_.log(); }
  [[nodiscard]] Counters& counters() noexcept { return counters_; }  // any thread may read them
  [[nodiscard]] SessionTable& sessions() noexcept { return sessions_; }
  [[nodiscard]] SubscriberTable& subscribers() noexcept { return subscribers_; }
  [[nodiscard]] Delivery& delivery() noexcept { return delivery_; }
  [[nodiscard]] Credits& credits() noexcept { return credits_; }
  [[nodiscard]] FanOuts& fan_outs() noexcept { return fan_outs_; }
  [[nodiscard]] Publishing& publishing() noexcept { return publishing_; }
  [[nodiscard]] RetainedReplays& replays() noexcept { return replays_; }
  [[nodiscard]] SharedGroups& shared_groups() noexcept { return shared_groups_; }
  [[nodiscard]] SharedMembers& shared_members() noexcept { return shared_members_; }
  [[nodiscard]] SharedMail& shared_mail() noexcept { return shared_mail_; }
  [[nodiscard]] DeliveryAccess& delivery_access() noexcept { return delivery_access_; }
  [[nodiscard]] Wills& wills() noexcept { return wills_; }
  // For what clients ask; sessions that end have another one.
  [[nodiscard]] FilterBudget& filter_budget() noexcept { return filter_budget_; }
  [[nodiscard]] TakeOverBrake& take_over_brake() noexcept { return take_over_brake_; }
  [[nodiscard]] RefusalLog& refusal_log() noexcept { return refusal_log_; }
  [[nodiscard]] PublisherTrouble& trouble() noexcept { return trouble_; }
  // For hash tables whose keys clients choose.
  [[nodiscard]] HashSeed seed() const noexcept { return seed_; }

  // ---- what all reactors share
  [[nodiscard]] RouteTable& routes() const noexcept;
  [[nodiscard]] RetainedStore& retained() const noexcept;
  // The store where what this filter matches is kept.
  [[nodiscard]] RetainedStore& retained_for(std::string_view filter) const noexcept;
  [[nodiscard]] ClientDirectory& directory() const noexcept;
  [[nodiscard]] Shard& peer(std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t reactors() const noexcept;
  [[nodiscard]] std::uint64_t next_session_number() noexcept;
  [[nodiscard]] std::uint64_t client_key(std::string_view client_id) const noexcept;
  // An identifier that nobody else has and nobody can guess.
  [[nodiscard]] std::string make_client_id();

  // ---- connections
  // Any thread: how many there are here, those on their way included.
  [[nodiscard]] std::uint32_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  // Any thread: one more is on its way.
  void expect_connection() noexcept { load_.fetch_add(1, std::memory_order_relaxed); }
  // One that expect_connection() announced.
  void adopt(std::unique_ptr<Stream> stream, ListenerGate& gate);
  // Any thread: the same by mail.
  void post_stream(std::unique_ptr<Stream> stream, ListenerGate& gate);
  void arrive(Arrival arrival);
  void send_home(std::uint32_t home, Arrival arrival);
  [[nodiscard]] Connection* find(ConnectionHandle handle) noexcept;
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

  void mark_dirty(Connection& connection);
  void resume_later(Connection& connection);
  // Publishing clients are not to be read: another reactor or a fan-out is behind, or memory is short; or, where it is
  // to be asked, the publisher is behind.
  [[nodiscard]] bool holds_publishers(bool asks_publisher = true) const noexcept {
    return (publisher_holds_ & (asks_publisher ? 0xFF : ~kBacklog)) != 0;
  }
  // Waits until that is over.
  void pause(Connection& connection);
  void hold_for_credit(bool on) { hold_publishers(kCredit, on); }
  void hold_for_fan_outs(bool on) { hold_publishers(kFanOuts, on); }
  void close_later(Connection& connection, ReasonCode code, std::string_view reason);
  // Its output is blocked: closed when it stays so for limits.output.stall.
  void watch_progress(Connection& connection);
  void retire(Connection& connection);

  // The rules of access may have changed: what was allowed for good is checked at each delivery from now on.
  void check_all_deliveries() noexcept;
  // ---- limits.memory, see MemoryGuard
  void set_memory_stage(MemoryStage stage);
  [[nodiscard]] bool drops_qos0() const noexcept { return memory_stage_ >= MemoryStage::kDropQos0; }
  [[nodiscard]] MemoryGuard::Heaviest heaviest() noexcept;
  void relieve_of(const MemoryGuard::Heaviest& heaviest);
  // Memory of what a connection received and has not decoded was `before` bytes, and is `after`.
  void note_input(std::size_t before, std::size_t after) noexcept { input_bytes_ += after - before; }

  void log_session_expired(const Session& session);
  // Messages that do not reach the client of `session`, or go no further from it: counted for all and for the client,
  // whose first loss of a kind is worth a warning.
  void drop(Session& session, DropCause cause, std::uint64_t amount = 1);

  [[nodiscard]] bool traces() const noexcept { return traces_; }
  void trace_packet(const Connection& connection, std::string_view direction, mqtt::PacketType type);

  void on_turn() noexcept override;

 private:
  enum Hold : std::uint8_t { kBacklog = 1, kMemory = 2, kCredit = 4, kFanOuts = 8 };
  void hold_publishers(Hold why, bool on);
  void publish_sizes() noexcept;

  struct Restored {
    std::uint32_t slot;
    std::uint64_t number;
    std::chrono::seconds remaining;
    bool was_connected;
  };
  struct Closing {
    ConnectionHandle connection;
    ReasonCode code;
    std::string reason;
  };

  // PublishSink
  void deliver(Ref<const Message> message) noexcept override;
  void complete_through(std::uint32_t source, std::uint64_t number) noexcept override;
  void set_backlog(Backlog level) noexcept override;
  void set_trouble(ReasonCode reason) noexcept override;

  [[nodiscard]] Connection* make_connection(std::unique_ptr<Stream> stream, ListenerGate& gate);
  void resume_connections();
  void close_connections();
  void flush_connections();
  void destroy_dead();
  void follow_listeners(const BrokerSettings& before);
  void settings_have_changed();
  void let_go_of_drained();
  void check_progress() noexcept;
  void sweep_retained() noexcept;
  void on_stop_deadline() noexcept;
  void finish_stop();

  Broker& broker_;
  event::Loop& loop_;
  HashSeed seed_;
  std::uint64_t client_ids_made_ = 0;
  bool traces_ = false;
  std::uint8_t publisher_holds_ = 0;  // of Hold
  MemoryStage memory_stage_ = MemoryStage::kNone;
  std::size_t input_bytes_ = 0;
  std::atomic<std::uint32_t> load_{0};
  Counters counters_;
  SubscriberTable subscribers_;
  SessionTable sessions_;
  SlabPool<Connection, ConnectionHandle> connections_;
  std::unique_ptr<Generation> current_;
  std::unique_ptr<Generation> prepared_;
  std::vector<std::unique_ptr<Generation>> draining_;
  std::vector<ListenerView> views_;  // by ListenerGate::slot()
  FilterBudget filter_budget_;
  Delivery delivery_;
  Credits credits_;
  FanOuts fan_outs_;
  Publishing publishing_;
  RetainedReplays replays_;
  DeliveryAccess delivery_access_;
  Wills wills_;
  TakeOverBrake take_over_brake_;
  RefusalLog refusal_log_;
  PublisherTrouble trouble_;
  SharedGroups shared_groups_;
  SharedMembers shared_members_;
  SharedMail shared_mail_;

  std::vector<Restored> restored_;  // until begin()
  std::array<LogBrake, kDropCauses> drop_log_;
  std::vector<ConnectionHandle> dirty_;
  std::vector<ConnectionHandle> flushing_;  // empty between two calls, but for its memory: no turn allocates one
  std::vector<ConnectionHandle> resuming_;
  std::vector<ConnectionHandle> paused_;
  std::vector<ConnectionHandle> blocked_;
  std::vector<Closing> closing_;
  std::vector<ConnectionHandle> retired_;
  event::MemberTimer<Shard, &Shard::check_progress> progress_timer_{*this};
  event::MemberTimer<Shard, &Shard::sweep_retained> sweep_timer_{*this};
  std::unique_ptr<RetainedCursor> sweep_;

  event::MemberTimer<Shard, &Shard::on_stop_deadline> stop_timer_{*this};
  bool stopping_ = false;
  std::function<void()> stopped_;
};

}  // namespace mqloop::broker
