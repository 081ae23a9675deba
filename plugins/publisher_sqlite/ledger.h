// Ledger: what the reactors have told and what of it has to be written; the memory of the writer, on its thread alone.
// feed() takes what happened, in the order of each reactor; write() writes what is wanted of it into one transaction,
// and written() or not_written() says what became of that. Between the two anything may be fed: until it is written
// nothing is certain, and a delivery that is acknowledged meanwhile is never written (elision).
//
// Invariants:
// - Events take effect at once, in the order of their reactor; a turn's deliveries and what it changed of retained
//   messages when nothing of the turn is missing.
// - A QoS 2 message is not written before the packet identifier that tells it from a repetition: not as a delivery, not
//   as a retained message, and not as a delivery of that.
// - The row of a message is in the database as long as a delivery or a group in the database wants it, and goes when
//   nothing there wants it, nor anything that is still to be written.
// - What complete() tells is on disk, or not wanted any more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/base/seeded_hash.h"
#include "core/store/reader.h"
#include "plugins/publisher_sqlite/ended_sessions.h"
#include "plugins/publisher_sqlite/message_references.h"
#include "plugins/publisher_sqlite/parcel.h"
#include "plugins/publisher_sqlite/pending_deliveries.h"
#include "plugins/publisher_sqlite/received_changes.h"
#include "plugins/publisher_sqlite/retained_changes.h"
#include "plugins/publisher_sqlite/rows.h"
#include "plugins/publisher_sqlite/turn_queue.h"

namespace mqloop::publisher_sqlite {

class Ledger {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Counts {
    std::uint64_t rows = 0;      // inserted, updated and removed, in transactions that were committed
    std::uint64_t elided = 0;    // deliveries that were not written because they were done with before
    std::uint64_t messages = 0;  // rows of messages that were inserted
  };

  explicit Ledger(HashSeed seed) : retained_(seed) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // What was there at the start: before anything is fed.
  void adopt(const store::Recovered& recovered);

  // Takes the messages out of the parcel, and gives it those that it does not want any more.
  void feed(Parcel& parcel, Time now = {});

  // Messages that are not wanted any more, and have not gone with a parcel yet.
  [[nodiscard]] std::vector<Ref<const Message>>& discarded() noexcept { return deliveries_.discarded(); }

  // Somebody waits for something that is not written yet.
  [[nodiscard]] bool must_write() const noexcept { return waiting_ != 0; }
  // For nothing but deliveries of QoS 1 that have been sent, and need not be written if they are acknowledged soon.
  [[nodiscard]] bool may_hope() const noexcept { return waiting_ == hopes_; }
  [[nodiscard]] std::size_t hopes() const noexcept { return hopes_; }
  // When the first of the turns that are writable and not complete became so; while hopes() are not 0 there is one.
  [[nodiscard]] Time waiting_since() noexcept;
  [[nodiscard]] bool has_changes() const noexcept;
  // What is not written yet occupies so much.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return deliveries_.bytes() + retained_.bytes() + gathering_retained_bytes_;
  }
  // Turns that are not complete because something of them is missing.
  [[nodiscard]] std::size_t gathering() const noexcept;

  // Publishes that were acknowledged and are not written yet.
  [[nodiscard]] std::size_t acknowledged_early() const noexcept { return gathering_early_ + batch_early_; }
  // Rows of sessions that have ended are left: a batch may be written for them alone, when there is time.
  [[nodiscard]] bool is_sweeping() const noexcept { return ended_left_; }

  // Writes everything that there is, less what turns that are not writable hold. Stops at the first fault.
  store::Outcome write(Rows& rows, store::Progress& progress);
  // What write() wrote is committed.
  void written();
  // It is not: all of it is to be written again.
  void not_written();

  // Calls tell(source, number, reactors) for every reactor of which turns up to `number` are complete now and were not;
  // bit i of `reactors`: reactor i has to know.
  template <typename Tell>
  void complete(Tell&& tell) {
    for (std::uint32_t source = 0; source != sources_; ++source) {
      const std::uint64_t reactors = complete_turns(source);
      if (reactors != 0) tell(source, queues_[source].complete(), reactors);
    }
  }

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::uint64_t coalesced() const noexcept { return retained_.coalesced(); }
  [[nodiscard]] std::size_t messages() const noexcept { return references_.size(); }

 private:
  using Outcome = store::Outcome;
  using Place = std::uint32_t;

  struct Removal {
    std::uint64_t session;
    std::uint64_t delivery;
    std::uint64_t number;  // of the message, 0: it had none, or
    bool asks;             // it is not known here: the row tells
  };
  struct RemovedId {
    std::uint64_t session;
    std::uint16_t packet_id;
  };

  // ---- feeding: ledger.cc
  void feed_events(Parcel& parcel, Entry& entry);
  std::size_t feed_source(std::uint32_t reactor, Parcel& parcel, std::size_t at);
  std::size_t feed_recipients(std::uint32_t reactor, Parcel& parcel, std::size_t at);
  void feed_recipient(Turn& turn, TurnQueue& queue, std::uint32_t source, std::uint64_t number, Parcel& parcel,
                      Entry& entry);
  void feed_flush(std::uint32_t reactor, const Entry& entry);
  void feed_session(SessionEntry& session);
  void feed_retained(Parcel& parcel, Entry& entry);
  void feed_released(std::uint32_t reactor, const Entry& entry);
  void feed_delivered(std::uint32_t reactor, Parcel& parcel, Entry& entry);
  void feed_received(std::uint32_t reactor, Entry& entry);
  void feed_done(Entry& entry);
  void feed_returned(Parcel& parcel, Entry& entry);
  void take_from_group(std::uint32_t reactor, Parcel& parcel, Entry& entry);

  TurnQueue& queue(std::uint32_t reactor);
  void need(Turn& turn, std::uint32_t source, std::uint64_t message);
  void advance(std::uint32_t source);
  void advance_together();
  // The highest number of a message that is in the batch or written when turns up to `turn` of that reactor are.
  [[nodiscard]] std::uint64_t last_message(std::uint32_t source, std::uint64_t turn);
  void make_writable(std::uint32_t source, Turn& turn);
  // The reactors that have to know; 0: nothing is complete that was not.
  std::uint64_t complete_turns(std::uint32_t source);
  std::uint32_t group_of(std::string_view name);
  Place add_delivery(std::uint64_t session, std::uint64_t delivery, Ref<const Message> message);
  void fill(PendingDelivery& delivery, const Entry& entry, const Detail& detail);
  // Where another one is, with who waits for it; null: in the batch.
  void put_beside(Place place, const PendingDelivery* other, std::uint32_t reactor);
  // Somebody waits for it.
  void await(PendingDelivery& delivery);
  void hope(PendingDelivery& delivery) noexcept;
  void count_down(std::uint32_t source, std::uint64_t turn) noexcept;
  // The turn that is under way on `reactor` waits for something that is in the batch;
  void await_event(std::uint32_t reactor);
  // for what was changed of a delivery, wherever that is.
  void await_change(std::uint32_t reactor, Place place);
  Place changed_row(const Entry& entry);
  // It is not wanted any more, whether its row exists or not.
  void drop(Place place);
  // Where it is pending; else its row is removed.
  void drop_group_message(std::uint64_t group_key, std::uint64_t number);
  void release_message(std::uint64_t number);
  void forget_ended();
  void compact();

  // ---- writing: ledger_write.cc
  Outcome write_sessions(Rows& rows);
  Outcome write_session(Rows& rows, const SessionEntry& session);
  Outcome write_removals(Rows& rows);
  Outcome write_deliveries(Rows& rows);
  Outcome write_new(Rows& rows, const PendingDelivery& delivery);
  Outcome write_change(Rows& rows, const PendingDelivery& delivery);
  Outcome write_received(Rows& rows);
  Outcome write_retained(Rows& rows);
  Outcome remove_messages(Rows& rows);
  Outcome sweep(Rows& rows);
  void release_written(std::uint64_t number);
  [[nodiscard]] std::optional<WallTime> wall_time(MonotonicTime at) const noexcept;

  std::array<TurnQueue, kMostReactors> queues_;
  std::uint32_t sources_ = 0;  // one more than the highest that was heard of
  // Of each reactor the highest number of a message whose turn is writable.
  std::array<std::uint64_t, kMostReactors> writable_messages_{};
  std::size_t needy_ = 0;  // turns that gather and need a message of another one
  std::size_t gathering_retained_bytes_ = 0;

  PendingDeliveries deliveries_;
  MessageReferences references_;
  ReceivedChanges received_;
  RetainedChanges retained_;
  EndedSessions ended_;
  std::vector<std::string> group_names_;
  std::unordered_map<std::string, std::uint32_t> groups_;
  RecoveredNumbers numbers_;
  Time now_{};
  WallTime wall_now_{};
  std::chrono::milliseconds wall_offset_{0};  // of the wall clock from the other one

  // The batch.
  std::vector<std::variant<SessionEntry, SubscriptionEntry>> sessions_;  // in their order
  std::vector<Place> batch_;
  std::size_t dead_in_batch_ = 0;
  std::vector<Removal> removals_;
  std::vector<std::uint32_t> received_batch_;
  std::vector<RemovedId> removed_ids_;
  std::vector<std::uint64_t> unwanted_messages_;
  bool ended_left_ = false;  // rows of ended sessions are left to be swept
  std::size_t gathering_early_ = 0;
  std::size_t batch_early_ = 0;
  std::size_t waiting_ = 0;  // things in the batch for which somebody waits
  std::size_t hopes_ = 0;    // of these, deliveries that may be acknowledged first

  // Of a transaction that is neither committed nor rolled back.
  std::vector<std::uint64_t> inserted_messages_;
  std::vector<std::uint64_t> released_messages_;
  std::vector<std::uint64_t> swept_messages_;
  std::uint64_t rows_ = 0;

  Counts counts_;
  std::vector<std::uint32_t> scratch_;
};

}  // namespace mqloop::publisher_sqlite
