#include "core/store/row_saver.h"

#include <optional>
#include <vector>

#include "core/store/well_formed.h"

namespace mqloop::store {
namespace {

using Type = Value::Type;
using Values = std::span<const Value>;

// A letter for each column: i integer, t text, b blob; a capital may be NULL as well, and `-` is NULL.
bool has_shape(Values values, std::string_view shape) noexcept {
  if (values.size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Type type = values[i].type;
    const char letter = shape[i];
    const bool may_be_null = letter == '-' || (letter >= 'A' && letter <= 'Z');
    const Type wanted = letter == 'i' || letter == 'I'   ? Type::kInteger
                        : letter == 't' || letter == 'T' ? Type::kText
                        : letter == '-'                  ? Type::kNull
                                                         : Type::kBlob;
    if (type != wanted && !(may_be_null && type == Type::kNull)) return false;
  }
  return true;
}

bool is_between(const Value& value, std::int64_t low, std::int64_t high) noexcept {
  return value.integer >= low && value.integer <= high;
}

bool is_qos(const Value& value) noexcept { return is_between(value, 0, 2); }

bool is_flag(const Value& value) noexcept { return is_between(value, 0, 1); }

constexpr std::int64_t kMostSeconds = 0xFFFFFFFF;

WallTime time_of(const Value& value) noexcept { return WallTime(std::chrono::milliseconds(value.integer)); }

std::optional<WallTime> optional_time_of(const Value& value) noexcept {
  return value.is_null() ? std::nullopt : std::optional(time_of(value));
}

// Six columns. False: neither a principal nor none.
bool principal_of(Values values, Ref<const Principal>& out) {
  if (values[5].is_null()) return values[0].is_null() && values[2].is_null();
  for (const std::size_t text : {0, 2, 3, 4}) {
    if (values[text].is_null() || !is_utf8_string(values[text].text())) return false;
  }
  if (!is_between(values[5], 3, 5) || !is_utf8_string(values[1].text())) return false;
  Principal::Content content;
  content.client_id = values[0].text();
  content.has_user_name = !values[1].is_null();
  content.user_name = values[1].text();
  content.chain = values[2].text();
  content.listener = values[3].text();
  content.peer_address = values[4].text();
  content.version = static_cast<ProtocolVersion>(values[5].integer);
  out = Principal::create(content);
  return true;
}

// Seven columns, of which the first is not NULL.
bool will_of(Values values, WillRow& out) {
  if (values[1].is_null() || values[2].is_null() || values[3].is_null() || values[5].is_null()) return false;
  out.topic = values[0].text();
  out.payload = values[1].bytes;
  out.properties = values[2].bytes;
  out.qos = static_cast<QoS>(values[3].integer);
  out.retain = values[4].integer != 0;
  out.delay_interval = static_cast<std::uint32_t>(values[5].integer);
  if (!values[6].is_null()) out.message_expiry_interval = static_cast<std::uint32_t>(values[6].integer);
  return is_topic_name(out.topic) && are_forwarded_properties(out.properties) && is_qos(values[3]) &&
         is_between(values[5], 0, kMostSeconds) && is_between(values[6], 0, kMostSeconds);
}

}  // namespace

Outcome RowSaver::take(const Record& record) {
  return record.of_table ? take_table(record) : take_index(record.values);
}

Outcome RowSaver::take_table(const Record& record) {
  const Values values = record.values;
  if (record.rowid <= 0) return drop();
  const auto number = static_cast<std::uint64_t>(record.rowid);
  if (has_shape(values, "-bTiiITBBIIIIBTTTTI")) return take_session(number, values);
  if (has_shape(values, "-tbbiiI")) return take_message(number, values);
  if (has_shape(values, "-")) return store_.end_session(number);
  return drop();
}

Outcome RowSaver::take_index(Values values) {
  if (has_shape(values, "itiii")) return take_subscription(values);
  if (has_shape(values, "iiIiiIiBT")) return take_delivery(values);
  if (has_shape(values, "tiibbiIiBTTTTI")) return take_retained(values);
  if (has_shape(values, "ii") || has_shape(values, "ti")) return take_pair(values);
  // The index of client identifiers: its rows are those of the sessions.
  if (has_shape(values, "bi")) return {};
  return drop();
}

Outcome RowSaver::holder_of(std::string_view client_id, std::uint64_t& number) {
  number = 0;
  Statement find;
  bool found = false;
  Outcome outcome = store_.database().prepare("SELECT number FROM session WHERE client_id=?1", find);
  if (!outcome.ok()) return outcome;
  find.bind_blob(1, {reinterpret_cast<const std::uint8_t*>(client_id.data()), client_id.size()});
  outcome = find.next(found);
  if (outcome.ok() && found) number = find.number(0);
  return outcome;
}

Outcome RowSaver::take_session(std::uint64_t number, Values values) {
  SessionRow row;
  row.number = number;
  row.client_id = values[1].text();
  row.has_user_name = !values[2].is_null();
  row.user_name = values[2].text();
  row.expiry_interval = static_cast<std::uint32_t>(values[3].integer);
  row.connected = values[4].integer != 0;
  row.gone_at = time_of(values[5]);
  Ref<const Principal> principal;
  if (row.client_id.empty() || !is_utf8_string(row.client_id) || !is_utf8_string(row.user_name) ||
      !is_between(values[3], 0, kMostSeconds) || !is_flag(values[4]) ||
      !principal_of(values.subspan(13, 6), principal)) {
    return drop();
  }
  row.principal = principal.get();
  WillRow will;
  if (!values[6].is_null()) {
    if (!will_of(values.subspan(6, 7), will)) return drop();
    row.will = &will;
  }
  // Two of a name: the younger one is what was there.
  std::uint64_t holder = 0;
  if (Outcome outcome = holder_of(row.client_id, holder); !outcome.ok()) return outcome;
  if (holder > number) return drop();
  ++counts_.sessions;
  return store_.put_session(row);
}

Outcome RowSaver::take_message(std::uint64_t number, Values values) {
  MessageRow row;
  row.number = number;
  row.topic = values[1].text();
  row.payload = values[2].bytes;
  row.properties = values[3].bytes;
  row.qos = static_cast<QoS>(values[4].integer);
  row.retain = values[5].integer != 0;
  row.expires_at = optional_time_of(values[6]);
  if (!is_topic_name(row.topic) || !are_forwarded_properties(row.properties) || !is_qos(values[4]) ||
      !is_flag(values[5])) {
    return drop();
  }
  ++counts_.messages;
  return store_.insert_message(row);
}

Outcome RowSaver::take_subscription(Values values) {
  SubscriptionRow row;
  row.session = static_cast<std::uint64_t>(values[0].integer);
  row.filter = values[1].text();
  row.qos = static_cast<QoS>(values[2].integer);
  row.options = static_cast<std::uint8_t>(values[3].integer);
  row.identifier = static_cast<std::uint32_t>(values[4].integer);
  if (values[0].integer <= 0 || !is_subscription_filter(row.filter) || !is_qos(values[2]) ||
      !are_subscription_options(values[3].integer) || !is_between(values[4], 0, kHighestIdentifier)) {
    return drop();
  }
  ++counts_.subscriptions;
  return store_.put_subscription(row);
}

Outcome RowSaver::take_delivery(Values values) {
  DeliveryRow row;
  row.session = static_cast<std::uint64_t>(values[0].integer);
  row.number = static_cast<std::uint64_t>(values[1].integer);
  row.message = static_cast<std::uint64_t>(values[2].integer);
  row.qos = static_cast<QoS>(values[3].integer);
  row.retain = values[4].integer != 0;
  row.packet_id = static_cast<std::uint16_t>(values[5].integer);
  row.received = values[6].integer != 0;
  row.group = values[8].text();
  std::vector<std::uint32_t> identifiers;
  const bool good =
      values[0].integer > 0 && values[1].integer > 0 && is_between(values[3], 1, 2) && is_flag(values[4]) &&
      is_between(values[5], 0, 0xFFFF) && is_flag(values[6]) && values[2].integer >= 0 &&
      row.received == values[2].is_null() && (!row.received || (row.packet_id != 0 && row.qos == QoS::kExactlyOnce)) &&
      decode_identifiers(values[7].bytes, identifiers) && (row.group.empty() || is_shared_filter(row.group));
  if (!good) return drop();
  row.identifiers = identifiers;
  ++counts_.deliveries;
  return store_.insert_delivery(row);
}

Outcome RowSaver::take_retained(Values values) {
  RetainedRow row;
  row.message.topic = values[0].text();
  row.sequence = static_cast<std::uint64_t>(values[1].integer);
  row.message.number = static_cast<std::uint64_t>(values[2].integer);
  row.message.payload = values[3].bytes;
  row.message.properties = values[4].bytes;
  row.message.qos = static_cast<QoS>(values[5].integer);
  row.message.expires_at = optional_time_of(values[6]);
  row.stored_at = time_of(values[7]);
  Ref<const Principal> principal;
  if (!is_topic_name(row.message.topic) || values[1].integer < 0 || values[2].integer < 0 ||
      !are_forwarded_properties(row.message.properties) || !is_qos(values[5]) ||
      !principal_of(values.subspan(8, 6), principal)) {
    return drop();
  }
  row.principal = principal.get();
  ++counts_.retained;
  return store_.put_retained(row);
}

// Packet identifiers, messages of groups, and meta.
Outcome RowSaver::take_pair(Values values) {
  if (values[0].type == Type::kInteger) {
    if (values[0].integer <= 0 || !is_between(values[1], 1, 0xFFFF)) return drop();
    ++counts_.received;
    return store_.insert_received(static_cast<std::uint64_t>(values[0].integer),
                                  static_cast<std::uint16_t>(values[1].integer));
  }
  if (!values[0].text().starts_with("$share/")) return take_meta(values[0].text(), values[1].integer);
  if (!is_shared_filter(values[0].text()) || values[1].integer <= 0) return drop();
  ++counts_.shared_deliveries;
  return store_.insert_shared_delivery(values[0].text(), static_cast<std::uint64_t>(values[1].integer));
}

Outcome RowSaver::take_meta(std::string_view key, std::int64_t value) {
  if (key == "clean") return {};
  Statement raise;
  Outcome outcome = store_.database().prepare("UPDATE meta SET value=max(value,?2) WHERE key=?1", raise);
  return outcome.ok() ? raise.bind_text(1, key).bind(2, value).run() : outcome;
}

Outcome RowSaver::finish() {
  constexpr struct {
    const char* sql;
    bool counts;
  } kSteps[] = {
      {"DELETE FROM ended WHERE session IN (SELECT number FROM session)", false},
      {"DELETE FROM delivery WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
       "(SELECT session FROM ended)",
       true},
      {"DELETE FROM delivery WHERE message IS NOT NULL AND NOT EXISTS "
       "(SELECT 1 FROM message WHERE message.number=delivery.message)",
       true},
      {"DELETE FROM shared_delivery WHERE NOT EXISTS "
       "(SELECT 1 FROM message WHERE message.number=shared_delivery.message)",
       true},
      {"DELETE FROM subscription WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
       "(SELECT session FROM ended)",
       true},
      {"DELETE FROM received WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
       "(SELECT session FROM ended)",
       true},
      {"DELETE FROM message WHERE number NOT IN (SELECT message FROM delivery WHERE message IS NOT NULL UNION "
       "SELECT message FROM shared_delivery)",
       true},
      {"UPDATE meta SET value=0 WHERE key='clean'", false},
  };
  for (const auto& step : kSteps) {
    if (Outcome outcome = store_.database().execute(step.sql); !outcome.ok()) return outcome;
    if (step.counts) counts_.dropped += store_.database().changes();
  }
  return store_.raise_numbers();
}

}  // namespace mqloop::store
