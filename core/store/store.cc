#include "core/store/store.h"

#include <sqlite3.h>

#include <algorithm>

#include "core/store/schema.h"
#include "core/store/well_formed.h"

namespace mqloop::store {
namespace {

std::int64_t milliseconds(WallTime time) noexcept { return time.time_since_epoch().count(); }

std::int64_t flag(bool value) noexcept { return value ? 1 : 0; }

std::int64_t number(QoS qos) noexcept { return static_cast<std::int64_t>(qos); }

void bind_or_null(Statement& statement, int index, std::optional<WallTime> time) noexcept {
  if (time) {
    statement.bind(index, milliseconds(*time));
  } else {
    statement.bind_null(index);
  }
}

std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Six parameters from `index` on.
void bind_principal(Statement& statement, int index, const Principal* principal) noexcept {
  if (principal == nullptr) {
    for (int i = 0; i < 6; ++i) statement.bind_null(index + i);
    return;
  }
  statement.bind_blob(index, bytes_of(principal->client_id()));
  if (principal->has_user_name()) {
    statement.bind_text(index + 1, principal->user_name());
  } else {
    statement.bind_null(index + 1);
  }
  statement.bind_text(index + 2, principal->chain());
  statement.bind_text(index + 3, principal->listener());
  statement.bind_text(index + 4, principal->peer_address());
  statement.bind(index + 5, static_cast<std::int64_t>(principal->version()));
}

// Seven parameters from `index` on.
void bind_will(Statement& statement, int index, const WillRow* will) noexcept {
  if (will == nullptr) {
    for (int i = 0; i < 7; ++i) statement.bind_null(index + i);
    return;
  }
  statement.bind_text(index, will->topic).bind_blob(index + 1, will->payload).bind_blob(index + 2, will->properties);
  statement.bind(index + 3, number(will->qos)).bind(index + 4, flag(will->retain));
  statement.bind(index + 5, static_cast<std::int64_t>(will->delay_interval));
  if (will->message_expiry_interval) {
    statement.bind(index + 6, static_cast<std::int64_t>(*will->message_expiry_interval));
  } else {
    statement.bind_null(index + 6);
  }
}

}  // namespace

MessageRow row_of(const Message& message) noexcept {
  return {.number = message.number(),
          .topic = message.topic(),
          .payload = message.payload(),
          .properties = message.properties(),
          .qos = message.qos(),
          .retain = message.retain(),
          .expires_at = std::nullopt};
}

const std::array<const char*, Store::kSqlCount> Store::kTexts = {
    /* kBegin */ "BEGIN IMMEDIATE",
    /* kCommit */ "COMMIT",
    /* kRollBack */ "ROLLBACK",
    /* kPutSession */
    "INSERT INTO session VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19) "
    "ON CONFLICT(number) DO UPDATE SET client_id=?2,user_name=?3,expiry_interval=?4,connected=?5,gone_at=?6,"
    "will_topic=?7,will_payload=?8,will_properties=?9,will_qos=?10,will_retain=?11,will_delay_interval=?12,"
    "will_expiry_interval=?13,principal_client_id=?14,principal_user_name=?15,principal_chain=?16,"
    "principal_listener=?17,principal_peer=?18,principal_version=?19",
    /* kNamesake */ "SELECT number FROM session WHERE client_id=?1 AND number<>?2",
    /* kSessionGone */ "UPDATE session SET connected=0,expiry_interval=?2,gone_at=?3 WHERE number=?1",
    /* kTakeWill */
    "UPDATE session SET will_topic=NULL,will_payload=NULL,will_properties=NULL,will_qos=NULL,will_retain=NULL,"
    "will_delay_interval=NULL,will_expiry_interval=NULL WHERE number=?1",
    /* kNoteEnded */ "INSERT OR IGNORE INTO ended VALUES (?1)",
    /* kDeleteSession */ "DELETE FROM session WHERE number=?1",
    /* kNextEnded */ "SELECT session FROM ended ORDER BY session LIMIT 1",
    /* kSliceEnd */ "SELECT number FROM delivery WHERE session=?1 ORDER BY number LIMIT 1 OFFSET ?2",
    /* kSweepDeliveries */ "DELETE FROM delivery WHERE session=?1 AND number<?2 RETURNING message",
    /* kSweepSubscriptions */ "DELETE FROM subscription WHERE session=?1",
    /* kSweepReceived */ "DELETE FROM received WHERE session=?1",
    /* kForgetEnded */ "DELETE FROM ended WHERE session=?1",
    /* kPutSubscription */ "REPLACE INTO subscription VALUES (?1,?2,?3,?4,?5)",
    /* kRemoveSubscription */ "DELETE FROM subscription WHERE session=?1 AND filter=?2",
    /* kInsertMessage */ "INSERT OR IGNORE INTO message VALUES (?1,?2,?3,?4,?5,?6,?7)",
    /* kRemoveMessage */ "DELETE FROM message WHERE number=?1",
    /* kInsertDelivery */ "REPLACE INTO delivery VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    /* kSetPacketId */ "UPDATE delivery SET packet_id=?3,qos=?4 WHERE session=?1 AND number=?2",
    /* kMessageOf */ "SELECT message FROM delivery WHERE session=?1 AND number=?2",
    /* kSetReceived */ "UPDATE delivery SET received=1,message=NULL WHERE session=?1 AND number=?2",
    /* kRemoveDelivery */ "DELETE FROM delivery WHERE session=?1 AND number=?2",
    /* kInsertReceived */ "INSERT OR IGNORE INTO received VALUES (?1,?2)",
    /* kRemoveReceived */ "DELETE FROM received WHERE session=?1 AND packet_id=?2",
    /* kInsertSharedDelivery */ "INSERT OR IGNORE INTO shared_delivery VALUES (?1,?2)",
    /* kRemoveSharedDelivery */ "DELETE FROM shared_delivery WHERE share=?1 AND message=?2",
    /* kPutRetained */ "REPLACE INTO retained VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    /* kClearRetained */ "DELETE FROM retained WHERE topic=?1",
    /* kSetProgress */
    "UPDATE meta SET value=CASE key WHEN 'batch' THEN ?1 WHEN 'session' THEN ?2 WHEN 'message' THEN ?3 "
    "WHEN 'delivery' THEN ?4 WHEN 'retained' THEN ?5 WHEN 'alive_at' THEN ?6 WHEN 'clean' THEN ?7 ELSE value END",
};

// ---- open and close ------------------------------------------------------------------------------------------------

Outcome Store::open(const std::string& path, const DatabaseOptions& options) {
  close();
  Outcome outcome = database_.open(path, options);
  SchemaState state = SchemaState::kEmpty;
  if (outcome.ok()) outcome = schema_state(database_, state);
  const bool writes = options.mode == OpenMode::kReadWrite;
  if (outcome.ok() && state == SchemaState::kForeign) {
    outcome = {Cause::kOther, path + ": a database, but not one of mqloop"};
  } else if (outcome.ok() && state == SchemaState::kDamaged) {
    outcome = {Cause::kCorrupt, path + ": its schema is damaged"};
  } else if (outcome.ok() && state == SchemaState::kNewer) {
    outcome = {Cause::kOther, path + ": written by a later mqloop, which this one cannot read"};
  } else if (outcome.ok() && state != SchemaState::kCurrent && !writes) {
    outcome = {Cause::kOther, path + ": written by an earlier mqloop; start the broker once"};
  }
  if (outcome.ok() && writes) outcome = database_.prepare_for_writing(options.synchronous);
  if (outcome.ok() && writes) outcome = database_.rewrite_log();
  if (outcome.ok() && writes && state != SchemaState::kCurrent) outcome = migrate(database_);
  if (outcome.ok()) outcome = prepare_all();
  if (!outcome.ok()) close();
  return outcome;
}

void Store::close() noexcept {
  for (Statement& statement : statements_) statement = Statement();
  database_.close();
}

Outcome Store::prepare_all() {
  for (std::size_t i = 0; i < kSqlCount; ++i) {
    Outcome outcome = database_.prepare(kTexts[i], statements_[i]);
    // The version is ours, so the tables should be.
    if (outcome.cause() == Cause::kOther) return {Cause::kCorrupt, outcome.text()};
    if (!outcome.ok()) return outcome;
  }
  return {};
}

Outcome Store::begin() { return sql(kBegin).run(); }

Outcome Store::commit() {
  Statement& commit = sql(kCommit);
  Outcome outcome = commit.run();
  // The log's index grows last: when it finds no room, the transaction is in the log already, with its end, and synced.
  const bool may_be_there = (commit.code() & 0xFF) == SQLITE_IOERR;
  if (outcome.cause() == Cause::kFull && may_be_there) return {Cause::kIo, outcome.text()};
  return outcome;
}

void Store::roll_back() noexcept {
  if (database_.in_transaction()) [[maybe_unused]]
    const Outcome outcome = sql(kRollBack).run();
}

// ---- sessions ------------------------------------------------------------------------------------------------------

Outcome Store::put_session(const SessionRow& session) {
  Statement& put = sql(kPutSession);
  const auto run = [&] {
    put.bind(1, session.number).bind_blob(2, bytes_of(session.client_id));
    if (session.has_user_name) {
      put.bind_text(3, session.user_name);
    } else {
      put.bind_null(3);
    }
    put.bind(4, static_cast<std::int64_t>(session.expiry_interval)).bind(5, flag(session.connected));
    bind_or_null(put, 6, session.connected ? std::nullopt : std::optional(session.gone_at));
    bind_will(put, 7, session.will);
    bind_principal(put, 14, session.principal);
    return put.run();
  };
  Outcome outcome = run();
  if (put.code() != SQLITE_CONSTRAINT_UNIQUE) return outcome;
  // Its predecessor should have ended first. Whoever comes last has the name.
  Statement& find = sql(kNamesake);
  bool found = false;
  find.bind_blob(1, bytes_of(session.client_id)).bind(2, session.number);
  if (Outcome fault = find.next(found); !fault.ok() || !found) return fault.ok() ? outcome : fault;
  const std::uint64_t namesake = find.number(0);
  find.reset();
  if (Outcome fault = end_session(namesake); !fault.ok()) return fault;
  return run();
}

Outcome Store::session_gone(std::uint64_t session, std::uint32_t expiry_interval, WallTime gone_at) {
  Statement& gone = sql(kSessionGone);
  return gone.bind(1, session).bind(2, static_cast<std::int64_t>(expiry_interval)).bind(3, milliseconds(gone_at)).run();
}

Outcome Store::take_will(std::uint64_t session) { return sql(kTakeWill).bind(1, session).run(); }

Outcome Store::end_session(std::uint64_t session) {
  if (Outcome outcome = sql(kNoteEnded).bind(1, session).run(); !outcome.ok()) return outcome;
  return sql(kDeleteSession).bind(1, session).run();
}

Outcome Store::sweep_ended(std::size_t budget, std::vector<std::uint64_t>& released, bool& left) {
  left = false;
  while (true) {
    Statement& next = sql(kNextEnded);
    bool found = false;
    Outcome outcome = next.next(found);
    if (!outcome.ok() || !found) return outcome;
    const std::uint64_t session = next.number(0);
    next.reset();
    if (budget == 0) {
      left = true;
      return {};
    }
    if (outcome = sweep_session(session, budget, released); !outcome.ok()) return outcome;
  }
}

// Lowers `budget` by what was swept; the session is forgotten when nothing of it is left.
Outcome Store::sweep_session(std::uint64_t session, std::size_t& budget, std::vector<std::uint64_t>& released) {
  Statement& slice = sql(kSliceEnd);
  bool more = false;
  Outcome outcome = slice.bind(1, session).bind(2, static_cast<std::uint64_t>(budget)).next(more);
  if (!outcome.ok()) return outcome;
  const std::uint64_t end = more ? slice.number(0) : static_cast<std::uint64_t>(INT64_MAX);
  slice.reset();
  Statement& sweep = sql(kSweepDeliveries);
  sweep.bind(1, session).bind(2, end);
  std::size_t swept = 0;
  bool row = true;
  while (true) {
    if (outcome = sweep.next(row); !outcome.ok()) return outcome;
    if (!row) break;
    ++swept;
    if (!sweep.is_null(0)) released.push_back(sweep.number(0));
  }
  budget -= std::min(budget, swept + 1);
  if (more) return {};
  for (const Sql last : {kSweepSubscriptions, kSweepReceived, kForgetEnded}) {
    if (outcome = sql(last).bind(1, session).run(); !outcome.ok()) return outcome;
  }
  return {};
}

Outcome Store::put_subscription(const SubscriptionRow& subscription) {
  Statement& put = sql(kPutSubscription);
  put.bind(1, subscription.session).bind_text(2, subscription.filter).bind(3, number(subscription.qos));
  put.bind(4, static_cast<std::int64_t>(subscription.options));
  return put.bind(5, static_cast<std::int64_t>(subscription.identifier)).run();
}

Outcome Store::remove_subscription(std::uint64_t session, std::string_view filter) {
  return sql(kRemoveSubscription).bind(1, session).bind_text(2, filter).run();
}

// ---- messages ------------------------------------------------------------------------------------------------------

Outcome Store::insert_message(const MessageRow& message) {
  Statement& insert = sql(kInsertMessage);
  insert.bind(1, message.number).bind_text(2, message.topic).bind_blob(3, message.payload);
  insert.bind_blob(4, message.properties).bind(5, number(message.qos)).bind(6, flag(message.retain));
  bind_or_null(insert, 7, message.expires_at);
  return insert.run();
}

Outcome Store::remove_message(std::uint64_t message) { return sql(kRemoveMessage).bind(1, message).run(); }

Outcome Store::insert_delivery(const DeliveryRow& delivery) {
  Statement& insert = sql(kInsertDelivery);
  insert.bind(1, delivery.session).bind(2, delivery.number);
  if (delivery.message != 0) {
    insert.bind(3, delivery.message);
  } else {
    insert.bind_null(3);
  }
  insert.bind(4, number(delivery.qos)).bind(5, flag(delivery.retain));
  if (delivery.packet_id != 0) {
    insert.bind(6, static_cast<std::int64_t>(delivery.packet_id));
  } else {
    insert.bind_null(6);
  }
  insert.bind(7, flag(delivery.received));
  std::vector<std::uint8_t> bytes;
  if (!delivery.identifiers.empty()) {
    bytes = encode_identifiers(delivery.identifiers);
  } else if (delivery.identifier != 0) {
    bytes = encode_identifiers({&delivery.identifier, 1});
  }
  if (bytes.empty()) {
    insert.bind_null(8);
  } else {
    insert.bind_blob(8, bytes);
  }
  if (delivery.group.empty()) {
    insert.bind_null(9);
  } else {
    insert.bind_text(9, delivery.group);
  }
  return insert.run();
}

Outcome Store::set_packet_id(std::uint64_t session, std::uint64_t delivery, std::uint16_t packet_id, QoS qos) {
  Statement& set = sql(kSetPacketId);
  set.bind(1, session).bind(2, delivery).bind(3, static_cast<std::int64_t>(packet_id));
  return set.bind(4, number(qos)).run();
}

Outcome Store::message_of(std::uint64_t session, std::uint64_t delivery, std::uint64_t& out) {
  out = 0;
  Statement& find = sql(kMessageOf);
  bool found = false;
  Outcome outcome = find.bind(1, session).bind(2, delivery).next(found);
  if (!outcome.ok()) return outcome;
  if (found) out = find.number(0);  // 0 for NULL
  find.reset();
  return {};
}

Outcome Store::set_received(std::uint64_t session, std::uint64_t delivery, std::uint64_t* released) {
  if (released != nullptr) {
    if (Outcome outcome = message_of(session, delivery, *released); !outcome.ok()) return outcome;
  }
  return sql(kSetReceived).bind(1, session).bind(2, delivery).run();
}

Outcome Store::remove_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t* released) {
  if (released != nullptr) {
    if (Outcome outcome = message_of(session, delivery, *released); !outcome.ok()) return outcome;
  }
  return sql(kRemoveDelivery).bind(1, session).bind(2, delivery).run();
}

Outcome Store::insert_received(std::uint64_t session, std::uint16_t packet_id) {
  return sql(kInsertReceived).bind(1, session).bind(2, static_cast<std::int64_t>(packet_id)).run();
}

Outcome Store::remove_received(std::uint64_t session, std::uint16_t packet_id) {
  return sql(kRemoveReceived).bind(1, session).bind(2, static_cast<std::int64_t>(packet_id)).run();
}

Outcome Store::insert_shared_delivery(std::string_view group, std::uint64_t message) {
  return sql(kInsertSharedDelivery).bind_text(1, group).bind(2, message).run();
}

Outcome Store::remove_shared_delivery(std::string_view group, std::uint64_t message) {
  return sql(kRemoveSharedDelivery).bind_text(1, group).bind(2, message).run();
}

Outcome Store::put_retained(const RetainedRow& retained) {
  const MessageRow& message = retained.message;
  Statement& put = sql(kPutRetained);
  put.bind_text(1, message.topic).bind(2, retained.sequence).bind(3, message.number).bind_blob(4, message.payload);
  put.bind_blob(5, message.properties).bind(6, number(message.qos));
  bind_or_null(put, 7, message.expires_at);
  put.bind(8, milliseconds(retained.stored_at));
  bind_principal(put, 9, retained.principal);
  return put.run();
}

Outcome Store::clear_retained(std::string_view topic) { return sql(kClearRetained).bind_text(1, topic).run(); }

// ---- where the writer is -------------------------------------------------------------------------------------------

Outcome Store::set_progress(const Progress& progress) {
  Statement& set = sql(kSetProgress);
  set.bind(1, progress.batch).bind(2, progress.numbers.session).bind(3, progress.numbers.message);
  set.bind(4, progress.numbers.delivery).bind(5, progress.numbers.retained);
  return set.bind(6, milliseconds(progress.alive_at)).bind(7, flag(progress.clean)).run();
}

Outcome Store::progress(Progress& out) {
  out = {};
  Statement all;
  Outcome outcome = database_.prepare("SELECT key,value FROM meta", all);
  while (outcome.ok()) {
    bool row = false;
    if (outcome = all.next(row); !outcome.ok() || !row) break;
    const std::string_view key = all.text(0);
    const std::uint64_t value = all.number(1);
    if (key == "batch") out.batch = value;
    if (key == "session") out.numbers.session = value;
    if (key == "message") out.numbers.message = value;
    if (key == "delivery") out.numbers.delivery = value;
    if (key == "retained") out.numbers.retained = value;
    if (key == "alive_at") out.alive_at = WallTime(std::chrono::milliseconds(all.integer(1)));
    if (key == "clean") out.clean = value != 0;
  }
  return outcome;
}

Outcome Store::is_empty(bool& out) {
  std::optional<std::int64_t> any;
  Outcome outcome = database_.get_integer(
      "SELECT EXISTS(SELECT 1 FROM session) OR EXISTS(SELECT 1 FROM message) OR EXISTS(SELECT 1 FROM delivery) OR "
      "EXISTS(SELECT 1 FROM retained) OR EXISTS(SELECT 1 FROM ended)",
      any);
  out = any == 0;
  return outcome;
}

Outcome Store::raise_numbers() {
  return database_.execute(
      "UPDATE meta SET value=max(value, CASE key"
      " WHEN 'session' THEN max((SELECT ifnull(max(number),0) FROM session),"
      "                         (SELECT ifnull(max(session),0) FROM ended))"
      " WHEN 'message' THEN max((SELECT ifnull(max(number),0) FROM message),"
      "                         (SELECT ifnull(max(number),0) FROM retained))"
      " WHEN 'delivery' THEN (SELECT ifnull(max(number),0) FROM delivery)"
      " WHEN 'retained' THEN (SELECT ifnull(max(sequence),0) FROM retained)"
      " ELSE 0 END)");
}

Outcome Store::quick_check() {
  Statement check;
  Outcome outcome = database_.prepare("PRAGMA integrity_check(1)", check);
  bool row = false;
  if (outcome.ok()) outcome = check.next(row);
  if (!outcome.ok()) return outcome;
  if (row && check.text(0) == "ok") return {};
  return {Cause::kCorrupt, database_.path() + ": " + std::string(row ? check.text(0) : "nothing to check")};
}

}  // namespace mqloop::store
