// What mosquitto kept, as rows of ours. Its messages get new numbers, in the order of its file; who may read or have
// written what is asked of nobody for them, until their client comes back or their topic gets another value.
#include <mqloop/topic.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/cli/mqloop/db_import.h"
#include "core/store/mosquitto_file.h"
#include "core/store/well_formed.h"

namespace mqloop::cli {
namespace {

using namespace store;

constexpr std::uint32_t kNever = 0xFFFFFFFF;
constexpr std::uint64_t kMessageStep = 64;  // a number holds that of its reactor in the low bits

class Rows final : public MosquittoVisitor {
 public:
  Rows(Store& store, ImportCounts& counts)
      : store_(store),
        counts_(counts),
        now_(std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now())) {}

  bool message(const MosquittoMessage& message) override {
    if (!is_topic_name(message.topic) || !are_forwarded_properties(message.properties) || message.qos > 2) {
      return leave_out();
    }
    MessageRow row;
    row.number = messages_.size() * kMessageStep + kMessageStep;
    row.topic = message.topic;
    row.payload = message.payload;
    row.properties = message.properties;
    row.qos = static_cast<QoS>(message.qos);
    row.retain = message.retain;
    if (message.expires_at > 0 && message.expires_at < kNever) row.expires_at = wall(message.expires_at);
    if (!messages_.emplace(message.id, row.number).second) return leave_out();
    return went(store_.insert_message(row));
  }

  bool client(const MosquittoClient& client) override {
    const bool is_known = sessions_.contains(std::string(client.client_id));
    if (is_known || client.client_id.empty() || !is_utf8_string(client.client_id) ||
        !is_utf8_string(client.user_name) || client.expiry_interval == 0) {
      return leave_out();
    }
    SessionRow row;
    row.number = sessions_.size() + 1;
    row.client_id = client.client_id;
    row.has_user_name = !client.user_name.empty();
    row.user_name = client.user_name;
    row.expiry_interval = client.expiry_interval;
    row.gone_at = now_;
    if (client.expires_at > 0 && client.expires_at < 2LL * kNever && client.expiry_interval != kNever) {
      row.gone_at = std::min(now_, wall(client.expires_at - client.expiry_interval));
    }
    sessions_.emplace(client.client_id, row.number);
    ++counts_.sessions;
    return went(store_.put_session(row));
  }

  bool client_message(const MosquittoClientMessage& message) override {
    const auto session = sessions_.find(std::string(message.client_id));
    const auto number = messages_.find(message.message);
    // Not sent any more: QoS 0, expired, or of a client that is not kept.
    if (message.state == MosquittoState::kOther) return true;
    if (session == sessions_.end() || number == messages_.end() || message.qos > 2 || has_zero(message.identifiers)) {
      return leave_out();
    }
    if (message.state == MosquittoState::kInbound) {
      inbound_.push_back({session->second, message.packet_id, number->second});
      return true;
    }
    DeliveryRow row;
    row.session = session->second;
    row.number = ++deliveries_;
    row.message = number->second;
    row.qos = static_cast<QoS>(message.qos);
    row.retain = message.retain;
    row.identifiers = message.identifiers;
    if (message.state != MosquittoState::kQueued) row.packet_id = message.packet_id;
    if (message.state == MosquittoState::kReceived && message.packet_id != 0) {
      row.received = true;
      row.message = 0;
    }
    ++counts_.deliveries;
    return went(store_.insert_delivery(row));
  }

  bool subscription(const MosquittoSubscription& subscription) override {
    const auto session = sessions_.find(std::string(subscription.client_id));
    if (session == sessions_.end() || subscription.qos > 2 || !is_subscription_filter(subscription.filter) ||
        !are_subscription_options(subscription.options) || subscription.identifier > kHighestIdentifier) {
      return leave_out();
    }
    SubscriptionRow row;
    row.session = session->second;
    row.filter = subscription.filter;
    row.qos = static_cast<QoS>(subscription.qos);
    row.options = subscription.options;
    row.identifier = subscription.identifier;
    ++counts_.subscriptions;
    return went(store_.put_subscription(row));
  }

  bool retained(std::uint64_t message) override {
    const auto number = messages_.find(message);
    return number == messages_.end() ? leave_out() : went(retain(number->second));
  }

  // After the file: what its order did not allow before.
  Outcome finish() {
    for (std::size_t i = 0; outcome_.ok() && i < inbound_.size(); ++i) outcome_ = route(inbound_[i]);
    if (outcome_.ok()) {
      outcome_ = store_.database().execute(
          "DELETE FROM message WHERE number NOT IN (SELECT message FROM delivery WHERE message IS NOT NULL UNION "
          "SELECT message FROM shared_delivery)");
    }
    std::optional<std::int64_t> count;
    if (outcome_.ok()) outcome_ = store_.database().get_integer("SELECT count(*) FROM retained", count);
    counts_.retained = static_cast<std::uint64_t>(count.value_or(0));
    return outcome_;
  }
  [[nodiscard]] const Outcome& outcome() const noexcept { return outcome_; }

 private:
  // A QoS 2 PUBLISH that its client has not released. mosquitto routes it when PUBREL comes, mqloop when PUBLISH came.
  struct Inbound {
    std::uint64_t session;
    std::uint16_t packet_id;
    std::uint64_t message;
  };
  struct Match {
    QoS qos = QoS::kAtMostOnce;
    bool retain = false;
    std::vector<std::uint32_t> identifiers;
  };

  static bool has_zero(std::span<const std::uint32_t> identifiers) {
    return std::find(identifiers.begin(), identifiers.end(), 0U) != identifiers.end();
  }
  static WallTime wall(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }
  bool leave_out() {
    ++counts_.left_out;
    return true;
  }
  bool went(Outcome outcome) {
    outcome_ = std::move(outcome);
    return outcome_.ok();
  }

  Outcome retain(std::uint64_t message) {
    Statement statement;
    Outcome outcome = store_.database().prepare(
        "REPLACE INTO retained SELECT topic,?2,0,payload,properties,qos,expires_at,?3,NULL,NULL,NULL,NULL,NULL,NULL "
        "FROM message WHERE number=?1 AND length(payload)>0",
        statement);
    if (!outcome.ok()) return outcome;
    statement.bind(1, message).bind(2, ++retained_);
    return statement.bind(3, static_cast<std::int64_t>(now_.time_since_epoch().count())).run();
  }

  Outcome route(const Inbound& inbound) {
    Statement find;
    bool found = false;
    Outcome outcome =
        store_.database().prepare("SELECT topic,retain,length(payload) FROM message WHERE number=?1", find);
    if (outcome.ok()) outcome = find.bind(1, inbound.message).next(found);
    if (!outcome.ok() || !found) return outcome;
    const std::string topic(find.text(0));
    const bool retain_flag = find.integer(1) != 0;
    const bool clears = retain_flag && find.integer(2) == 0;
    if (inbound.packet_id != 0) outcome = store_.insert_received(inbound.session, inbound.packet_id);
    if (outcome.ok() && retain_flag) outcome = clears ? store_.clear_retained(topic) : retain(inbound.message);
    std::map<std::uint64_t, Match> matches;
    std::vector<std::string> groups;
    if (outcome.ok()) outcome = match(inbound, topic, matches, groups);
    for (const std::string& group : groups) {
      if (outcome.ok()) outcome = store_.insert_shared_delivery(group, inbound.message);
    }
    for (const auto& [session, one] : matches) {
      if (!outcome.ok() || one.qos == QoS::kAtMostOnce) continue;
      DeliveryRow row;
      row.session = session;
      row.number = ++deliveries_;
      row.message = inbound.message;
      row.qos = one.qos;
      row.retain = one.retain && retain_flag;
      row.identifiers = one.identifiers;
      outcome = store_.insert_delivery(row);
      ++counts_.deliveries;
    }
    return outcome;
  }

  Outcome match(const Inbound& inbound, std::string_view topic, std::map<std::uint64_t, Match>& matches,
                std::vector<std::string>& groups) {
    Statement all;
    Outcome outcome = store_.database().prepare("SELECT session,filter,qos,options,identifier FROM subscription", all);
    for (bool row = true; outcome.ok();) {
      outcome = all.next(row);
      if (!row) break;
      const std::string_view filter = all.text(1);
      constexpr std::string_view kShare = "$share/";
      if (filter.starts_with(kShare)) {
        const std::string_view inner = filter.substr(filter.find('/', kShare.size()) + 1);
        const bool is_new = std::find(groups.begin(), groups.end(), filter) == groups.end();
        if (topic_matches(inner, topic) && is_new) groups.emplace_back(filter);
        continue;
      }
      constexpr std::int64_t kNoLocal = 0x04;
      constexpr std::int64_t kRetainAsPublished = 0x08;
      if (!topic_matches(filter, topic)) continue;
      if ((all.integer(3) & kNoLocal) != 0 && all.number(0) == inbound.session) continue;
      Match& one = matches[all.number(0)];
      one.qos = std::max(one.qos, static_cast<QoS>(all.integer(2)));
      one.retain = one.retain || (all.integer(3) & kRetainAsPublished) != 0;
      if (all.integer(4) != 0) one.identifiers.push_back(static_cast<std::uint32_t>(all.integer(4)));
    }
    return outcome;
  }

  Store& store_;
  ImportCounts& counts_;
  const WallTime now_;
  std::unordered_map<std::string, std::uint64_t> sessions_;
  std::unordered_map<std::uint64_t, std::uint64_t> messages_;
  std::vector<Inbound> inbound_;
  std::uint64_t deliveries_ = 0;
  std::uint64_t retained_ = 0;
  Outcome outcome_;
};

}  // namespace

Outcome import_mosquitto(std::istream& from, Store& store, ImportCounts& counts) {
  Rows rows(store, counts);
  const Status status = read_mosquitto(from, rows);
  if (!rows.outcome().ok()) return rows.outcome();
  if (!status.ok()) return {Cause::kOther, "mosquitto's file: " + std::string(status.message())};
  return rows.finish();
}

}  // namespace mqloop::cli
