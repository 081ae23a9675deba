// The naive model that the ledger is held against: it knows at every moment what a database would hold that everything
// had been written to at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/publisher_sqlite/ledger_fixture.h"

namespace mqloop::publisher_sqlite_test {

using namespace mqloop::publisher_sqlite;

inline constexpr std::uint32_t kReactors = 3;
inline const std::string kGroup = "$share/g/t";

using Key = std::pair<std::uint64_t, std::uint64_t>;  // session, delivery; of the group: 0, message

struct Op {
  EntryKind kind = EntryKind::kFlush;
  To to;
  std::uint32_t source = 0;
  std::uint64_t turn = 0;
  std::uint64_t targets = 0;
  std::uint64_t message = 0;  // that is published
  std::vector<To> recipients;
  std::vector<std::pair<std::uint64_t, std::uint16_t>> received;
  SessionEventKind session_kind = SessionEventKind::kCreated;
  std::string text;  // topic, filter
  std::uint64_t sequence = 0;
  bool waits = false;
};

Op op_of(EntryKind kind, const To& to = {}) {
  Op op;
  op.kind = kind;
  op.to = to;
  return op;
}

struct Row {
  std::uint64_t message = 0;
  std::uint16_t packet_id = 0;
  QoS qos = QoS::kAtLeastOnce;
  bool received = false;
  // {source, turn}: none of these is complete before this is on disk.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> turns = {};
  std::uint64_t group_message = 0;  // that it was the group's once
};

struct Gathering {
  Row row;
  std::uint32_t source = 0;
  std::uint64_t turn = 0;
};

struct ModelTurn {
  std::uint64_t targets = 0;
  std::uint64_t given = 0;
  bool flushed = false;
  bool waits = false;
  std::vector<std::pair<std::uint64_t, std::uint16_t>> received;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> needs;  // turns, of which an event of this one changed something
  std::vector<std::uint64_t> messages;                         // that are sent in it with QoS 2
  std::map<std::string, std::pair<std::uint64_t, std::string>> retained;  // as in Model
};

class Model {
 public:
  std::map<Key, Row> rows;
  std::map<Key, Gathering> gathering;
  std::set<std::uint64_t> sessions;
  std::set<std::uint64_t> ended;
  std::set<std::pair<std::uint64_t, std::string>> subscriptions;
  std::set<std::pair<std::uint64_t, std::uint16_t>> received;
  std::map<std::pair<std::uint64_t, std::uint16_t>, std::pair<std::uint32_t, std::uint64_t>> received_turn;
  std::map<std::pair<std::uint64_t, std::uint16_t>, std::pair<std::uint32_t, std::uint64_t>> released_turn;
  std::map<std::uint64_t, std::pair<std::uint32_t, std::uint64_t>> created_turn;
  std::map<std::uint64_t, std::pair<std::uint32_t, std::uint64_t>> ended_turn;
  std::map<std::string, std::pair<std::uint64_t, std::string>> retained;  // topic: sequence, payload; "": cleared
  std::map<std::uint64_t, std::pair<std::uint32_t, std::uint64_t>> published_in;  // messages: their turns
  std::uint64_t recovered_message = 0;                                            // the last of an earlier run
  std::map<std::uint64_t, ModelTurn> turns[kReactors];
  std::uint64_t writable[kReactors] = {};
  std::uint64_t flushed[kReactors] = {};

  void apply(std::uint32_t reactor, const Op& op) {
    const Key key{op.to.session, op.to.delivery};
    const std::uint64_t message = op.to.message == nullptr ? 0 : op.to.message->number();
    switch (op.kind) {
      case EntryKind::kSource:
        turns[reactor][op.turn].targets = op.targets;
        turns[reactor][op.turn].received = op.received;
        if (op.message != 0) published_in[op.message] = {reactor, op.turn};
        break;
      case EntryKind::kRecipients:
        turns[op.source][op.turn].given |= std::uint64_t{1} << reactor;
        for (const To& to : op.recipients) {
          if (to.session != 0 && ended.contains(to.session)) continue;
          const Key at{to.session, to.session == 0 ? to.message->number() : to.delivery};
          gathering[at] = {{to.message->number(), to.packet_id, to.qos, false}, op.source, op.turn};
          if (to.session == 0 || to.qos != QoS::kExactlyOnce) continue;
          turns[op.source][op.turn].messages.push_back(to.message->number());
        }
        break;
      case EntryKind::kFlush:
        turns[reactor][op.turn].flushed = true;
        turns[reactor][op.turn].waits = op.waits;
        flushed[reactor] = op.turn;
        break;
      case EntryKind::kSession:
        if (op.session_kind == SessionEventKind::kCreated) {
          sessions.insert(op.to.session);
          created_turn[op.to.session] = {reactor, flushed[reactor] + 1};
        } else {
          end(op.to.session);
          ended_turn[op.to.session] = {reactor, flushed[reactor] + 1};
        }
        break;
      case EntryKind::kSubscribe:
        subscriptions.emplace(op.to.session, op.text);
        break;
      case EntryKind::kUnsubscribe:
        subscriptions.erase({op.to.session, op.text});
        break;
      case EntryKind::kReleased:
        release(op.to.session, op.to.packet_id);
        released_turn[{op.to.session, op.to.packet_id}] = {reactor, flushed[reactor] + 1};
        break;
      case EntryKind::kDelivered:
        if (!op.to.group.empty()) move({0, message}, key, message);
        change(reactor, key, op.waits, [&](Row& row) {
          row.packet_id = op.to.packet_id;
          row.qos = op.to.qos;
        });
        break;
      case EntryKind::kReceived:
        change(reactor, key, op.waits, [](Row& row) {
          row.received = true;
          row.message = 0;
        });
        break;
      case EntryKind::kReturned:
        move(key, {0, message}, message);
        break;
      case EntryKind::kGroupDone:
        rows.erase({0, message});
        gathering.erase({0, message});
        break;
      case EntryKind::kRetained: {
        const auto payload = op.to.message == nullptr ? std::span<const std::uint8_t>() : op.to.message->payload();
        turns[reactor][flushed[reactor] + 1].retained[op.text] = {op.sequence,
                                                                  std::string(payload.begin(), payload.end())};
        break;
      }
      default:
        rows.erase(key);
        gathering.erase(key);
        break;
    }
    advance();
  }

  [[nodiscard]] std::uint64_t completable(std::uint32_t source) const {
    std::uint64_t number = 0;
    for (const auto& [turn, it] : turns[source]) {
      if (turn > writable[source]) break;
      for (const auto& [other, needed] : it.needs) {
        if (writable[other] < needed) return number;
      }
      number = turn;
    }
    return number;
  }

 private:
  template <typename Change>
  void change(std::uint32_t reactor, const Key& key, bool waits, Change&& how) {
    if (const auto found = gathering.find(key); found != gathering.end()) {
      how(found->second.row);
      if (!waits) return;
      found->second.row.turns.emplace_back(reactor, flushed[reactor] + 1);
      turns[reactor][flushed[reactor] + 1].needs.emplace_back(found->second.source, found->second.turn);
    } else if (const auto row = rows.find(key); row != rows.end()) {
      how(row->second);
      if (waits) row->second.turns.emplace_back(reactor, flushed[reactor] + 1);
    }
  }
  void move(const Key& from, const Key& to, std::uint64_t message) {
    if (const auto found = gathering.find(from); found != gathering.end()) {
      Gathering moved = found->second;
      moved.row.message = moved.row.group_message = message;
      gathering.erase(found);
      gathering[to] = moved;
      return;
    }
    Row row;
    if (const auto found = rows.find(from); found != rows.end()) row = found->second;
    row.message = row.group_message = message;
    rows.erase(from);
    rows[to] = row;
  }
  void end(std::uint64_t session) {
    ended.insert(session);
    sessions.erase(session);
    std::erase_if(rows, [&](const auto& it) { return it.first.first == session; });
    std::erase_if(gathering, [&](const auto& it) { return it.first.first == session; });
    std::erase_if(subscriptions, [&](const auto& it) { return it.first == session; });
    std::erase_if(received, [&](const auto& it) { return it.first == session; });
  }
  void release(std::uint64_t session, std::uint16_t packet_id) {
    received.erase({session, packet_id});
    for (auto& all : turns) {
      for (auto& [number, turn] : all) std::erase(turn.received, std::pair(session, packet_id));
    }
  }
  [[nodiscard]] bool is_whole(std::uint32_t source, std::uint64_t number) const {
    const auto found = turns[source].find(number);
    return found != turns[source].end() && found->second.flushed &&
           (found->second.given & found->second.targets) == found->second.targets;
  }
  // As many whole turns as there are of which each message was published in one of them, or before.
  void advance() {
    std::uint64_t last[kReactors];
    for (std::uint32_t source = 0; source != kReactors; ++source) {
      last[source] = writable[source];
      while (is_whole(source, last[source] + 1)) ++last[source];
    }
    const auto is_in = [&](std::uint64_t message) {
      const auto found = published_in.find(message);
      if (message <= recovered_message) return true;
      return found != published_in.end() && found->second.second <= last[found->second.first];
    };
    for (bool changes = true; std::exchange(changes, false);) {
      for (std::uint32_t source = 0; source != kReactors; ++source) {
        for (std::uint64_t number = writable[source] + 1; number <= last[source]; ++number) {
          const std::vector<std::uint64_t>& messages = turns[source][number].messages;
          if (std::all_of(messages.begin(), messages.end(), is_in)) continue;
          last[source] = number - 1;
          changes = true;
        }
      }
    }
    for (std::uint32_t source = 0; source != kReactors; ++source) {
      while (writable[source] != last[source]) make_writable(source, ++writable[source]);
    }
  }
  void make_writable(std::uint32_t source, std::uint64_t number) {
    ModelTurn& turn = turns[source][number];
    for (auto it = gathering.begin(); it != gathering.end();) {
      if (it->second.source != source || it->second.turn != number) {
        ++it;
        continue;
      }
      if (turn.waits) it->second.row.turns.emplace_back(source, number);
      rows[it->first] = it->second.row;
      it = gathering.erase(it);
    }
    for (const auto& id : std::exchange(turn.received, {})) {
      if (ended.contains(id.first)) continue;
      received.insert(id);
      if (turn.waits) received_turn[id] = {source, number};
    }
    for (const auto& [topic, value] : turn.retained) {
      if (value.first > retained[topic].first) retained[topic] = value;
    }
  }
};

}  // namespace mqloop::publisher_sqlite_test
