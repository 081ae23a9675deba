// The rows of a broker's database, written one by one within a transaction. Dumb on purpose: it knows neither which
// turn a row belongs to nor who still wants it, that is its owner's to know. One thread at a time.
//
// Nothing throws. After any Outcome that is not ok() within a transaction: roll_back() and, after kSync, close().
// Whatever is given is borrowed for the call. Removing what is not there is no fault.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/protocol.h>
#include <mqloop/publisher.h>

#include "core/store/database.h"

namespace mqloop::store {

struct WillRow {
  std::string_view topic;
  std::span<const std::uint8_t> payload;
  std::span<const std::uint8_t> properties;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::uint32_t delay_interval = 0;
  std::optional<std::uint32_t> message_expiry_interval;
};

struct SessionRow {
  std::uint64_t number = 0;
  std::string_view client_id;
  bool has_user_name = false;
  std::string_view user_name;
  std::uint32_t expiry_interval = 0;
  bool connected = false;
  WallTime gone_at{};  // when its client went; of a connected one nothing
  const WillRow* will = nullptr;
  const Principal* principal = nullptr;
};

struct SubscriptionRow {
  std::uint64_t session = 0;
  std::string_view filter;
  QoS qos = QoS::kAtMostOnce;
  std::uint8_t options = 0;
  std::uint32_t identifier = 0;
};

struct MessageRow {
  std::uint64_t number = 0;
  std::string_view topic;
  std::span<const std::uint8_t> payload;
  std::span<const std::uint8_t> properties;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::optional<WallTime> expires_at;  // absent: never
};

struct DeliveryRow {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  std::uint64_t message = 0;  // 0 with `received`
  QoS qos = QoS::kAtLeastOnce;
  bool retain = false;
  bool received = false;
  std::uint16_t packet_id = 0;
  std::uint32_t identifier = 0;
  std::span<const std::uint32_t> identifiers{};  // several; else `identifier`
  std::string_view group{};
};

struct RetainedRow {
  MessageRow message;  // `message.number` may be that of a row of its own as well
  std::uint64_t sequence = 0;
  WallTime stored_at{};
  const Principal* principal = nullptr;
};

// What is written with every batch.
struct Progress {
  std::uint64_t batch = 0;  // rises by one
  RecoveredNumbers numbers;
  WallTime alive_at{};
  bool clean = false;  // the last batch of a run that ends in order
};

// The row of a message as the broker holds it, less its expiry.
[[nodiscard]] MessageRow row_of(const Message& message) noexcept;

class Store {
 public:
  Store() noexcept = default;
  Store(Store&&) noexcept = default;
  Store& operator=(Store&&) noexcept = default;

  // Creates the file and its schema where there is none, and migrates an older one. kCorrupt: damaged, or not a
  // database (salvage.h helps); kOther: of another program or of a later mqloop. Takes no DatabaseLock.
  Outcome open(const std::string& path, const DatabaseOptions& options = {});
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return database_.is_open(); }
  [[nodiscard]] Database& database() noexcept { return database_; }

  // ---- a transaction: BEGIN IMMEDIATE; kBusy when somebody else writes
  Outcome begin();
  // After kBusy and kFull it is not in the database, after any other fault it may be. The transaction is still open, or
  // has been rolled back by SQLite: roll_back() does either.
  Outcome commit();
  void roll_back() noexcept;

  // Inserts, or replaces what is there under its number. A session that holds the same client identifier under another
  // number is ended.
  Outcome put_session(const SessionRow& session);
  Outcome session_gone(std::uint64_t session, std::uint32_t expiry_interval, WallTime gone_at);
  Outcome take_will(std::uint64_t session);
  // Small, whatever the session has: its rows are swept later.
  Outcome end_session(std::uint64_t session);
  // Deletes at most about `budget` rows of ended sessions. The numbers of the messages that lost a delivery are
  // appended to `released`, one for each delivery. `left`: there is more.
  Outcome sweep_ended(std::size_t budget, std::vector<std::uint64_t>& released, bool& left);

  Outcome put_subscription(const SubscriptionRow& subscription);
  Outcome remove_subscription(std::uint64_t session, std::string_view filter);

  // Of two with the same number the first stays: they are the same.
  Outcome insert_message(const MessageRow& message);
  Outcome remove_message(std::uint64_t number);

  Outcome insert_delivery(const DeliveryRow& delivery);
  // kDelivered: its packet identifier.
  Outcome set_packet_id(std::uint64_t session, std::uint64_t delivery, std::uint16_t packet_id, QoS qos);
  // kReceived: its message is not needed any more; `released` gets the message's number, 0 when there was none.
  Outcome set_received(std::uint64_t session, std::uint64_t delivery, std::uint64_t* released = nullptr);
  // `released` as above.
  Outcome remove_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t* released = nullptr);

  Outcome insert_received(std::uint64_t session, std::uint16_t packet_id);
  Outcome remove_received(std::uint64_t session, std::uint16_t packet_id);

  Outcome insert_shared_delivery(std::string_view group, std::uint64_t message);
  Outcome remove_shared_delivery(std::string_view group, std::uint64_t message);

  Outcome put_retained(const RetainedRow& retained);
  Outcome clear_retained(std::string_view topic);

  Outcome set_progress(const Progress& progress);

  // ---- outside of transactions
  Outcome progress(Progress& out);
  Outcome checkpoint(CheckpointKind kind, CheckpointResult* result = nullptr) {
    return database_.checkpoint(kind, result);
  }
  Outcome incremental_vacuum(std::uint32_t pages) { return database_.incremental_vacuum(pages); }
  // No session, no message, nothing.
  Outcome is_empty(bool& out);
  // After rows from elsewhere were put in: numbers of `progress` that are below those of the rows rise to them.
  Outcome raise_numbers();
  // SQLite's own structures, not what the rows say; reads the whole file.
  Outcome quick_check();
  [[nodiscard]] DatabaseSizes sizes() noexcept { return database_.sizes(); }

 private:
  enum Sql : std::uint8_t {
    kBegin,
    kCommit,
    kRollBack,
    kPutSession,
    kNamesake,
    kSessionGone,
    kTakeWill,
    kNoteEnded,
    kDeleteSession,
    kNextEnded,
    kSliceEnd,
    kSweepDeliveries,
    kSweepSubscriptions,
    kSweepReceived,
    kForgetEnded,
    kPutSubscription,
    kRemoveSubscription,
    kInsertMessage,
    kRemoveMessage,
    kInsertDelivery,
    kSetPacketId,
    kMessageOf,
    kSetReceived,
    kRemoveDelivery,
    kInsertReceived,
    kRemoveReceived,
    kInsertSharedDelivery,
    kRemoveSharedDelivery,
    kPutRetained,
    kClearRetained,
    kSetProgress,
    kSqlCount,
  };
  static const std::array<const char*, kSqlCount> kTexts;

  Outcome prepare_all();
  Statement& sql(Sql which) noexcept { return statements_[which]; }
  Outcome message_of(std::uint64_t session, std::uint64_t delivery, std::uint64_t& out);
  Outcome sweep_session(std::uint64_t session, std::size_t& budget, std::vector<std::uint64_t>& released);

  Database database_;  // outlives the statements
  std::array<Statement, kSqlCount> statements_;
};

}  // namespace mqloop::store
