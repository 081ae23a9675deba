#include "core/cli/mqloop/db_check.h"

#include <cstdio>

#include "core/store/store.h"
#include "core/store/well_formed.h"

namespace mqloop::cli {
namespace {

using store::Outcome;
using store::Statement;
using store::Store;

// Counts of what must not be; the text comes after the number.
constexpr struct {
  const char* sql;
  const char* what;
} kRules[] = {
    {"SELECT count(*) FROM delivery WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
     "(SELECT session FROM ended)",
     "deliveries to a session that is not there"},
    {"SELECT count(*) FROM subscription WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
     "(SELECT session FROM ended)",
     "subscriptions of a session that is not there"},
    {"SELECT count(*) FROM received WHERE session NOT IN (SELECT number FROM session) AND session NOT IN "
     "(SELECT session FROM ended)",
     "packet identifiers of a session that is not there"},
    {"SELECT count(*) FROM ended WHERE session IN (SELECT number FROM session)", "sessions that are ended and there"},
    {"SELECT count(*) FROM delivery WHERE message IS NOT NULL AND NOT EXISTS "
     "(SELECT 1 FROM message WHERE message.number=delivery.message)",
     "deliveries of a message that is not there"},
    {"SELECT count(*) FROM shared_delivery WHERE NOT EXISTS "
     "(SELECT 1 FROM message WHERE message.number=shared_delivery.message)",
     "messages of a group that are not there"},
    {"SELECT count(*) FROM message WHERE number NOT IN (SELECT message FROM delivery WHERE message IS NOT NULL UNION "
     "SELECT message FROM shared_delivery)",
     "messages that nobody is to have"},
    {"SELECT count(*) FROM delivery WHERE received AND (message IS NOT NULL OR packet_id IS NULL OR qos<>2)",
     "received deliveries with a message, or without a packet identifier"},
    {"SELECT count(*) FROM delivery WHERE NOT received AND message IS NULL", "deliveries without a message"},
    {"SELECT count(*) FROM delivery WHERE qos NOT IN (1,2) OR packet_id NOT BETWEEN 1 AND 65535",
     "deliveries with a QoS or packet identifier that there is not"},
    {"SELECT count(*) FROM (SELECT 1 FROM delivery WHERE packet_id IS NOT NULL GROUP BY session,packet_id HAVING "
     "count(*)>1)",
     "packet identifiers of which a session has two"},
    {"SELECT count(*) FROM meta WHERE (key='session' AND value<(SELECT max(number) FROM session)) OR "
     "(key='message' AND value<(SELECT max(number) FROM message)) OR "
     "(key='delivery' AND value<(SELECT max(number) FROM delivery)) OR "
     "(key='retained' AND value<(SELECT max(sequence) FROM retained))",
     "numbers that would be given a second time"},
    {"SELECT 7-count(*) FROM meta WHERE key IN "
     "('batch','session','message','delivery','retained','alive_at','clean')",
     "rows missing in meta"},
};

class Check {
 public:
  Check(Store& store, const std::string& path) : store_(store), path_(path) {}

  Outcome run(bool& sound) {
    Outcome outcome = check_structure();
    // What is built on sand need not be looked at.
    if (outcome.ok() && faults_ == 0) outcome = check_rules();
    if (outcome.ok() && faults_ == 0) outcome = check_texts();
    if (!outcome.ok()) return outcome;
    sound = faults_ == 0;
    return sound ? tell_counts() : Outcome();
  }

 private:
  void fault(const std::string& what) {
    std::printf("%s: %s\n", path_.c_str(), what.c_str());
    ++faults_;
  }

  // Calls `one` for each row.
  template <typename One>
  Outcome each(const char* sql, const One& one) {
    Statement statement;
    Outcome outcome = store_.database().prepare(sql, statement);
    for (bool row = true; outcome.ok();) {
      outcome = statement.next(row);
      if (!row) break;
      one(statement);
    }
    return outcome;
  }

  Outcome check_structure() {
    return each("PRAGMA integrity_check(20)", [this](const Statement& row) {
      if (row.text(0) != "ok") fault(std::string(row.text(0)));
    });
  }

  Outcome check_rules() {
    for (const auto& rule : kRules) {
      std::optional<std::int64_t> count;
      if (Outcome outcome = store_.database().get_integer(rule.sql, count); !outcome.ok()) return outcome;
      if (count.value_or(0) != 0) fault(std::to_string(*count) + ' ' + rule.what);
    }
    return {};
  }

  Outcome check_texts() {
    std::uint64_t messages = 0;
    const auto look = [&](const Statement& row) {
      const std::int64_t qos = row.integer(2);
      if (!store::is_topic_name(row.text(0)) || !store::are_forwarded_properties(row.blob(1)) || qos < 0 || qos > 2) {
        ++messages;
      }
    };
    Outcome outcome = each("SELECT topic,properties,qos FROM message", look);
    if (outcome.ok()) outcome = each("SELECT topic,properties,qos FROM retained", look);
    if (outcome.ok()) {
      outcome = each("SELECT will_topic,will_properties,will_qos FROM session WHERE will_topic IS NOT NULL", look);
    }
    std::uint64_t filters = 0;
    const auto look_at_filter = [&](const Statement& row) {
      if (!store::is_subscription_filter(row.text(0))) ++filters;
    };
    if (outcome.ok()) outcome = each("SELECT filter FROM subscription", look_at_filter);
    if (outcome.ok()) outcome = each("SELECT DISTINCT share FROM shared_delivery", look_at_filter);
    std::uint64_t clients = 0;
    if (outcome.ok()) {
      outcome = each("SELECT CAST(client_id AS TEXT) FROM session", [&](const Statement& row) {
        if (row.text(0).empty() || !store::is_utf8_string(row.text(0))) ++clients;
      });
    }
    if (messages != 0) fault(std::to_string(messages) + " messages with a topic, properties or QoS that there is not");
    if (filters != 0) fault(std::to_string(filters) + " topic filters that are none");
    if (clients != 0) fault(std::to_string(clients) + " client identifiers that are none");
    return outcome;
  }

  Outcome tell_counts() {
    std::string text;
    for (const auto& [table, what] : {std::pair{"session", "sessions"},
                                      {"subscription", "subscriptions"},
                                      {"message", "messages"},
                                      {"delivery", "deliveries"},
                                      {"shared_delivery", "messages of groups"},
                                      {"retained", "retained messages"}}) {
      std::optional<std::int64_t> count;
      const std::string sql = "SELECT count(*) FROM " + std::string(table);
      if (Outcome outcome = store_.database().get_integer(sql, count); !outcome.ok()) return outcome;
      text += (text.empty() ? "" : ", ") + std::to_string(count.value_or(0)) + ' ' + what;
    }
    std::printf("%s: ok: %s\n", path_.c_str(), text.c_str());
    return {};
  }

  Store& store_;
  const std::string& path_;
  std::size_t faults_ = 0;
};

}  // namespace

Outcome check_database(const std::string& path, bool& sound) {
  sound = false;
  Store store;
  Outcome outcome = store.open(path, {.mode = store::OpenMode::kReadOnly, .busy_timeout_ms = 1000});
  if (outcome.ok()) outcome = store.database().execute("BEGIN");
  return outcome.ok() ? Check(store, path).run(sound) : outcome;
}

}  // namespace mqloop::cli
