// Three reactors that do whatever reactors may do, at random, a ledger that is told of it, and a model that is as naive
// as it can be. After every commit the two are compared, also after commits that failed and after crashes.
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
#include "tests/unit/publisher_sqlite/ledger_model.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;

namespace {

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
    if (!again) op.message = message->number();
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
      scripts_[reactor]->source(op.turn, op.targets, {{session->number, id}}, op.message);
    } else {
      scripts_[reactor]->source(op.turn, op.targets, {}, op.message);
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
    model.recovered_message = left.progress.numbers.message;
    std::erase_if(messages_, [&model](const auto& it) { return it->number() > model.recovered_message; });
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
  std::vector<Ref<const Message>> messages_;  // all that ever were, but for what was lost in a crash
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
