#include "core/cli/mqloop/db_export.h"

#include <cerrno>

#include "core/cli/mqloop/json_line.h"
#include "core/store/store.h"

namespace mqloop::cli {
namespace {

using store::Cause;
using store::Outcome;
using store::Statement;
using store::Store;

void add_number(JsonLine& line, const char* name, const Statement& row, int column) {
  if (!row.is_null(column)) line.number(name, row.integer(column));
}

void add_text(JsonLine& line, const char* name, const Statement& row, int column) {
  if (!row.is_null(column)) line.text(name, row.text(column));
}

void add_bytes(JsonLine& line, const char* name, const Statement& row, int column) {
  if (!row.is_null(column)) line.bytes(name, row.blob(column));
}

void add_flag(JsonLine& line, const char* name, const Statement& row, int column) {
  if (!row.is_null(column)) line.flag(name, row.integer(column) != 0);
}

// Six columns from `column` on.
void add_principal(JsonLine& line, const Statement& row, int column) {
  if (row.is_null(column + 5)) return;
  line.begin_object("principal");
  add_bytes(line, "client_id", row, column);
  add_text(line, "user_name", row, column + 1);
  add_text(line, "chain", row, column + 2);
  add_text(line, "listener", row, column + 3);
  add_text(line, "peer_address", row, column + 4);
  add_number(line, "version", row, column + 5);
  line.end_object();
}

void make_meta(JsonLine& line, const Statement& row) {
  int column = 0;
  for (const char* const name : {"batch", "session", "message", "delivery", "retained", "alive_at"}) {
    add_number(line, name, row, column++);
  }
}

void make_session(JsonLine& line, const Statement& row) {
  add_number(line, "number", row, 0);
  add_bytes(line, "client_id", row, 1);
  add_text(line, "user_name", row, 2);
  add_number(line, "expiry_interval", row, 3);
  add_flag(line, "connected", row, 4);
  add_number(line, "gone_at", row, 5);
  if (!row.is_null(6)) {
    line.begin_object("will");
    add_text(line, "topic", row, 6);
    add_bytes(line, "payload", row, 7);
    line.base64("properties_base64", row.blob(8));
    add_number(line, "qos", row, 9);
    add_flag(line, "retain", row, 10);
    add_number(line, "delay_interval", row, 11);
    add_number(line, "message_expiry_interval", row, 12);
    line.end_object();
  }
  add_principal(line, row, 13);
}

void make_subscription(JsonLine& line, const Statement& row) {
  add_number(line, "session", row, 0);
  add_text(line, "filter", row, 1);
  add_number(line, "qos", row, 2);
  add_number(line, "options", row, 3);
  add_number(line, "identifier", row, 4);
}

void make_message(JsonLine& line, const Statement& row) {
  add_number(line, "number", row, 0);
  add_text(line, "topic", row, 1);
  add_bytes(line, "payload", row, 2);
  line.base64("properties_base64", row.blob(3));
  add_number(line, "qos", row, 4);
  add_flag(line, "retain", row, 5);
  add_number(line, "expires_at", row, 6);
}

void make_delivery(JsonLine& line, const Statement& row) {
  add_number(line, "session", row, 0);
  add_number(line, "number", row, 1);
  add_number(line, "message", row, 2);
  add_number(line, "qos", row, 3);
  add_flag(line, "retain", row, 4);
  add_number(line, "packet_id", row, 5);
  add_flag(line, "received", row, 6);
  if (!row.is_null(7)) line.base64("identifiers_base64", row.blob(7));
  add_text(line, "share", row, 8);
}

void make_received(JsonLine& line, const Statement& row) {
  add_number(line, "session", row, 0);
  add_number(line, "packet_id", row, 1);
}

void make_shared_delivery(JsonLine& line, const Statement& row) {
  add_text(line, "share", row, 0);
  add_number(line, "message", row, 1);
}

void make_retained(JsonLine& line, const Statement& row) {
  add_text(line, "topic", row, 0);
  add_number(line, "sequence", row, 1);
  add_number(line, "number", row, 2);
  add_bytes(line, "payload", row, 3);
  line.base64("properties_base64", row.blob(4));
  add_number(line, "qos", row, 5);
  add_number(line, "expires_at", row, 6);
  add_number(line, "stored_at", row, 7);
  add_principal(line, row, 8);
}

// What is left of sessions that have ended is not wanted any more.
constexpr struct {
  const char* type;
  const char* sql;
  void (*make)(JsonLine& line, const Statement& row);
} kTables[] = {
    {"meta",
     "SELECT max(value) FILTER (WHERE key='batch'),max(value) FILTER (WHERE key='session'),"
     "max(value) FILTER (WHERE key='message'),max(value) FILTER (WHERE key='delivery'),"
     "max(value) FILTER (WHERE key='retained'),max(value) FILTER (WHERE key='alive_at') FROM meta",
     make_meta},
    {"session", "SELECT * FROM session ORDER BY number", make_session},
    {"subscription", "SELECT subscription.* FROM subscription JOIN session ON number=session ORDER BY session,filter",
     make_subscription},
    {"message",
     "SELECT * FROM message WHERE number IN (SELECT message FROM delivery JOIN session ON session.number=session UNION "
     "SELECT message FROM shared_delivery) ORDER BY number",
     make_message},
    {"delivery",
     "SELECT delivery.* FROM delivery JOIN session ON session.number=session ORDER BY session,delivery.number",
     make_delivery},
    {"received", "SELECT received.* FROM received JOIN session ON number=session ORDER BY session,packet_id",
     make_received},
    {"shared_delivery", "SELECT * FROM shared_delivery ORDER BY share,message", make_shared_delivery},
    {"retained", "SELECT * FROM retained ORDER BY topic", make_retained},
};

Outcome fault_of_output() {
  return {errno == ENOSPC ? Cause::kFull : Cause::kIo, std::string(from_errno(errno, "standard output").message())};
}

}  // namespace

Outcome export_database(const std::string& path, std::FILE* out) {
  Store store;
  Outcome outcome = store.open(path, {.mode = store::OpenMode::kReadOnly, .busy_timeout_ms = 1000});
  if (outcome.ok()) outcome = store.database().execute("BEGIN");
  for (const auto& table : kTables) {
    Statement statement;
    if (outcome.ok()) outcome = store.database().prepare(table.sql, statement);
    for (bool row = true; outcome.ok();) {
      outcome = statement.next(row);
      if (!outcome.ok() || !row) break;
      JsonLine line(table.type);
      table.make(line, statement);
      const std::string& text = line.end();
      if (std::fwrite(text.data(), 1, text.size(), out) != text.size()) return fault_of_output();
    }
  }
  if (outcome.ok() && std::fflush(out) != 0) return fault_of_output();
  return outcome;
}

}  // namespace mqloop::cli
