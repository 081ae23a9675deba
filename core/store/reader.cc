#include "core/store/reader.h"

#include <algorithm>
#include <utility>

#include "core/base/failpoint.h"
#include "core/store/well_formed.h"

namespace mqloop::store {
namespace {

constexpr std::uint32_t kNever = 0xFFFFFFFF;  // a Session Expiry Interval
constexpr std::uint64_t kRowsBetweenProgress = 50'000;

using std::chrono::milliseconds;
using std::chrono::seconds;

bool is_qos(std::int64_t value) noexcept { return value >= 0 && value <= 2; }

bool is_uint32(std::int64_t value) noexcept { return value >= 0 && value <= 0xFFFFFFFF; }

std::string_view text_of(std::span<const std::uint8_t> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<WallTime> time_at(const Statement& row, int column) noexcept {
  if (row.is_null(column)) return std::nullopt;
  return WallTime(milliseconds(row.integer(column)));
}

// Six columns from `column` on. False: neither a principal nor none, and then nobody may act in its name.
bool read_principal(const Statement& row, int column, Ref<const Principal>& out) {
  out = nullptr;
  if (row.is_null(column + 5)) return row.is_null(column) && row.is_null(column + 2);
  Principal::Content content;
  content.client_id = text_of(row.blob(column));
  content.has_user_name = !row.is_null(column + 1);
  content.user_name = row.text(column + 1);
  content.chain = row.text(column + 2);
  content.listener = row.text(column + 3);
  content.peer_address = row.text(column + 4);
  const std::int64_t version = row.integer(column + 5);
  if (version < 3 || version > 5) return false;
  content.version = static_cast<ProtocolVersion>(version);
  for (const std::string_view text : {content.client_id, content.user_name, content.chain, content.listener}) {
    if (!is_utf8_string(text)) return false;
  }
  out = Principal::create(content);
  return true;
}

// One pass over a table in the order of its key; `at_end` when there is no row any more.
class Cursor {
 public:
  Outcome open(Database& database, std::string_view sql) {
    Outcome outcome = database.prepare(sql, statement_);
    return outcome.ok() ? advance() : outcome;
  }
  Outcome advance() {
    bool row = false;
    Outcome outcome = statement_.next(row);
    at_end_ = !row;
    return outcome;
  }
  [[nodiscard]] bool at_end() const noexcept { return at_end_; }
  [[nodiscard]] const Statement& row() const noexcept { return statement_; }

 private:
  Statement statement_;
  bool at_end_ = false;
};

class Reading {
 public:
  Reading(Store& store, Recovery& recovery, const ReaderOptions& options, Recovered& out)
      : database_(store.database()), store_(store), recovery_(recovery), options_(options), out_(out) {}

  Outcome run() {
    Outcome outcome = begin();
    if (outcome.ok()) outcome = read_messages();
    if (outcome.ok()) outcome = read_ended();
    if (outcome.ok()) outcome = read_sessions();
    if (outcome.ok()) outcome = read_groups();
    if (outcome.ok()) outcome = read_retained();
    if (!outcome.ok()) return outcome;
    for (const Entry& entry : entries_) out_.messages.push_back({entry.number, entry.references});
    out_.ended_left = !ended_.empty();
    if (options_.progress) options_.progress(all_, all_);
    return {};
  }

 private:
  struct Entry {
    std::uint64_t number;
    Ref<const Message> message;  // null: expired, or no good
    std::uint32_t references;
    bool expired;
  };

  Outcome begin() {
    Outcome outcome = store_.progress(out_.progress);
    std::optional<std::int64_t> value;
    RecoveredNumbers& numbers = out_.progress.numbers;
    const std::pair<const char*, std::uint64_t*> highest[] = {{"SELECT max(number) FROM session", &numbers.session},
                                                              {"SELECT max(session) FROM ended", &numbers.session},
                                                              {"SELECT max(number) FROM message", &numbers.message}};
    for (const auto& [sql, number] : highest) {
      if (outcome.ok()) outcome = database_.get_integer(sql, value);
      *number = std::max(*number, static_cast<std::uint64_t>(value.value_or(0)));
    }
    for (const char* const sql : {"SELECT count(*) FROM message", "SELECT count(*) FROM delivery",
                                  "SELECT count(*) FROM session", "SELECT count(*) FROM retained"}) {
      if (outcome.ok()) outcome = database_.get_integer(sql, value);
      all_ += static_cast<std::uint64_t>(value.value_or(0));
    }
    if (!outcome.ok()) return outcome;
    now_ = std::max(options_.now, out_.progress.alive_at);
    clock_went_back_ = now_ - options_.now;
    recovery_.numbers(numbers);
    return {};
  }

  void count_row() {
    if (++done_ % kRowsBetweenProgress == 0 && options_.progress) options_.progress(std::min(done_, all_), all_);
  }

  // ---- messages

  struct Lifetime {
    bool expired = false;
    MonotonicTime expires_at = Message::kNever;
  };
  [[nodiscard]] Lifetime lifetime_of(const Statement& row, int column) const noexcept {
    const std::optional<WallTime> at = time_at(row, column);
    if (!at) return {};
    return {*at <= now_, recovery_.time_of(*at - clock_went_back_)};
  }

  // Columns: number, topic, payload, properties, qos, retain, expires_at. Null: no message.
  Ref<const Message> make_message(const Statement& row, MonotonicTime expires_at, Ref<const Principal> principal) {
    const std::string_view topic = row.text(1);
    const std::span<const std::uint8_t> properties = row.blob(3);
    if (!is_topic_name(topic) || !are_forwarded_properties(properties) || !is_qos(row.integer(4))) return nullptr;
    Message::Content content;
    content.topic = topic;
    content.payload = row.blob(2);
    content.properties = properties;
    content.qos = static_cast<QoS>(row.integer(4));
    content.retain = row.integer(5) != 0;
    content.expires_at = expires_at;
    content.principal = std::move(principal);
    content.number = row.number(0);
    return Message::create(content);
  }

  Outcome read_messages() {
    Cursor cursor;
    Outcome outcome = cursor.open(
        database_, "SELECT number,topic,payload,properties,qos,retain,expires_at FROM message ORDER BY number");
    if (outcome.ok()) {
      outcome = database_.prepare(
          "SELECT principal_client_id,principal_user_name,principal_chain,principal_listener,principal_peer,"
          "principal_version FROM retained WHERE topic=?1 AND number=?2",
          principal_of_);
    }
    while (outcome.ok() && !cursor.at_end()) {
      const Statement& row = cursor.row();
      const Lifetime lifetime = lifetime_of(row, 6);
      Entry entry{row.number(0), nullptr, 0, lifetime.expired};
      if (lifetime.expired) {
        ++out_.counts.expired_messages;
      } else if (outcome = read_message(row, lifetime.expires_at, entry.message); !outcome.ok()) {
        break;
      }
      if (!lifetime.expired) ++(entry.message == nullptr ? out_.counts.bad_rows : out_.counts.messages);
      entries_.push_back(std::move(entry));
      count_row();
      outcome = cursor.advance();
    }
    return outcome;
  }

  Outcome read_message(const Statement& row, MonotonicTime expires_at, Ref<const Message>& out) {
    Ref<const Principal> principal;
    // The retained message of its topic may be this very one: then both are one Message, which has its principal.
    if (row.integer(5) != 0) {
      bool found = false;
      Outcome outcome = principal_of_.bind_text(1, row.text(1)).bind(2, row.number(0)).next(found);
      if (!outcome.ok()) return outcome;
      const bool good = !found || read_principal(principal_of_, 0, principal);
      principal_of_.reset();
      if (!good) return {};
    }
    out = make_message(row, expires_at, std::move(principal));
    return {};
  }

  Entry* find(std::uint64_t number) noexcept {
    // A queue names messages in rising order, as a rule the next one.
    if (hint_ < entries_.size() && entries_[hint_].number == number) return &entries_[hint_++];
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), number,
                                     [](const Entry& entry, std::uint64_t wanted) { return entry.number < wanted; });
    if (at == entries_.end() || at->number != number) return nullptr;
    hint_ = static_cast<std::size_t>(at - entries_.begin()) + 1;
    return &*at;
  }

  // An expired message that is on its way already goes the rest of it as well (3.3.2.3.3), with what is left of its
  // Message Expiry Interval: nothing [MQTT-3.3.2-6].
  Outcome revive(Entry& entry) {
    Statement one;
    Outcome outcome = database_.prepare(
        "SELECT number,topic,payload,properties,qos,retain,expires_at FROM message WHERE number=?1", one);
    bool found = false;
    if (outcome.ok()) outcome = one.bind(1, entry.number).next(found);
    if (outcome.ok() && found) outcome = read_message(one, lifetime_of(one, 6).expires_at, entry.message);
    return outcome;
  }

  // ---- sessions

  Outcome read_ended() {
    Cursor cursor;
    Outcome outcome = cursor.open(database_, "SELECT session FROM ended ORDER BY session");
    while (outcome.ok() && !cursor.at_end()) {
      ended_.push_back(cursor.row().number(0));
      outcome = cursor.advance();
    }
    return outcome;
  }

  Outcome read_sessions() {
    Cursor sessions;
    Outcome outcome = sessions.open(database_, "SELECT * FROM session WHERE number>0 ORDER BY number");
    if (outcome.ok()) {
      outcome = subscriptions_.open(
          database_, "SELECT session,filter,qos,options,identifier FROM subscription ORDER BY session,filter");
    }
    if (outcome.ok()) {
      outcome = deliveries_.open(database_,
                                 "SELECT session,number,message,qos,retain,packet_id,received,identifiers,share FROM "
                                 "delivery ORDER BY session,number");
    }
    if (outcome.ok()) {
      outcome = received_.open(database_, "SELECT session,packet_id FROM received ORDER BY session,packet_id");
    }
    while (outcome.ok() && !sessions.at_end()) {
      const std::uint64_t number = sessions.row().number(0);
      if (outcome = pass_strangers(number); !outcome.ok()) break;
      const bool alive = give_session(sessions.row());
      if (!alive) out_.dead_sessions.push_back(number);
      outcome = read_what_is_of(number, alive, text_of(sessions.row().blob(1)));
      count_row();
      if (outcome.ok()) outcome = sessions.advance();
    }
    return outcome.ok() ? pass_strangers(UINT64_MAX) : outcome;
  }

  // What belongs to sessions below `number` that are not there. SQLite's numbers are signed, ours are not: none of
  // either is negative unless the row is no good.
  Outcome pass_strangers(std::uint64_t number) {
    Outcome outcome;
    for (Cursor* const cursor : {&subscriptions_, &received_, &deliveries_}) {
      while (outcome.ok() && !cursor->at_end() && (cursor->row().integer(0) < 0 || cursor->row().number(0) < number)) {
        const std::uint64_t session = cursor->row().number(0);
        if (!std::binary_search(ended_.begin(), ended_.end(), session) &&
            (out_.dead_sessions.empty() || out_.dead_sessions.back() != session)) {
          out_.dead_sessions.push_back(session);
          ++out_.counts.bad_rows;
        }
        if (cursor == &deliveries_) refer_to(cursor->row());
        outcome = cursor->advance();
      }
    }
    return outcome;
  }

  Entry* refer_to(const Statement& row) noexcept {
    Entry* const entry = row.is_null(2) ? nullptr : find(row.number(2));
    if (entry != nullptr) ++entry->references;
    return entry;
  }

  // False: it is not to be.
  bool give_session(const Statement& row) {
    SessionState state;
    state.number = row.number(0);
    state.client_id = text_of(row.blob(1));
    state.has_user_name = !row.is_null(2);
    state.user_name = row.text(2);
    state.connected = row.integer(4) != 0;
    Ref<const Principal> principal;
    if (row.integer(0) <= 0 || state.client_id.empty() || !is_utf8_string(state.client_id) ||
        !is_utf8_string(state.user_name) || !is_uint32(row.integer(3)) || !read_principal(row, 13, principal)) {
      ++out_.counts.bad_rows;
      return false;
    }
    state.expiry_interval = static_cast<std::uint32_t>(row.integer(3));
    state.principal = principal.get();
    // Since its client went; whatever the clock says, not before that.
    const seconds away =
        state.connected
            ? seconds(0)
            : std::chrono::duration_cast<seconds>(std::max(milliseconds(0), now_ - time_at(row, 5).value_or(now_)));
    WillState will;
    Ref<const Message> will_message;
    if (!read_will(row, principal, away, will, will_message)) ++out_.counts.bad_rows;
    if (will_message != nullptr) {
      will.message = will_message.get();
      state.will = &will;
    }
    const seconds interval(state.expiry_interval);
    const seconds remaining =
        state.expiry_interval == kNever ? interval : std::max(seconds(0), interval - std::min(interval, away));
    if (remaining == seconds(0) && state.will == nullptr && !state.connected) {
      ++out_.counts.expired_sessions;
      return false;
    }
    ++out_.counts.sessions;
    recovery_.session(state, remaining);
    return true;
  }

  // Columns from 6 on: topic, payload, properties, qos, retain, delay, expiry. False: one that is no good.
  bool read_will(const Statement& row, const Ref<const Principal>& principal, seconds away, WillState& will,
                 Ref<const Message>& message) {
    if (row.is_null(6)) return true;
    const bool has_expiry = !row.is_null(12);
    if (!is_topic_name(row.text(6)) || !are_forwarded_properties(row.blob(8)) || !is_qos(row.integer(9)) ||
        !is_uint32(row.integer(11)) || !is_uint32(row.integer(12))) {
      return false;
    }
    const seconds delay(row.integer(11));
    will.delay_interval = static_cast<std::uint32_t>((delay - std::min(delay, away)).count());
    if (has_expiry) will.message_expiry_interval = static_cast<std::uint32_t>(row.integer(12));
    Message::Content content;
    content.topic = row.text(6);
    content.payload = row.blob(7);
    content.properties = row.blob(8);
    content.qos = static_cast<QoS>(row.integer(9));
    content.retain = row.integer(10) != 0;
    if (content.retain) content.principal = principal;
    message = Message::create(content);
    return true;
  }

  Outcome read_what_is_of(std::uint64_t session, bool alive, std::string_view client_id) {
    Outcome outcome;
    while (outcome.ok() && !subscriptions_.at_end() && subscriptions_.row().number(0) == session) {
      if (alive) give_subscription(client_id);
      outcome = subscriptions_.advance();
    }
    while (outcome.ok() && !deliveries_.at_end() && deliveries_.row().number(0) == session) {
      Entry* const entry = refer_to(deliveries_.row());
      if (alive) outcome = give_delivery(entry);
      count_row();
      if (outcome.ok()) outcome = deliveries_.advance();
    }
    while (outcome.ok() && !received_.at_end() && received_.row().number(0) == session) {
      const std::int64_t packet_id = received_.row().integer(1);
      if (alive && packet_id > 0 && packet_id <= 0xFFFF) {
        ++out_.counts.received;
        recovery_.received(static_cast<std::uint16_t>(packet_id));
      }
      outcome = received_.advance();
    }
    return outcome;
  }

  void give_subscription(std::string_view client_id) {
    const Statement& row = subscriptions_.row();
    SubscribeOp subscription;
    subscription.client_id = client_id;
    subscription.session = row.number(0);
    subscription.session_is_durable = true;
    subscription.filter = row.text(1);
    const std::int64_t identifier = row.integer(4);
    if (!is_subscription_filter(subscription.filter) || !is_qos(row.integer(2)) ||
        !are_subscription_options(row.integer(3)) || identifier < 0 || identifier > kHighestIdentifier) {
      ++out_.counts.bad_rows;
      return;
    }
    subscription.qos = static_cast<QoS>(row.integer(2));
    subscription.options = static_cast<std::uint8_t>(row.integer(3));
    subscription.identifier = static_cast<std::uint32_t>(identifier);
    subscription.verdict = static_cast<ReasonCode>(row.integer(2));
    ++out_.counts.subscriptions;
    recovery_.subscription(subscription);
  }

  Outcome give_delivery(Entry* entry) {
    const Statement& row = deliveries_.row();
    const std::int64_t qos = row.integer(3);
    const std::int64_t packet_id = row.integer(5);
    const bool received = row.integer(6) != 0;
    const bool good = row.integer(1) > 0 && qos >= 1 && qos <= 2 && packet_id >= 0 && packet_id <= 0xFFFF &&
                      (!received || (qos == 2 && packet_id != 0)) && decode_identifiers(row.blob(7), identifiers_) &&
                      (row.is_null(8) || is_shared_filter(row.text(8)));
    if (good && !received && packet_id != 0 && entry != nullptr && entry->expired && entry->message == nullptr) {
      if (Outcome outcome = revive(*entry); !outcome.ok()) return outcome;
    }
    const bool has_message = entry != nullptr && entry->message != nullptr;
    const bool too_late = entry != nullptr && entry->expired && packet_id == 0;
    if (!good || (!received && (!has_message || too_late))) {
      if (!too_late) ++out_.counts.bad_rows;
      out_.dead_deliveries.push_back({row.number(0), row.number(1)});
      return {};
    }
    Recipient recipient;
    recipient.message = received ? nullptr : entry->message.get();
    recipient.session = row.number(0);
    recipient.delivery = row.number(1);
    recipient.packet_id = static_cast<std::uint16_t>(packet_id);
    recipient.qos = static_cast<QoS>(qos);
    recipient.retain = row.integer(4) != 0;
    recipient.session_is_durable = true;
    if (identifiers_.size() == 1) recipient.identifier = identifiers_.front();
    if (identifiers_.size() > 1) recipient.identifiers = identifiers_;
    recipient.group = row.text(8);
    ++out_.counts.deliveries;
    MQLOOP_FAILPOINT("recovery_delivery");
    recovery_.delivery(recipient, received         ? DeliveryState::kReceived
                                  : packet_id != 0 ? DeliveryState::kSent
                                                   : DeliveryState::kQueued);
    return {};
  }

  // ---- groups and retained messages

  Outcome read_groups() {
    Cursor cursor;
    Outcome outcome = cursor.open(database_, "SELECT share,message FROM shared_delivery ORDER BY share,message");
    while (outcome.ok() && !cursor.at_end()) {
      const std::string_view group = cursor.row().text(0);
      Entry* const entry = find(cursor.row().number(1));
      if (entry != nullptr) ++entry->references;
      if (entry != nullptr && entry->message != nullptr && !entry->expired && is_shared_filter(group)) {
        ++out_.counts.group_messages;
        recovery_.group_message(group, entry->message);
      } else {
        if (entry == nullptr || !entry->expired) ++out_.counts.bad_rows;
        out_.dead_shared_deliveries.push_back({std::string(group), cursor.row().number(1)});
      }
      outcome = cursor.advance();
    }
    return outcome;
  }

  Outcome read_retained() {
    Cursor cursor;
    Outcome outcome =
        cursor.open(database_,
                    "SELECT number,topic,payload,properties,qos,1,expires_at,principal_client_id,principal_user_name,"
                    "principal_chain,principal_listener,principal_peer,principal_version FROM retained ORDER BY topic");
    while (outcome.ok() && !cursor.at_end()) {
      const Statement& row = cursor.row();
      const Lifetime lifetime = lifetime_of(row, 6);
      Entry* const same = row.number(0) == 0 ? nullptr : find(row.number(0));
      Ref<const Message> message;
      if (!lifetime.expired && same != nullptr && same->message != nullptr && same->message->topic() == row.text(1)) {
        message = same->message;
      } else if (Ref<const Principal> principal; !lifetime.expired && read_principal(row, 7, principal)) {
        message = make_message(row, lifetime.expires_at, std::move(principal));
      }
      if (message != nullptr) {
        ++out_.counts.retained;
        recovery_.retained(std::move(message));
      } else {
        ++(lifetime.expired ? out_.counts.expired_messages : out_.counts.bad_rows);
        out_.dead_retained.emplace_back(row.text(1));
      }
      count_row();
      outcome = cursor.advance();
    }
    return outcome;
  }

  Database& database_;
  Store& store_;
  Recovery& recovery_;
  const ReaderOptions& options_;
  Recovered& out_;

  WallTime now_{};
  milliseconds clock_went_back_{};
  std::vector<Entry> entries_;
  std::size_t hint_ = 0;
  std::vector<std::uint64_t> ended_;
  Statement principal_of_;
  Cursor subscriptions_;
  Cursor deliveries_;
  Cursor received_;
  std::vector<std::uint32_t> identifiers_;
  std::uint64_t done_ = 0;
  std::uint64_t all_ = 0;
};

}  // namespace

Outcome read_all(Store& store, Recovery& recovery, const ReaderOptions& options, Recovered& out) {
  out = {};
  return Reading(store, recovery, options, out).run();
}

}  // namespace mqloop::store
