#include "tests/support/simulated_publisher.h"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

namespace mqloop::sim {

namespace {

std::string payload_of(const Message& message) {
  return {reinterpret_cast<const char*>(message.payload().data()), message.payload().size()};
}

}  // namespace

class SimulatedPublisher::Shard final : public PublisherShard {
 public:
  Shard(SimulatedPublisher& publisher, ReactorApi& reactor, PublishSink& sink)
      : publisher_(publisher), reactor_(reactor), sink_(sink) {}
  ~Shard() override {
    if (!drained_) publisher_.fault("a shard was destroyed without drain()");
    publisher_.shards_[reactor_.index()] = nullptr;
  }

  void admit(std::span<PublishOp> publishes) override {
    check_alive("admit()");
    for (PublishOp& op : publishes) {
      if (op.sequence != ++sequence_) publisher_.fault("admit(): sequences do not rise by one");
      decide(op);
      const std::string payload = payload_of(*op.message);
      Fate& fate = publisher_.fates_[payload];
      ++fate.admitted;
      fate.admission = op.admission;
      fate.complete = false;
      if (op.admission == Admission::kDiscard) {
        ++fate.discarded;
        continue;
      }
      admitted_.push_back(op.sequence);
      turn_.payloads[op.sequence] = payload;
      if (op.admission == Admission::kHoldUntilComplete) turn_.held.insert(op.sequence);
    }
  }

  void published(const SourceBlock& block) override {
    check_alive("published()");
    if (block.turn != TurnId{reactor_.index(), turns_ + 1}) publisher_.fault("published(): not the turn under way");
    if (std::exchange(published_, true)) publisher_.fault("published(): twice in one turn");
    const bool same = std::equal(block.publishes.begin(), block.publishes.end(), admitted_.begin(), admitted_.end(),
                                 [](const PublishOp& op, std::uint64_t sequence) { return op.sequence == sequence; });
    if (!same) publisher_.fault("published(): not what was admitted");
    turn_.targets = block.targets;
    Source& source = publisher_.sources_[reactor_.index()];
    source.turns.push_back(std::exchange(turn_, {}));
    admitted_.clear();
  }

  void recipients(const RecipientBlock& block) override {
    check_alive("recipients()");
    if (block.target != reactor_.index()) publisher_.fault("recipients(): of another reactor");
    Turn* turn = publisher_.find_turn(block.turn);
    const std::uint64_t bit = std::uint64_t{1} << block.target;
    if (turn == nullptr || (turn->targets & bit) == 0 || (turn->given & bit) != 0) {
      publisher_.fault("recipients(): for a turn that does not wait for it");
      return;
    }
    turn->given |= bit;
    std::set<std::tuple<std::uint64_t, std::uint64_t, std::string_view>> seen;
    for (const Recipient& recipient : block.recipients) {
      if (!turn->payloads.contains(recipient.sequence)) publisher_.fault("recipients(): of no publish of the turn");
      if (!seen.insert({recipient.sequence, recipient.session, recipient.group}).second) {
        publisher_.fault("recipients(): one session or group twice");
      }
      if (recipient.group.empty() == (recipient.session == 0)) publisher_.fault("recipients(): a session or a group");
      if (!recipient.group.empty()) {
        if (recipient.packet_id != 0) publisher_.fault("recipients(): a group with a packet identifier");
        const auto payload = turn->payloads.find(recipient.sequence);
        if (recipient.qos != QoS::kAtMostOnce && payload != turn->payloads.end()) {
          publisher_.give_to_group(recipient.group, payload->second);
        }
        continue;
      }
      if (recipient.packet_id == 0) continue;
      if (turn->held.contains(recipient.sequence)) publisher_.fault("recipients(): a held message was sent");
      if (recipient.qos == QoS::kAtMostOnce) publisher_.fault("recipients(): QoS 0 with a packet identifier");
      Session* session = session_at("recipients()", recipient.session);
      if (session != nullptr) assign(*session, recipient.packet_id, recipient.qos);
    }
    publisher_.complete(block.turn.source, false);
  }

  void subscribe(std::span<SubscribeOp> subscriptions) override {
    check_alive("subscribe()");
    SimulatedRandom& random = publisher_.random_;
    for (SubscribeOp& op : subscriptions) {
      Session* session = session_at("subscribe()", op.session);
      if (session != nullptr && session->client_id != op.client_id) publisher_.fault("subscribe(): client identifier");
      if (random.chance(publisher_.options_.subscribe_refused_percent)) {
        op.verdict = ReasonCode::kQuotaExceeded;
        continue;
      }
      if (session != nullptr) session->filters.insert(std::string(op.filter));
      op.ack_later = random.chance(publisher_.options_.subscribe_later_percent);
    }
  }

  void unsubscribe(std::span<UnsubscribeOp> subscriptions) override {
    check_alive("unsubscribe()");
    for (UnsubscribeOp& op : subscriptions) {
      Session* session = session_at("unsubscribe()", op.session);
      if (session != nullptr && session->filters.erase(std::string(op.filter)) == 0) {
        publisher_.fault("unsubscribe(): of a filter that was not subscribed");
      }
      op.ack_later = publisher_.random_.chance(publisher_.options_.subscribe_later_percent);
    }
  }

  void session_events(std::span<const SessionEvent> events) override {
    check_alive("session_events()");
    for (const SessionEvent& event : events) session_event(event);
  }

  void retained_events(std::span<const RetainedEvent> events) override {
    check_alive("retained_events()");
    for (const RetainedEvent& event : events) {
      if (event.message != nullptr && event.message->topic() != event.topic)
        publisher_.fault("retained_events(): topic");
      if (event.message != nullptr && event.message->payload().empty()) publisher_.fault("retained_events(): empty");
    }
  }

  void flush(std::uint64_t number) override {
    check_alive("flush()");
    if (number != ++turns_) publisher_.fault("flush(): turns do not rise by one");
    if (!std::exchange(published_, false)) publisher_.fault("flush(): before published()");
    if (Turn* turn = publisher_.find_turn({reactor_.index(), number})) turn->flushed = true;
    const SimulatedPublisherOptions& options = publisher_.options_;
    if (publisher_.random_.chance(options.backlog_percent)) {
      sink_.set_backlog(Backlog::kFull);
      later([this] { sink_.set_backlog(Backlog::kNone); });
    }
    publisher_.complete(reactor_.index(), publisher_.random_.chance(options.complete_in_flush_percent));
  }

  void drain(std::chrono::milliseconds /*deadline*/) override {
    check_alive("drain()");
    // What other reactors have not given yet cannot be completed any more; what can be, is now.
    for (const auto& [source, number] : std::exchange(told_, {})) sink_.complete_through(source, number);
    drained_ = true;
  }

  // Runs `task` on this reactor, unless the shard is drained by then.
  void later(std::function<void()> task) {
    Task& entry = publisher_.tasks_.emplace_back(Task{publisher_, reactor_.index(), std::move(task)});
    const auto run = [](void* argument) noexcept {
      auto* due = static_cast<Task*>(argument);
      const Shard* shard = due->publisher.shards_[due->reactor];
      if (shard != nullptr && !shard->drained_) due->run();
      due->run = nullptr;
    };
    const auto longest = static_cast<std::size_t>(publisher_.options_.longest_delay.count());
    if (longest == 0 || publisher_.random_.chance(30)) {
      reactor_.post(run, &entry);
    } else {
      reactor_.call_after(std::chrono::milliseconds(publisher_.random_.below(longest + 1)), run, &entry);
    }
  }

  void tell_complete(std::uint32_t source, std::uint64_t number, bool at_once) {
    if (drained_) return;
    if (at_once) {
      sink_.complete_through(source, number);
      return;
    }
    told_.emplace_back(source, number);
    later([this, source, number] {
      std::erase(told_, std::pair(source, number));
      sink_.complete_through(source, number);
    });
  }

 private:
  friend class SimulatedPublisher;

  void check_alive(const char* call) {
    if (drained_) publisher_.fault(std::string(call) + " after drain()");
  }

  Session* session_at(const char* call, std::uint64_t number) {
    const auto found = publisher_.sessions_.find(number);
    if (found == publisher_.sessions_.end() || found->second.ended) {
      publisher_.fault(std::string(call) + ": for a session that there is not");
      return nullptr;
    }
    if (found->second.home != reactor_.index())
      publisher_.fault(std::string(call) + ": on another reactor than its home");
    return &found->second;
  }

  void decide(PublishOp& op) {
    const SimulatedPublisherOptions& options = publisher_.options_;
    // One without payload has no name by which anybody could ask for its fate.
    if (!op.message->payload().empty() && publisher_.random_.chance(options.discard_percent)) {
      op.admission = Admission::kDiscard;
      op.reason = ReasonCode::kQuotaExceeded;
      return;
    }
    if (op.message->qos() == QoS::kAtMostOnce) {
      op.admission = options.hold_qos0 ? Admission::kHoldUntilComplete : Admission::kRouteNow;
      return;
    }
    const std::size_t draw = publisher_.random_.below(100);
    op.admission = draw < options.hold_percent                           ? Admission::kHoldUntilComplete
                   : draw < options.hold_percent + options.later_percent ? Admission::kRouteAndAckLater
                                                                         : Admission::kRouteNow;
  }

  void assign(Session& session, std::uint16_t packet_id, QoS qos) {
    if (!session.window.emplace(packet_id, qos).second) {
      publisher_.fault("packet identifier " + std::to_string(packet_id) + " was assigned while it was in use");
    }
  }

  void session_event(const SessionEvent& event) {
    if (event.kind == SessionEventKind::kCreated) {
      Session session;
      session.client_id = event.client_id;
      session.home = reactor_.index();
      session.connected = true;
      if (!publisher_.sessions_.emplace(event.session, std::move(session)).second) {
        publisher_.fault("session_events(): created twice");
      }
      return;
    }
    if (event.kind == SessionEventKind::kGroupDone) {
      if (event.session != 0) publisher_.fault("session_events(): a group is done, and a session too");
      publisher_.take_from_group(event.group, payload_of(*event.message), "done");
      return;
    }
    Session* session = session_at("session_events()", event.session);
    if (session == nullptr) return;
    if (session->client_id != event.client_id) publisher_.fault("session_events(): client identifier");
    switch (event.kind) {
      case SessionEventKind::kResumed:
        if (std::exchange(session->connected, true)) publisher_.fault("session_events(): resumed while connected");
        break;
      case SessionEventKind::kDisconnected:
        if (!std::exchange(session->connected, false)) publisher_.fault("session_events(): disconnected while away");
        break;
      case SessionEventKind::kEnded:
        if (session->connected) publisher_.fault("session_events(): ended while connected");
        session->ended = true;
        break;
      case SessionEventKind::kDelivered:
        if (event.message == nullptr) publisher_.fault("session_events(): delivered without its message");
        assign(*session, event.packet_id, QoS::kExactlyOnce);
        if (!event.group.empty() && event.message != nullptr) {
          publisher_.take_from_group(event.group, payload_of(*event.message), "delivered");
        }
        break;
      case SessionEventKind::kReturned:
        if (session->window.erase(event.packet_id) == 0) publisher_.fault("session_events(): returned, not assigned");
        if (event.group.empty() || event.message == nullptr) publisher_.fault("session_events(): returned to whom?");
        if (event.message != nullptr) publisher_.give_to_group(event.group, payload_of(*event.message));
        break;
      case SessionEventKind::kAcknowledged:
        if (session->window.erase(event.packet_id) == 0)
          publisher_.fault("session_events(): acknowledged, not assigned");
        break;
      case SessionEventKind::kReceived:
        if (!session->window.contains(event.packet_id)) publisher_.fault("session_events(): received, not assigned");
        break;
      default:
        break;
    }
  }

  SimulatedPublisher& publisher_;
  ReactorApi& reactor_;
  PublishSink& sink_;
  std::uint64_t sequence_ = 0;
  std::uint64_t turns_ = 0;
  bool published_ = false;
  bool drained_ = false;
  Turn turn_;                                                  // under way
  std::vector<std::uint64_t> admitted_;                        // in it
  std::vector<std::pair<std::uint32_t, std::uint64_t>> told_;  // completions on their way
};

SimulatedPublisher::SimulatedPublisher(const SimulatedPublisherOptions& options, SimulatedRandom& random)
    : options_(options), random_(random), shards_(64, nullptr) {}

SimulatedPublisher::~SimulatedPublisher() = default;

std::unique_ptr<PublisherShard> SimulatedPublisher::make_shard(ReactorApi& reactor, PublishSink& sink) {
  auto shard = std::make_unique<Shard>(*this, reactor, sink);
  if (shards_[reactor.index()] != nullptr) fault("make_shard(): twice for one reactor");
  shards_[reactor.index()] = shard.get();
  return shard;
}

void SimulatedPublisher::close() noexcept {
  if (std::any_of(shards_.begin(), shards_.end(), [](const Shard* shard) { return shard != nullptr; })) {
    fault("close(): before every shard was destroyed");
  }
  closed_ = true;
}

void SimulatedPublisher::calm_down() noexcept {
  options_.discard_percent = 0;
  options_.subscribe_refused_percent = 0;
  options_.backlog_percent = 0;
}

void SimulatedPublisher::bring(std::uint32_t reactor, Ref<const Message> message) {
  Shard* shard = shards_[reactor];
  shard->later([shard, message = std::move(message)] { shard->sink_.deliver(message); });
}

const SimulatedPublisher::Fate* SimulatedPublisher::fate_of(const std::string& payload) const {
  const auto found = fates_.find(payload);
  return found == fates_.end() ? nullptr : &found->second;
}

// Messages that were brought from elsewhere are of no turn: it was not told that the group has them.
void SimulatedPublisher::give_to_group(std::string_view group, const std::string& payload) {
  if (fates_.contains(payload)) ++groups_[{std::string(group), payload}];
}

void SimulatedPublisher::take_from_group(std::string_view group, const std::string& payload, const char* by) {
  if (!fates_.contains(payload)) return;
  const auto found = groups_.find({std::string(group), payload});
  if (found == groups_.end()) {
    fault("session_events(): " + std::string(by) + " what " + std::string(group) + " does not have: " + payload);
  } else if (--found->second == 0) {
    groups_.erase(found);
  }
}

void SimulatedPublisher::fault(const std::string& what) { faults_.push_back("publisher: " + what); }

SimulatedPublisher::Turn* SimulatedPublisher::find_turn(const TurnId& turn) {
  Source& source = sources_[turn.source];
  if (turn.number < source.first || turn.number - source.first >= source.turns.size()) return nullptr;
  return &source.turns[turn.number - source.first];
}

void SimulatedPublisher::complete(std::uint32_t source_index, bool source_at_once) {
  Source& source = sources_[source_index];
  std::uint64_t targets = 0;
  std::uint64_t number = 0;
  while (!source.turns.empty() && source.turns.front().flushed &&
         source.turns.front().given == source.turns.front().targets) {
    const Turn turn = std::move(source.turns.front());
    source.turns.pop_front();
    number = source.first++;
    targets |= turn.targets;
    for (const auto& [sequence, payload] : turn.payloads) fates_[payload].complete = true;
  }
  if (number == 0) return;
  targets |= std::uint64_t{1} << source_index;
  for (std::uint64_t rest = targets; rest != 0; rest &= rest - 1) {
    const auto target = static_cast<std::uint32_t>(std::countr_zero(rest));
    // Only the reactor that is running may be called at once.
    if (shards_[target] != nullptr)
      shards_[target]->tell_complete(source_index, number, source_at_once && target == source_index);
  }
}

}  // namespace mqloop::sim
