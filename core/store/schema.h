// What stands in the database of a broker: its tables, the views for people, its version and how an older one becomes
// this one. Pure SQL; the rows are written by Store and read by Reader.
//
// Times are milliseconds of the wall clock since 1970. What MQTT calls a UTF-8 string is TEXT, but for client
// identifiers, which are BLOB. Tables, and what is not obvious of their columns:
//   meta             batch, numbers, alive_at, clean
//   session          a session that outlives its connection. user_name NULL: anonymous; will_*, principal_*: NULL
//   without one subscription     filter: `$share/...` as well message          one row for all who are to have it
//   delivery         a message on its way to a session, in the order of `number`. message is NULL after PUBREC;
//                    packet_id NULL: not sent yet; identifiers: Subscription Identifiers, 4 bytes each, little end
//                    first; share: the group through which it came
//   received         packet identifiers of QoS 2 PUBLISH packets of a client that it has not released yet
//   shared_delivery  messages that are a group's, in the order of their numbers
//   retained         the retained message of a topic
//   ended            numbers of sessions that are gone and of which rows are left to be swept
// No foreign keys: the broker keeps them, `mqloop db check` looks.
#pragma once

#include <cstdint>

#include "core/store/database.h"

namespace mqloop::store {

inline constexpr std::int64_t kApplicationId = 0x6d716c70;  // "mqlp"
inline constexpr std::int64_t kSchemaVersion = 1;

enum class SchemaState : std::uint8_t {
  kEmpty,    // a database without anything in it
  kCurrent,  // this version
  kOlder,    // a version that migrate() makes current
  kNewer,    // of a later mqloop
  kForeign,  // of some other program
  kDamaged,  // of mqloop: its tables are there, but not its marks, or the other way round
};

[[nodiscard]] Outcome schema_state(Database& database, SchemaState& out);

// Makes a kEmpty or kOlder database current, in one transaction.
Outcome migrate(Database& database);

}  // namespace mqloop::store
