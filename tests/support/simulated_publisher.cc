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

  void admit(PublishOp& request) override {
    check_alive("admit()");
    decide(request);
    const std::string payload(request.payload.begin(), request.payload.end());
    Fate& fate = publisher_.fates_[payload];
    ++fate.admitted;
    fate.later = request.ack_later;
    fate.hold = request.hold;
    fate.complete = request.admission == Admission::kPassThrough;
    if (request.admission == Admission::kDiscard) ++fate.discarded;
    if (request.admission == Admission::kRoute) admitted_.push_back(payload);
    if (publisher_.options_.durable_only && request.qos == QoS::kAtMostOnce) {
      publisher_.fault("admit(): of QoS 0 although it hears of nothing such");
    }
  }

  void published(const SourceBlock& block) override {
    check_alive("published()");
    if (block.turn != TurnId{reactor_.index(), turns_ + 1}) publisher_.fault("published(): not the turn under way");
    if (std::exchange(published_, true)) publisher_.fault("published(): twice in one turn");
    Turn turn;
    turn.targets = block.targets;
    for (const Published& publish : block.publishes) {
      const std::string payload = payload_of(*publish.message);
      const std::uint64_t number = publish.message->number();
      if (admitted_.empty() || admitted_.front() != payload) {
        publisher_.fault("published(): not what was admitted");
      } else {
        admitted_.pop_front();
      }
      if (number <= message_) publisher_.fault("published(): numbers do not rise");
      message_ = number;
      if (!publisher_.numbers_.emplace(number, payload).second) publisher_.fault("published(): a number twice");
      turn.payloads[number] = payload;
    }
    publisher_.sources_[reactor_.index()].turns.push_back(std::move(turn));
  }

  void recipients(const RecipientBlock& block) override {
    check_alive("recipients()");
    has_given_ = true;
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
      // A message of the turn, or a retained one of an earlier one that is replayed.
      const std::uint64_t number = recipient.message->number();
      const auto named = publisher_.numbers_.find(number);
      if (number == 0 || named == publisher_.numbers_.end()) {
        publisher_.fault("recipients(): of no publish that it knows");
        continue;
      }
      const bool replayed = !turn->payloads.contains(number);
      if (replayed && block.turn.source != reactor_.index())
        publisher_.fault("recipients(): of no publish of the turn");
      const bool may_be_replayed = block.turn.source == reactor_.index() && recipient.message->retain();
      if (!may_be_replayed && !seen.insert({number, recipient.session, recipient.group}).second) {
        publisher_.fault("recipients(): one session or group twice: " + named->second + " session " +
                         std::to_string(recipient.session) + " delivery " + std::to_string(recipient.delivery) +
                         std::string(recipient.group));
      }
      if (publisher_.options_.durable_only && (recipient.qos == QoS::kAtMostOnce || !recipient.session_is_durable)) {
        publisher_.fault("recipients(): what it does not want to hear of");
      }
      if (recipient.group.empty() == (recipient.session == 0)) publisher_.fault("recipients(): a session or a group");
      if (!recipient.group.empty()) {
        if (recipient.packet_id != 0) publisher_.fault("recipients(): a group with a packet identifier");
        if (recipient.qos != QoS::kAtMostOnce) publisher_.give_to_group(recipient.group, named->second);
        continue;
      }
      if (recipient.qos == QoS::kAtMostOnce) {
        if (recipient.packet_id != 0 || recipient.delivery != 0) publisher_.fault("recipients(): QoS 0 in the window");
        continue;
      }
      const Fate& fate = publisher_.fates_[named->second];
      if (recipient.packet_id != 0 && recipient.qos == QoS::kAtLeastOnce && !replayed && !may_be_replayed &&
          fate.admitted == 1 && fate.hold == Hold::kEverything) {
        publisher_.fault("recipients(): a held message was sent");
      }
      if (Session* session = session_at("recipients()", recipient.session)) {
        add(*session, recipient);
        if (recipient.packet_id != 0) assign(*session, recipient);
      }
    }
    publisher_.complete(block.turn.source, false);
  }

  void subscribe(SubscribeOp& op) override {
    check_alive("subscribe()");
    SimulatedRandom& random = publisher_.random_;
    Session* session = session_at("subscribe()", op.session);
    if (session != nullptr && session->client_id != op.client_id) publisher_.fault("subscribe(): client identifier");
    if (random.chance(publisher_.options_.subscribe_refused_percent)) {
      op.verdict = ReasonCode::kQuotaExceeded;
      return;
    }
    if (session != nullptr) session->filters.insert(std::string(op.filter));
    op.ack_later = random.chance(publisher_.options_.subscribe_later_percent);
  }

  void unsubscribe(UnsubscribeOp& op) override {
    check_alive("unsubscribe()");
    Session* session = session_at("unsubscribe()", op.session);
    if (session != nullptr && session->filters.erase(std::string(op.filter)) == 0) {
      publisher_.fault("unsubscribe(): of a filter that was not subscribed");
    }
    op.ack_later = publisher_.random_.chance(publisher_.options_.subscribe_later_percent);
  }

  void session_event(SessionEvent& event) override {
    check_alive("session_event()");
    note(event);
    event.ack_later = publisher_.random_.chance(publisher_.options_.events_later_percent);
  }

  void delivery_event(DeliveryEvent& event) override {
    check_alive("delivery_event()");
    note(event);
    event.ack_later = publisher_.random_.chance(publisher_.options_.events_later_percent);
  }

  void retained_event(const RetainedEvent& event) override {
    check_alive("retained_event()");
    if (event.message != nullptr && event.message->topic() != event.topic) publisher_.fault("retained_event(): topic");
    if (event.message != nullptr && event.message->payload().empty()) publisher_.fault("retained_event(): empty");
    if (event.sequence == 0) publisher_.fault("retained_event(): no sequence");
  }

  void end_turn() override {
    check_alive("end_turn()");
    if (published_) publisher_.fault("end_turn(): inside a turn");
    if (!std::exchange(has_given_, false)) publisher_.fault("end_turn(): nothing was given");
  }

  void flush(std::uint64_t number) override {
    check_alive("flush()");
    if (number != ++turns_) publisher_.fault("flush(): turns do not rise by one");
    if (!std::exchange(published_, false)) publisher_.fault("flush(): before published()");
    has_given_ = true;
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

  void decide(PublishOp& request) {
    const SimulatedPublisherOptions& options = publisher_.options_;
    // One without payload has no name by which anybody could ask for its fate.
    if (!request.payload.empty() && publisher_.random_.chance(options.discard_percent)) {
      request.admission = Admission::kDiscard;
      request.reason = ReasonCode::kQuotaExceeded;
      return;
    }
    if (request.qos == QoS::kAtMostOnce) {
      if (options.hold_qos0) request.hold = Hold::kEverything;
      return;
    }
    const std::size_t draw = publisher_.random_.below(100);
    request.ack_later = draw < options.hold_percent + options.later_percent;
    if (draw < options.hold_percent) {
      request.hold = !options.hold_exactly_once_only ? Hold::kEverything
                     : publisher_.random_.chance(50) ? Hold::kExactlyOnce
                                                     : Hold::kDurableExactlyOnce;
    } else if (!request.ack_later && publisher_.random_.chance(options.pass_percent)) {
      request.admission = Admission::kPassThrough;
    }
  }

  void add(Session& session, const Recipient& recipient) {
    if (!session.deliveries.emplace(recipient.delivery, std::uint16_t{0}).second) {
      publisher_.fault("a delivery was given twice");
    }
  }

  void assign(Session& session, const Recipient& recipient) {
    if (!session.window.emplace(recipient.packet_id, recipient.delivery).second) {
      publisher_.fault("packet identifier " + std::to_string(recipient.packet_id) +
                       " was assigned while it was in use");
    }
    session.deliveries[recipient.delivery] = recipient.packet_id;
  }

  // False: it does not know of it, and has said so.
  bool is_in_window(const Session& session, const Recipient& delivery, const char* what) {
    const auto found = session.window.find(delivery.packet_id);
    if (found != session.window.end() && found->second == delivery.delivery) return true;
    publisher_.fault(std::string("delivery_event(): ") + what + ", not assigned");
    return false;
  }

  void note(const SessionEvent& event) {
    const SessionState& state = event.session;
    const bool begins = event.kind == SessionEventKind::kCreated || event.kind == SessionEventKind::kResumed;
    if (publisher_.options_.durable_only && begins && !state.is_durable()) {
      publisher_.fault("session_event(): of a session that it does not want to hear of");
    }
    if (event.kind == SessionEventKind::kCreated) {
      Session session;
      session.client_id = state.client_id;
      session.home = reactor_.index();
      session.connected = true;
      if (!state.connected) publisher_.fault("session_event(): created, not connected");
      if (!publisher_.sessions_.emplace(state.number, std::move(session)).second) {
        publisher_.fault("session_event(): created twice");
      }
      return;
    }
    Session* session = session_at("session_event()", state.number);
    if (session == nullptr) return;
    if (session->client_id != state.client_id) publisher_.fault("session_event(): client identifier");
    switch (event.kind) {
      case SessionEventKind::kResumed:
        if (std::exchange(session->connected, true)) publisher_.fault("session_event(): resumed while connected");
        break;
      case SessionEventKind::kDisconnected:
        if (!std::exchange(session->connected, false)) publisher_.fault("session_event(): disconnected while away");
        if (state.connected) publisher_.fault("session_event(): disconnected, but connected");
        break;
      case SessionEventKind::kWillTaken:
        if (state.will != nullptr) publisher_.fault("session_event(): a will was taken and is there");
        break;
      case SessionEventKind::kEnded:
        // One that is to end with its connection from now on ends for those who keep the durable ones.
        if (session->connected && !publisher_.options_.durable_only) {
          publisher_.fault("session_event(): ended while connected");
        }
        session->ended = true;
        break;
      default:
        break;
    }
  }

  void note(const DeliveryEvent& event) {
    const Recipient& delivery = event.delivery;
    if (event.kind == DeliveryEventKind::kGroupDone) {
      if (delivery.session != 0) publisher_.fault("delivery_event(): a group is done, and a session too");
      publisher_.take_from_group(delivery.group, payload_of(*delivery.message), "done");
      return;
    }
    Session* session = session_at("delivery_event()", delivery.session);
    if (session == nullptr) return;
    if (delivery.delivery == 0) publisher_.fault("delivery_event(): of a delivery without a number");
    switch (event.kind) {
      case DeliveryEventKind::kDelivered:
        if (delivery.message == nullptr) {
          publisher_.fault("delivery_event(): delivered without its message");
          break;
        }
        if (!delivery.group.empty()) {
          add(*session, delivery);
          publisher_.take_from_group(delivery.group, payload_of(*delivery.message), "delivered");
        } else if (!session->deliveries.contains(delivery.delivery)) {
          publisher_.fault("delivery_event(): delivered, not given: " + payload_of(*delivery.message) + " session " +
                           session->client_id + " delivery " + std::to_string(delivery.delivery));
        }
        assign(*session, delivery);
        break;
      case DeliveryEventKind::kReturned:
        if (delivery.group.empty() || delivery.message == nullptr) {
          publisher_.fault("delivery_event(): returned to whom?");
          break;
        }
        if (is_in_window(*session, delivery, "returned")) forget(*session, delivery);
        publisher_.give_to_group(delivery.group, payload_of(*delivery.message));
        break;
      case DeliveryEventKind::kAcknowledged:
        if (is_in_window(*session, delivery, "acknowledged")) forget(*session, delivery);
        break;
      case DeliveryEventKind::kReceived:
        (void)is_in_window(*session, delivery, "received");
        break;
      case DeliveryEventKind::kDropped:
        if (!session->deliveries.contains(delivery.delivery))
          publisher_.fault("delivery_event(): dropped, not given: " + payload_of(*delivery.message) + " session " +
                           session->client_id + " delivery " + std::to_string(delivery.delivery));
        forget(*session, delivery);
        break;
      default:
        break;
    }
  }

  static void forget(Session& session, const Recipient& delivery) {
    const auto found = session.deliveries.find(delivery.delivery);
    if (found == session.deliveries.end()) return;
    session.window.erase(found->second);
    session.deliveries.erase(found);
  }

  SimulatedPublisher& publisher_;
  ReactorApi& reactor_;
  PublishSink& sink_;
  std::uint64_t message_ = 0;  // number of the latest
  std::uint64_t turns_ = 0;
  bool published_ = false;
  bool has_given_ = false;
  bool drained_ = false;
  std::deque<std::string> admitted_;                           // payloads, in the turn under way
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
    // It is told of durable groups alone, but of each end: the group may have been another when the message came.
    if (options_.durable_only) return;
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
