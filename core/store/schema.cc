#include "core/store/schema.h"

#include <string>
#include <utility>

namespace mqloop::store {
namespace {

constexpr char kTables[] = R"sql(
CREATE TABLE meta(
  key TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session(
  number INTEGER PRIMARY KEY,
  client_id BLOB NOT NULL UNIQUE,
  user_name TEXT,
  expiry_interval INTEGER NOT NULL,
  connected INTEGER NOT NULL,
  gone_at INTEGER,
  will_topic TEXT,
  will_payload BLOB,
  will_properties BLOB,
  will_qos INTEGER,
  will_retain INTEGER,
  will_delay_interval INTEGER,
  will_expiry_interval INTEGER,
  principal_client_id BLOB,
  principal_user_name TEXT,
  principal_chain TEXT,
  principal_listener TEXT,
  principal_peer TEXT,
  principal_version INTEGER
) STRICT;

CREATE TABLE subscription(
  session INTEGER NOT NULL,
  filter TEXT NOT NULL,
  qos INTEGER NOT NULL,
  options INTEGER NOT NULL,
  identifier INTEGER NOT NULL,
  PRIMARY KEY(session, filter)
) STRICT, WITHOUT ROWID;

CREATE TABLE message(
  number INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  properties BLOB NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  expires_at INTEGER
) STRICT;

CREATE TABLE delivery(
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  message INTEGER,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  packet_id INTEGER,
  received INTEGER NOT NULL,
  identifiers BLOB,
  share TEXT,
  PRIMARY KEY(session, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE received(
  session INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY(session, packet_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_delivery(
  share TEXT NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY(share, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE retained(
  topic TEXT NOT NULL PRIMARY KEY,
  sequence INTEGER NOT NULL,
  number INTEGER NOT NULL,
  payload BLOB NOT NULL,
  properties BLOB NOT NULL,
  qos INTEGER NOT NULL,
  expires_at INTEGER,
  stored_at INTEGER NOT NULL,
  principal_client_id BLOB,
  principal_user_name TEXT,
  principal_chain TEXT,
  principal_listener TEXT,
  principal_peer TEXT,
  principal_version INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE ended(session INTEGER PRIMARY KEY) STRICT;

INSERT INTO meta VALUES
  ('batch', 0), ('session', 0), ('message', 0), ('delivery', 0), ('retained', 0), ('alive_at', 0), ('clean', 1);
)sql";

constexpr char kViews[] = R"sql(
CREATE VIEW v_sessions AS
SELECT CAST(client_id AS TEXT) AS client_id,
       user_name,
       iif(connected, 'yes', 'no') AS connected,
       strftime('%Y-%m-%dT%H:%M:%SZ', gone_at / 1000, 'unixepoch') AS gone_at,
       CASE WHEN expiry_interval = 4294967295 THEN 'never'
            WHEN connected OR gone_at IS NULL THEN expiry_interval || ' s'
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', gone_at / 1000 + expiry_interval, 'unixepoch') END AS expires,
       will_topic,
       number
FROM session ORDER BY client_id;

CREATE VIEW v_subscriptions AS
SELECT CAST(client_id AS TEXT) AS client_id,
       filter,
       qos,
       iif(options & 4, 'yes', 'no') AS no_local,
       iif(options & 8, 'yes', 'no') AS retain_as_published,
       (options >> 4) & 3 AS retain_handling,
       nullif(identifier, 0) AS identifier
FROM subscription JOIN session ON session.number = subscription.session ORDER BY client_id, filter;

CREATE VIEW v_queues AS
SELECT CAST(client_id AS TEXT) AS client_id,
       count(delivery.number) - count(packet_id) AS queued,
       count(packet_id) AS in_flight,
       coalesce(sum(length(message.topic) + length(message.payload) + length(message.properties)), 0) AS bytes
FROM session LEFT JOIN delivery ON delivery.session = session.number
             LEFT JOIN message ON message.number = delivery.message
GROUP BY session.number ORDER BY queued + in_flight DESC;

CREATE VIEW v_messages AS
SELECT number,
       topic,
       qos,
       iif(retain, 'yes', 'no') AS retain,
       length(payload) AS bytes,
       CAST(substr(payload, 1, 100) AS TEXT) AS payload_begins,
       strftime('%Y-%m-%dT%H:%M:%SZ', expires_at / 1000, 'unixepoch') AS expires
FROM message ORDER BY number;

CREATE VIEW v_retained AS
SELECT topic,
       qos,
       length(payload) AS bytes,
       CAST(substr(payload, 1, 100) AS TEXT) AS payload_begins,
       strftime('%Y-%m-%dT%H:%M:%SZ', stored_at / 1000, 'unixepoch') AS stored_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', expires_at / 1000, 'unixepoch') AS expires,
       CAST(principal_client_id AS TEXT) AS published_by
FROM retained ORDER BY topic;
)sql";

struct Marks {
  std::int64_t application = 0;
  std::int64_t version = 0;
  std::int64_t objects = 0;
  std::int64_t tables = 0;  // of ours
};

Outcome read_marks(Database& database, Marks& out) {
  const std::pair<const char*, std::int64_t*> questions[] = {
      {"PRAGMA application_id", &out.application},
      {"PRAGMA user_version", &out.version},
      {"SELECT count(*) FROM sqlite_schema", &out.objects},
      {"SELECT count(*) FROM sqlite_schema WHERE type='table' AND name IN ('meta','session','subscription','message',"
       "'delivery','received','shared_delivery','retained','ended')",
       &out.tables},
  };
  for (const auto& [sql, number] : questions) {
    std::optional<std::int64_t> value;
    if (Outcome outcome = database.get_integer(sql, value); !outcome.ok()) return outcome;
    *number = value.value_or(0);
  }
  return {};
}

}  // namespace

Outcome schema_state(Database& database, SchemaState& out) {
  constexpr std::int64_t kTableCount = 9;
  Marks marks;
  if (Outcome outcome = read_marks(database, marks); !outcome.ok()) return outcome;
  const bool is_ours = marks.application == kApplicationId && marks.version > 0;
  if (marks.application == 0 && marks.version == 0 && marks.objects == 0) {
    out = SchemaState::kEmpty;
  } else if (!is_ours) {
    out = marks.tables == kTableCount || marks.application == kApplicationId ? SchemaState::kDamaged
                                                                             : SchemaState::kForeign;
  } else if (marks.version > kSchemaVersion) {
    out = SchemaState::kNewer;
  } else if (marks.tables != kTableCount) {
    out = SchemaState::kDamaged;
  } else {
    out = marks.version == kSchemaVersion ? SchemaState::kCurrent : SchemaState::kOlder;
  }
  return {};
}

Outcome migrate(Database& database) {
  SchemaState state = SchemaState::kEmpty;
  Outcome outcome = database.execute("BEGIN IMMEDIATE");
  if (!outcome.ok()) return outcome;
  // Somebody else may have been faster.
  outcome = schema_state(database, state);
  if (outcome.ok() && state == SchemaState::kEmpty) {
    const std::string marks = "PRAGMA application_id=" + std::to_string(kApplicationId) +
                              ";PRAGMA user_version=" + std::to_string(kSchemaVersion);
    outcome = database.execute(kTables);
    if (outcome.ok()) outcome = database.execute(kViews);
    if (outcome.ok()) outcome = database.execute(marks.c_str());
  }
  if (outcome.ok()) outcome = database.execute("COMMIT");
  // Whatever comes of it: the first fault is told.
  if (!outcome.ok() && database.in_transaction()) [[maybe_unused]]
    const Outcome ignored = database.execute("ROLLBACK");
  return outcome;
}

}  // namespace mqloop::store
