// Three reactors that do whatever reactors may do, at random, a ledger that is told of it, and a model that is as naive
// as it can be: it knows at every moment what a database would hold that everything had been written to at once. After
// every commit the two are compared, also after commits that failed and after crashes.
// A failure prints its seed; MQLOOP_SEED=n runs that one alone, MQLOOP_SEEDS=n so many.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/publisher_sqlite/ledger_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;

namespace {

constexpr std::uint32_t kReactors = 3;
const std::string kGroup = "$share/g/t";

using Key = std::pair<std::uint64_t, std::uint64_t>;  // session, delivery; of the group: 0, message

struct Op {
  EntryKind kind = EntryKind::kFlush;
  To to;
  std::uint32_t source = 0;
  std::uint64_t turn = 0;
  std::uint64_t targets = 0;
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
        break;
      case EntryKind::kRecipients:
        turns[op.source][op.turn].given |= std::uint64_t{1} << reactor;
        for (const To& to : op.recipients) {
          if (to.session != 0 && ended.contains(to.session)) continue;
          const Key at{to.session, to.session == 0 ? to.message->number() : to.delivery};
          gathering[at] = {{to.message->number(), to.packet_id, to.qos, false}, op.source, op.turn};
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
      case EntryKind::kRetained:
        if (op.sequence > retained[op.text].first) {
          const auto payload = op.to.message == nullptr ? std::span<const std::uint8_t>() : op.to.message->payload();
          retained[op.text] = {op.sequence, std::string(payload.begin(), payload.end())};
        }
        break;
      default:
        rows.erase(key);
        gathering.erase(key);
        break;
    }
    for (std::uint32_t source = 0; source != kReactors; ++source) advance(source);
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
  void advance(std::uint32_t source) {
    for (;;) {
      const auto next = turns[source].find(writable[source] + 1);
      if (next == turns[source].end()) return;
      ModelTurn& turn = next->second;
      if (!turn.flushed || (turn.given & turn.targets) != turn.targets) return;
      ++writable[source];
      for (auto it = gathering.begin(); it != gathering.end();) {
        if (it->second.source != source || it->second.turn != writable[source]) {
          ++it;
          continue;
        }
        if (turn.waits) it->second.row.turns.emplace_back(source, writable[source]);
        rows[it->first] = it->second.row;
        it = gathering.erase(it);
      }
      for (const auto& id : std::exchange(turn.received, {})) {
        if (ended.contains(id.first)) continue;
        received.insert(id);
        if (turn.waits) received_turn[id] = {source, writable[source]};
      }
    }
  }
};

// A delivery as its session's reactor knows it.
struct Known {
  To to;
  bool received = false;
  bool from_group = false;
};

struct Session {
  std::uint64_t number = 0;
  std::uint32_t home = 0;
  std::uint64_t deliveries = 0;
  std::vector<Known> queue;
  std::vector<std::uint16_t> unreleased;
  std::uint16_t packet_ids = 0;
};

struct Due {  // a block that a reactor has to give
  std::uint32_t source;
  std::uint64_t turn;
  Ref<const Message> message;
  bool with_group;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) { start(); }

  // Empty when all went well.
  std::string run(unsigned steps) {
    for (unsigned i = 0; i != steps && fault_.empty(); ++i) step();
    if (fault_.empty()) finish();
    return fault_;
  }

 private:
  [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool chance(unsigned percent) { return below(100) < percent; }

  void start() {
    it_ = std::make_unique<LedgerFixture>();
    for (std::uint32_t r = 0; r != kReactors; ++r) {
      scripts_[r] = std::make_unique<Script>(r);
      ops_[r].clear();
      due_[r].clear();
      turn_[r] = 1;
      sourced_[r] = false;
    }
    groups_.clear();
    coming_groups_.clear();
  }

  void step() {
    const std::uint32_t reactor = below(kReactors);
    switch (below(20)) {
      case 0:
        return create(reactor);
      case 1:
        return chance(30) ? end(reactor) : subscribe(reactor);
      case 2:
      case 3:
      case 4:
      case 5:
        return publish(reactor);
      case 6:
      case 7:
      case 8:
        return give(reactor);
      case 9:
      case 10:
      case 11:
        return session_does(reactor);
      case 12:
        return group_does();
      case 13:
        return retain(reactor);
      case 14:
        return flush(reactor);
      case 15:
      case 16:
      case 17:
        return send(reactor);
      case 18:
        return write();
      default:
        return chance(10) ? crash() : (chance(30) ? write_all() : write());
    }
  }

  // Every turn comes to its end.
  void finish() {
    for (std::uint32_t reactor = 0; reactor != kReactors; ++reactor) {
      while (!due_[reactor].empty()) give(reactor);
      flush(reactor);
      send(reactor);
    }
    write_all();
    for (std::uint32_t reactor = 0; reactor != kReactors; ++reactor) {
      if (it_->complete[reactor] + 1 != turn_[reactor]) fault("a turn is not complete in the end");
    }
  }

  Session* session_at(std::uint32_t reactor) {
    std::vector<Session*> at;
    for (Session& session : sessions_) {
      if (session.home == reactor) at.push_back(&session);
    }
    return at.empty() ? nullptr : at[below(static_cast<std::uint32_t>(at.size()))];
  }
  std::uint16_t next_id(Session& session) { return ++session.packet_ids; }

  void create(std::uint32_t reactor) {
    Session& session = sessions_.emplace_back();
    session.number = ++session_numbers_;
    session.home = reactor;
    scripts_[reactor]->session(SessionEventKind::kCreated, session.number, "c" + std::to_string(session.number));
    Op op = op_of(EntryKind::kSession);
    op.to.session = session.number;
    ops_[reactor].push_back(op);
  }
  void end(std::uint32_t reactor) {
    Session* session = session_at(reactor);
    if (session == nullptr) return;
    for (Known& known : session->queue) {
      if (!known.from_group || known.received || known.to.qos == QoS::kExactlyOnce) continue;
      To to = known.to;
      to.group = kGroup;
      scripts_[reactor]->returned(to);
      Op op = op_of(EntryKind::kReturned, to);
      ops_[reactor].push_back(op);
      coming_groups_[reactor].push_back(known.to.message);
    }
    scripts_[reactor]->session(SessionEventKind::kEnded, session->number);
    Op op = op_of(EntryKind::kSession);
    op.session_kind = SessionEventKind::kEnded;
    op.to.session = session->number;
    ops_[reactor].push_back(op);
    std::erase_if(sessions_, [number = session->number](const Session& it) { return it.number == number; });
  }
  void subscribe(std::uint32_t reactor) {
    Session* session = session_at(reactor);
    if (session == nullptr) return;
    const std::string filter(1, static_cast<char>('a' + below(3)));
    const bool removed = chance(40);
    scripts_[reactor]->subscribe(session->number, filter, removed);
    Op op = op_of(removed ? EntryKind::kUnsubscribe : EntryKind::kSubscribe);
    op.to.session = session->number;
    op.text = filter;
    ops_[reactor].push_back(op);
  }

  // One SourceBlock a turn, as the broker gives it.
  void publish(std::uint32_t reactor) {
    if (sourced_[reactor]) return;
    sourced_[reactor] = true;
    const QoS qos = chance(50) ? QoS::kAtLeastOnce : QoS::kExactlyOnce;
    // A retained message that is replayed has been seen before.
    const bool again = !messages_.empty() && chance(15);
    if (!again) {
      ++sequence_;
      messages_.push_back(
          publisher_sqlite_test::message(sequence_ * 64 + reactor, std::to_string(sequence_), "t", qos));
    }
    const Ref<const Message>& message =
        again ? messages_[below(static_cast<std::uint32_t>(messages_.size()))] : messages_.back();
    Op op = op_of(EntryKind::kSource);
    op.turn = turn_[reactor];
    for (std::uint32_t r = 0; r != kReactors; ++r) {
      if (chance(50)) op.targets |= std::uint64_t{1} << r;
    }
    const bool with_group = !again && chance(30);
    for (std::uint32_t r = 0; r != kReactors; ++r) {
      // The group's home is reactor 0.
      if ((op.targets >> r & 1) != 0) due_[r].push_back({reactor, op.turn, message, with_group && r == 0});
    }
    if (Session* session = session_at(reactor); session != nullptr && qos == QoS::kExactlyOnce && !again) {
      const std::uint16_t id = next_id(*session);
      session->unreleased.push_back(id);
      op.received.emplace_back(session->number, id);
      scripts_[reactor]->source(op.turn, op.targets, {{session->number, id}});
    } else {
      scripts_[reactor]->source(op.turn, op.targets);
    }
    ops_[reactor].push_back(op);
  }
  void give(std::uint32_t reactor) {
    if (due_[reactor].empty()) return;
    const std::size_t which = chance(80) ? 0 : below(static_cast<std::uint32_t>(due_[reactor].size()));
    const Due due = due_[reactor][which];
    due_[reactor].erase(due_[reactor].begin() + static_cast<std::ptrdiff_t>(which));
    Op op = op_of(EntryKind::kRecipients);
    op.source = due.source;
    op.turn = due.turn;
    for (Session& session : sessions_) {
      if (session.home != reactor || chance(50)) continue;
      To to{session.number, ++session.deliveries, due.message.get()};
      to.qos = due.message->qos();
      if (chance(60)) to.packet_id = next_id(session);
      op.recipients.push_back(to);
      session.queue.push_back({to, false, false});
    }
    if (due.with_group) {
      To to{0, 0, due.message.get()};
      to.qos = due.message->qos();
      to.group = kGroup;
      op.recipients.push_back(to);
      coming_groups_[reactor].push_back(due.message.get());
    }
    scripts_[reactor]->block(op.source, op.turn, op.recipients);
    ops_[reactor].push_back(op);
  }

  void session_does(std::uint32_t reactor) {
    Session* session = session_at(reactor);
    if (session == nullptr) return;
    if (!session->unreleased.empty() && chance(20)) {
      scripts_[reactor]->released(session->number, session->unreleased.front());
      Op op = op_of(EntryKind::kReleased);
      op.to.session = session->number;
      op.to.packet_id = session->unreleased.front();
      ops_[reactor].push_back(op);
      session->unreleased.erase(session->unreleased.begin());
      return;
    }
    if (session->queue.empty()) return;
    const std::size_t which = below(static_cast<std::uint32_t>(session->queue.size()));
    Known& known = session->queue[which];
    Op op = op_of(EntryKind::kAcknowledged, known.to);
    if (known.received) {
      op.to.message = nullptr;
      scripts_[reactor]->acknowledged(op.to);
    } else if (known.to.packet_id == 0 && chance(80)) {
      known.to.packet_id = next_id(*session);
      op = op_of(EntryKind::kDelivered, known.to);
      op.waits = known.to.qos == QoS::kExactlyOnce;
      scripts_[reactor]->delivered(known.to, op.waits);
      ops_[reactor].push_back(op);
      return;
    } else if (known.to.packet_id != 0 && known.to.qos == QoS::kExactlyOnce && chance(80)) {
      known.received = true;
      op = op_of(EntryKind::kReceived, known.to);
      op.to.message = nullptr;
      op.waits = true;
      scripts_[reactor]->received(op.to);
      ops_[reactor].push_back(op);
      return;
    } else {
      scripts_[reactor]->acknowledged(known.to);
    }
    ops_[reactor].push_back(op);
    session->queue.erase(session->queue.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void group_does() {
    if (groups_.empty()) return;
    const Message* message = groups_.front();
    groups_.erase(groups_.begin());
    To to{0, 0, message};
    to.group = kGroup;
    const std::uint32_t reactor = below(kReactors);
    Session* session = session_at(reactor);
    if (session == nullptr || chance(20)) {
      scripts_[0]->group_done(to);
      ops_[0].push_back(op_of(EntryKind::kGroupDone, to));
      return;
    }
    to.session = session->number;
    to.delivery = ++session->deliveries;
    to.packet_id = next_id(*session);
    to.qos = message->qos();
    Op op = op_of(EntryKind::kDelivered, to);
    op.waits = to.qos == QoS::kExactlyOnce;
    scripts_[reactor]->delivered(to, op.waits);
    ops_[reactor].push_back(op);
    to.group = {};
    session->queue.push_back({to, false, true});
  }

  void retain(std::uint32_t reactor) {
    Op op = op_of(EntryKind::kRetained);
    op.text = std::string(1, static_cast<char>('r' + below(3)));
    op.sequence = ++retained_sequence_;
    if (chance(30)) {
      scripts_[reactor]->cleared(op.sequence, op.text);
    } else {
      messages_.push_back(
          publisher_sqlite_test::message(++sequence_ * 64 + reactor, std::to_string(op.sequence), op.text));
      op.to.message = messages_.back().get();
      scripts_[reactor]->retained(op.sequence, *messages_.back());
    }
    ops_[reactor].push_back(op);
  }

  void flush(std::uint32_t reactor) {
    Op op = op_of(EntryKind::kFlush);
    op.turn = turn_[reactor]++;
    op.waits = chance(85);
    sourced_[reactor] = false;
    scripts_[reactor]->flush(op.turn, op.waits);
    ops_[reactor].push_back(op);
  }

  void send(std::uint32_t reactor) {
    it_->feed(*scripts_[reactor]);
    for (const Op& op : ops_[reactor]) model_.apply(reactor, op);
    ops_[reactor].clear();
    // What others may hear of from now on.
    for (const Message* message : std::exchange(coming_groups_[reactor], {})) groups_.push_back(message);
    it_->tell();
    compare_complete();
  }

  // ---- the comparison

  void fault(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }

  void write() {
    if (chance(25)) it_->rows.fails_at = below(12);
    const bool done = it_->write();
    it_->rows.fails_at = std::nullopt;
    it_->tell();
    if (done) compare(/*settled=*/false);
    compare_complete();
  }
  void write_all() {
    it_->write_all();
    compare(/*settled=*/true);
    compare_complete();
  }

  void compare(bool settled) {
    const FakeDatabase& database = it_->database();
    std::set<std::uint64_t> wanted;
    std::size_t deliveries = 0;
    std::size_t shared = 0;
    for (const auto& [key, row] : model_.rows) {
      if (row.message != 0) wanted.insert(row.message);
      key.first == 0 ? ++shared : ++deliveries;
      if (key.first == 0) {
        if (!database.shared.contains({kGroup, row.message})) fault("a group's message is missing");
        continue;
      }
      const auto found = database.deliveries.find(key);
      if (found == database.deliveries.end()) {
        fault("delivery " + std::to_string(key.first) + "/" + std::to_string(key.second) + " is missing");
        continue;
      }
      const FakeDelivery& it = found->second;
      if (it.message != row.message) fault("a delivery has another message");
      if (it.packet_id != row.packet_id) fault("a delivery has another packet identifier");
      if (it.received != row.received) fault("a delivery is received, or is not");
    }
    if (deliveries != database.deliveries.size()) fault("there are deliveries too many");
    if (shared != database.shared.size()) fault("there are messages of groups too many");
    for (const std::uint64_t number : wanted) {
      if (!database.messages.contains(number)) fault("message " + std::to_string(number) + " is missing");
    }
    // A turn that gathers holds on to its messages, also for sessions that have ended meanwhile.
    if (settled && it_->ledger.gathering() == 0) {
      if (wanted.size() != database.messages.size()) fault("there are messages too many");
      if (wanted.size() != it_->ledger.messages()) fault("messages are counted that are not there");
    }
    if (model_.received != database.received) fault("received identifiers differ");
    std::set<std::uint64_t> sessions;
    for (const auto& [number, session] : database.sessions) sessions.insert(number);
    if (sessions != model_.sessions) fault("sessions differ");
    std::set<std::pair<std::uint64_t, std::string>> subscriptions;
    for (const auto& [key, qos] : database.subscriptions) subscriptions.insert(key);
    if (subscriptions != model_.subscriptions) fault("subscriptions differ");
    std::map<std::string, std::string> retained;
    for (const auto& [topic, value] : model_.retained) {
      if (!value.second.empty()) retained.emplace(topic, value.second);
    }
    if (retained != database.retained) fault("retained messages differ");
  }

  [[nodiscard]] bool is_told(const std::pair<std::uint32_t, std::uint64_t>& turn) const {
    const auto told = it_->complete.find(turn.first);
    return told != it_->complete.end() && turn.second <= told->second;
  }

  // What was told to be complete is on disk; and when nothing has to be written, all that can be complete was told.
  void compare_complete() {
    for (std::uint32_t source = 0; source != kReactors; ++source) {
      const auto told = it_->complete.find(source);
      const std::uint64_t number = told == it_->complete.end() ? 0 : told->second;
      const std::uint64_t most = model_.completable(source);
      if (number > most) fault("a turn is complete early");
      if (number < most && !it_->ledger.must_write()) fault("a turn is not complete");
    }
    const FakeDatabase& database = it_->database();
    for (const auto& [key, row] : model_.rows) {
      if (std::none_of(row.turns.begin(), row.turns.end(), [this](const auto& turn) { return is_told(turn); }))
        continue;
      const auto found = database.deliveries.find(key);
      if (key.first == 0 || found == database.deliveries.end()) {
        if (!is_kept_by_group(row)) fault("a delivery was acknowledged early");
      } else if (is_told(row.turns.back()) && row.qos == QoS::kExactlyOnce) {
        if (found->second.packet_id != row.packet_id) fault("a packet identifier was used early");
        if (found->second.received != row.received) fault("PUBREL was sent early");
      }
    }
    for (const auto& id : model_.received) {
      const auto turn = model_.received_turn.find(id);
      if (turn == model_.received_turn.end() || !is_told(turn->second)) continue;
      if (!database.received.contains(id)) fault("PUBREC was sent early");
    }
    for (const auto& [id, turn] : model_.released_turn) {
      if (is_told(turn) && database.received.contains(id)) fault("PUBCOMP was sent early");
    }
    for (const auto& [session, turn] : model_.created_turn) {
      if (is_told(turn) && model_.sessions.contains(session) && !database.sessions.contains(session)) {
        fault("CONNACK was sent early");
      }
    }
    for (const auto& [session, turn] : model_.ended_turn) {
      if (is_told(turn) && database.sessions.contains(session)) fault("an ended session is there");
    }
  }

  // Between a group and its members a message of QoS 1 may be where it was before: nothing of it is lost.
  bool is_kept_by_group(const Row& row) const {
    const std::uint64_t message = row.message != 0 ? row.message : row.group_message;
    if (it_->database().shared.contains({kGroup, message})) return true;
    for (const auto& [key, delivery] : it_->database().deliveries) {
      if (delivery.message == message && !delivery.group.empty()) return true;
    }
    return false;
  }

  // All that is not committed is gone; the broker starts from what is there.
  void crash() {
    FakeDatabase left = it_->database();
    const store::Progress progress = it_->progress;
    ++crashes_;
    start();
    it_->progress = progress;
    it_->rows.now = left;
    it_->rows.commit();
    store::Recovered recovered;
    recovered.progress = left.progress;
    std::map<std::uint64_t, std::uint32_t> references;
    for (const auto& [number, payload] : left.messages) references[number] = 0;
    for (const auto& [key, delivery] : left.deliveries) {
      if (delivery.message != 0) ++references[delivery.message];
    }
    for (const auto& [group, number] : left.shared) ++references[number];
    for (const auto& [number, count] : references) recovered.messages.push_back({number, count});
    recovered.ended_left = !left.ended.empty();
    it_->ledger.adopt(recovered);
    take_over(left);
  }
  void take_over(const FakeDatabase& left) {
    std::map<std::uint64_t, std::uint32_t> homes;
    std::map<std::uint64_t, std::uint64_t> counts;
    for (const Session& session : sessions_) {
      homes[session.number] = session.home;
      counts[session.number] = session.deliveries;
    }
    Model model;
    std::vector<Session> sessions;
    for (const auto& [number, it] : left.sessions) {
      model.sessions.insert(number);
      Session& session = sessions.emplace_back();
      session.number = number;
      session.home = homes.contains(number) ? homes[number] : below(kReactors);
      session.deliveries = counts.contains(number) ? counts[number] : left.progress.numbers.delivery;
      session.packet_ids = static_cast<std::uint16_t>(crashes_ * 1000);  // none that are in use
    }
    for (const auto& [key, it] : left.deliveries) {
      model.rows[key] = {it.message, it.packet_id, it.qos, it.received, {}};
      for (Session& session : sessions) {
        if (session.number != key.first) continue;
        To to{key.first, key.second, known_message(it.message)};
        to.packet_id = it.packet_id;
        to.qos = it.qos;
        session.queue.push_back({to, it.received, !it.group.empty()});
      }
    }
    for (const auto& [group, number] : left.shared) {
      model.rows[{0, number}] = {number, 0, QoS::kAtLeastOnce, false, {}};
      groups_.push_back(known_message(number));
    }
    for (const auto& [key, qos] : left.subscriptions) model.subscriptions.insert(key);
    model.received = left.received;
    for (const auto& [topic, payload] : left.retained) model.retained[topic] = {retained_sequence_, payload};
    model_ = std::move(model);
    sessions_ = std::move(sessions);
  }
  const Message* known_message(std::uint64_t number) {
    for (const Ref<const Message>& message : messages_) {
      if (message->number() == number) return message.get();
    }
    return nullptr;
  }

  std::mt19937_64 random_;
  std::unique_ptr<LedgerFixture> it_;
  Model model_;
  std::vector<Session> sessions_;
  std::vector<Ref<const Message>> messages_;  // all that ever were
  std::unique_ptr<Script> scripts_[kReactors];
  std::vector<Op> ops_[kReactors];
  std::vector<Due> due_[kReactors];
  std::uint64_t turn_[kReactors] = {};
  bool sourced_[kReactors] = {};
  std::vector<const Message*> groups_;                                  // which may be given to a member
  std::map<std::uint32_t, std::vector<const Message*>> coming_groups_;  // when their reactor has told of them
  unsigned crashes_ = 0;
  std::uint64_t session_numbers_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t retained_sequence_ = 0;
  std::string fault_;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_GROUP(LedgerModel){};

TEST(LedgerModel, database_holds_after_every_commit_what_a_naive_model_says) {
  const std::uint64_t one = from_environment("MQLOOP_SEED", 0);
  const std::uint64_t seeds = one != 0 ? 1 : from_environment("MQLOOP_SEEDS", 1000);
  for (std::uint64_t i = 1; i <= seeds; ++i) {
    const std::uint64_t seed = one != 0 ? one : i;
    const std::string fault = World(seed).run(400);
    if (!fault.empty()) FAIL(("MQLOOP_SEED=" + std::to_string(seed) + ": " + fault).c_str());
  }
}
