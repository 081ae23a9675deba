// A database of maps: what Rows writes, visible without SQL, with transactions. Its n-th row can be made to fail.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/publisher_sqlite/rows.h"

namespace mqloop::publisher_sqlite_test {

struct FakeDelivery {
  std::uint64_t message = 0;
  QoS qos = QoS::kAtMostOnce;
  bool received = false;
  std::uint16_t packet_id = 0;
  std::string group;
  std::vector<std::uint32_t> identifiers;
  bool operator==(const FakeDelivery&) const = default;
};

struct FakeSession {
  std::string client_id;
  bool connected = false;
  std::string will;
  bool operator==(const FakeSession&) const = default;
};

// Only what a test looks at.
struct FakeDatabase {
  std::map<std::uint64_t, FakeSession> sessions;
  std::set<std::uint64_t> ended;
  std::map<std::pair<std::uint64_t, std::string>, QoS> subscriptions;
  std::map<std::uint64_t, std::string> messages;  // number: payload
  std::map<std::pair<std::uint64_t, std::uint64_t>, FakeDelivery> deliveries;
  std::set<std::pair<std::uint64_t, std::uint16_t>> received;
  std::set<std::pair<std::string, std::uint64_t>> shared;
  std::map<std::string, std::string> retained;  // topic: payload
  store::Progress progress;
};

class FakeRows final : public publisher_sqlite::Rows {
 public:
  using Outcome = store::Outcome;

  FakeDatabase now;  // with what the transaction under way has done
  FakeDatabase committed;
  std::uint64_t rows = 0;  // that were asked for in this transaction
  std::optional<std::uint64_t> fails_at;
  std::size_t sweep_budget = ~std::size_t{0};

  void begin() { rows = 0; }
  void commit() { committed = now; }
  void roll_back() { now = committed; }

  Outcome put_session(const store::SessionRow& it) override {
    if (fails()) return fault();
    FakeSession session{std::string(it.client_id), it.connected, {}};
    if (it.will != nullptr) session.will = it.will->topic;
    now.sessions[it.number] = session;
    return {};
  }
  Outcome end_session(std::uint64_t session) override {
    if (fails()) return fault();
    if (now.sessions.erase(session) != 0) now.ended.insert(session);
    return {};
  }
  Outcome sweep_ended(std::size_t budget, std::vector<std::uint64_t>& released, bool& left) override {
    if (fails()) return fault();
    budget = std::min(budget, sweep_budget);
    while (!now.ended.empty() && budget != 0) {
      const std::uint64_t session = *now.ended.begin();
      auto at = now.deliveries.lower_bound({session, 0});
      for (; budget != 0 && at != now.deliveries.end() && at->first.first == session; --budget) {
        if (at->second.message != 0) released.push_back(at->second.message);
        at = now.deliveries.erase(at);
      }
      if (at != now.deliveries.end() && at->first.first == session) break;
      std::erase_if(now.subscriptions, [&](const auto& it) { return it.first.first == session; });
      std::erase_if(now.received, [&](const auto& it) { return it.first == session; });
      now.ended.erase(session);
    }
    left = !now.ended.empty();
    return {};
  }
  Outcome put_subscription(const store::SubscriptionRow& it) override {
    if (fails()) return fault();
    now.subscriptions[{it.session, std::string(it.filter)}] = it.qos;
    return {};
  }
  Outcome remove_subscription(std::uint64_t session, std::string_view filter) override {
    if (fails()) return fault();
    now.subscriptions.erase({session, std::string(filter)});
    return {};
  }
  Outcome insert_message(const store::MessageRow& it) override {
    if (fails()) return fault();
    now.messages.emplace(it.number, std::string(reinterpret_cast<const char*>(it.payload.data()), it.payload.size()));
    return {};
  }
  Outcome remove_message(std::uint64_t number) override {
    if (fails()) return fault();
    now.messages.erase(number);
    return {};
  }
  Outcome insert_delivery(const store::DeliveryRow& it) override {
    if (fails()) return fault();
    FakeDelivery delivery{it.message, it.qos, it.received, it.packet_id, std::string(it.group), {}};
    delivery.identifiers.assign(it.identifiers.begin(), it.identifiers.end());
    if (it.identifier != 0) delivery.identifiers.push_back(it.identifier);
    now.deliveries[{it.session, it.number}] = delivery;
    return {};
  }
  Outcome set_packet_id(std::uint64_t session, std::uint64_t delivery, std::uint16_t packet_id, QoS qos) override {
    if (fails()) return fault();
    const auto found = now.deliveries.find({session, delivery});
    if (found == now.deliveries.end()) return {};
    found->second.packet_id = packet_id;
    found->second.qos = qos;
    return {};
  }
  Outcome set_received(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) override {
    if (fails()) return fault();
    const auto found = now.deliveries.find({session, delivery});
    if (found == now.deliveries.end()) return {};
    released = std::exchange(found->second.message, 0);
    found->second.received = true;
    return {};
  }
  Outcome remove_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) override {
    if (fails()) return fault();
    const auto found = now.deliveries.find({session, delivery});
    if (found == now.deliveries.end()) return {};
    released = found->second.message;
    now.deliveries.erase(found);
    return {};
  }
  Outcome remove_known_delivery(std::uint64_t session, std::uint64_t delivery, bool& existed) override {
    if (fails()) return fault();
    existed = now.deliveries.erase({session, delivery}) != 0;
    return {};
  }
  Outcome insert_received(std::uint64_t session, std::uint16_t packet_id) override {
    if (fails()) return fault();
    now.received.emplace(session, packet_id);
    return {};
  }
  Outcome remove_received(std::uint64_t session, std::uint16_t packet_id) override {
    if (fails()) return fault();
    now.received.erase({session, packet_id});
    return {};
  }
  Outcome insert_shared_delivery(std::string_view group, std::uint64_t message) override {
    if (fails()) return fault();
    now.shared.emplace(group, message);
    return {};
  }
  Outcome remove_shared_delivery(std::string_view group, std::uint64_t message, bool& existed) override {
    if (fails()) return fault();
    existed = now.shared.erase({std::string(group), message}) != 0;
    return {};
  }
  Outcome put_retained(const store::RetainedRow& it) override {
    if (fails()) return fault();
    now.retained[std::string(it.message.topic)] =
        std::string(reinterpret_cast<const char*>(it.message.payload.data()), it.message.payload.size());
    return {};
  }
  Outcome clear_retained(std::string_view topic) override {
    if (fails()) return fault();
    now.retained.erase(std::string(topic));
    return {};
  }
  Outcome set_progress(const store::Progress& progress) override {
    if (fails()) return fault();
    now.progress = progress;
    return {};
  }

 private:
  bool fails() { return fails_at && rows++ == *fails_at; }
  static Outcome fault() { return {store::Cause::kFull, "no space"}; }
};

}  // namespace mqloop::publisher_sqlite_test
