#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::vector<std::string> kTopics = {"a", "a/b", "a/c", "a/b/c", "d", "d/e", "/", "/a", "a//c", "$x/y"};
const std::vector<std::string> kFilters = {"#",   "+",     "a/#",  "a/+", "+/b", "a/b",   "a/b/c", "d/#", "d",
                                           "+/+", "a/+/c", "$x/#", "/+",  "a",   "a/b/#", "+/+/c", "/",   "a//c"};
// Two groups have the same topics, one has a part of another's.
const std::vector<std::string> kSharedTopics = {"$s/0/a", "$s/0/b", "$s/1/a", "$s/1/b"};
const std::vector<std::string> kSharedFilters = {"$share/g/$s/0/#", "$share/g/$s/1/+", "$share/h/$s/1/+",
                                                 "$share/h/$s/0/a"};
const std::vector<std::uint32_t> kExpiries = {0, 30, 3600, 0xFFFFFFFF};
constexpr std::uint32_t kForEver = 0xFFFFFFFF;

// One that the filter of a shared subscription matches.
std::string topic_of(std::string_view filter) {
  std::string topic(filter);
  std::ranges::replace_if(
      topic, [](char c) { return c == '+' || c == '#'; }, 'a');
  return topic;
}

}  // namespace

Simulation::Simulation(Kind kind, std::uint64_t seed, bool talks)
    : random_(seed),
      talks_(talks),
      scenario_(Scenario::from(random_, kind)),
      broker_(random_, scenario_.reactors, talks),
      model_(scenario_.clients) {}

Simulation::~Simulation() = default;

Outcome Simulation::run() {
  start();
  act();
  if (failures_.empty() && model_.failures().empty()) finish();
  Outcome outcome;
  outcome.failures = failures_;
  outcome.failures.insert(outcome.failures.end(), model_.failures().begin(), model_.failures().end());
  if (publisher_) {
    outcome.failures.insert(outcome.failures.end(), publisher_->faults().begin(), publisher_->faults().end());
  }
  outcome.steps = broker_.now();
  outcome.delivered = model_.delivered();
  outcome.owed = model_.owed();
  outcome.crashes = crashes_;
  outcome.held = broker_.broker().total(&broker::Counters::publishers_held);
  outcome.scenario = scenario_.text();
  return outcome;
}

void Simulation::start() {
  broker::LimitsSettings& limits = broker_.settings().limits;
  if (scenario_.small_queues) {
    limits.session.max_queued_messages = 3;
    limits.session.overflow = random_.chance(50) ? broker::QueueOverflow::kDropOldest : broker::QueueOverflow::kDropNew;
    if (random_.chance(30)) limits.session.overflow = broker::QueueOverflow::kDisconnect;
    model_.allow_loss();
  }
  if (scenario_.small_buffers) {
    limits.output.soft = random_.between(60, 600);
    model_.allow_loss_of_qos0();
  }
  if (scenario_.small_backlogs) limits.reactor_backlog = random_.between(100, 2000);
  if (random_.chance(30)) limits.receive_maximum = limits.max_in_flight = 5;
  if (random_.chance(20)) limits.session.queue_qos0 = true;
  broker_.settings().shared_subscriptions.strategy = static_cast<broker::SharedStrategy>(random_.below(4));
  NetworkFaults faults;
  faults.split = scenario_.splits;
  if (scenario_.narrow) faults.capacity = random_.between(64, 600);
  broker_.network().set_faults(faults);
  if (scenario_.two_steps) publisher_.emplace(scenario_.publisher, random_);
  if (scenario_.crashes) disk_.emplace();
  start_broker();
  if (publisher_) {
    if (scenario_.publisher.discard_percent != 0) model_.expect_refusals();
    model_.ask_whether_held([this](const std::string& payload, QoS qos) {
      const SimulatedPublisher::Fate* fate = publisher_->fate_of(payload);
      if (fate == nullptr || fate->admitted != 1 || fate->complete) return false;
      return fate->hold == Hold::kEverything || (fate->hold == Hold::kExactlyOnce && qos == QoS::kExactlyOnce);
    });
  }
  ClientObserver& observer = *this;
  for (int i = 0; i != scenario_.clients; ++i) {
    Player& player = players_.emplace_back();
    player.client = std::make_unique<SimulatedClient>(broker_.network(), observer, "client" + std::to_string(i),
                                                      random_.pick(scenario_.versions));
    player.client->delay_acks(scenario_.delays_acks && random_.chance(70));
    if (scenario_.crashes) player.expiry = random_.chance(scenario_.persistent ? 85 : 50) ? kForEver : 0;
  }
}

// ---- the run -------------------------------------------------------------------------------------------------------

void Simulation::tick() { model_.settle(broker_.settled_through(), broker_.now()); }

void Simulation::act() {
  for (int i = 0; i != scenario_.actions; ++i) {
    if (scenario_.slow_reactors && i % 20 == 0) {
      broker_.slow_down(static_cast<std::uint32_t>(random_.below(scenario_.reactors)));
    }
    act_with(static_cast<int>(random_.below(players_.size())));
    if (publisher_ && scenario_.foreign && random_.chance(5)) bring_foreign();
    if (scenario_.deserts && random_.chance(2)) desert(static_cast<int>(random_.below(players_.size())));
    if (scenario_.crashes && random_.chance(2)) crash();
    for (std::size_t steps = random_.between(0, 25); steps != 0 && step(); --steps) {
      tick();
      answer_eagerly();
    }
    if (random_.chance(20)) broker_.pass(milliseconds(random_.between(1, 200)));
    if (scenario_.long_pauses && random_.chance(2)) broker_.pass(milliseconds(random_.between(1000, 60'000)));
    tick();
    if (!failures_.empty() || !model_.failures().empty()) return;
  }
}

// Sessions that stay without their clients, groups without anybody who is there.
void Simulation::desert(int but) {
  for (int i = 0; i != scenario_.clients; ++i) {
    if (i != but && client(i).is_online()) end_connection(i);
  }
  for (int messages = 0; messages != 5 && client(but).is_online(); ++messages) publish(but);
}

// As a client does that was told of the SUBACK by its receiver, with nothing of the broker's between.
void Simulation::answer_eagerly() {
  for (const std::string& topic : std::exchange(just_shared_, {})) {
    std::vector<int> online;
    for (int i = 0; i != scenario_.clients; ++i) {
      if (client(i).is_online()) online.push_back(i);
    }
    if (!online.empty()) publish(random_.pick(online), topic, QoS::kAtLeastOnce);
  }
}

void Simulation::act_with(int index) {
  SimulatedClient& client = this->client(index);
  switch (client.state()) {
    case SimulatedClient::State::kOffline:
      if (random_.chance(60) && client.may_connect()) connect(index);
      break;
    case SimulatedClient::State::kConnecting:
      if (scenario_.breaks && random_.chance(5)) end_connection(index);
      break;
    case SimulatedClient::State::kDisconnecting:
      if (random_.chance(5) && client.may_connect()) connect(index);
      break;
    case SimulatedClient::State::kOnline:
      act_online(index);
      break;
  }
}

void Simulation::act_online(int index) {
  SimulatedClient& client = this->client(index);
  Player& player = players_[static_cast<std::size_t>(index)];
  if (client.acks_waiting() != 0 && random_.chance(50)) client.send_acks(random_.between(1, 5));
  const std::size_t draw = random_.below(100);
  if (draw < 55) {
    publish(index);
  } else if (draw < 72) {
    subscribe(index);
  } else if (draw < 79) {
    unsubscribe(index);
  } else if (draw < 86) {
    client.ping();
  } else if (draw < 90) {
    if (scenario_.slow_readers) client.set_reading(player.reading = !player.reading);
  } else if (draw < 93) {
    if (scenario_.take_overs) connect(index);
  } else if (draw < 97) {
    end_connection(index);
  }
}

ConnectOptions Simulation::connect_options(int index) {
  SimulatedClient& client = this->client(index);
  ConnectOptions options;
  // A CONNECT that asked for a clean start and got no answer is asked again: nobody knows which session there is.
  Player& player = players_[static_cast<std::size_t>(index)];
  const bool again =
      client.connection() != 0 && !client.may_be_resumed() && (client.options().clean_start || player.may_have_expired);
  options.clean_start = again || random_.chance(scenario_.persistent ? 15 : 60);
  if (client.is_v5()) {
    options.expiry_interval = scenario_.persistent && random_.chance(70) ? kForEver : random_.pick(kExpiries);
    if (scenario_.crashes) options.expiry_interval = player.expiry;
    if (scenario_.small_windows) options.receive_maximum = static_cast<std::uint16_t>(random_.between(1, 4));
    if (scenario_.aliases) options.topic_alias_maximum = static_cast<std::uint16_t>(random_.between(0, 4));
    if (scenario_.large && random_.chance(30)) options.maximum_packet_size = 300;
  }
  if (scenario_.keep_alive) options.keep_alive = static_cast<std::uint16_t>(random_.pick<int>({0, 10, 30}));
  if (scenario_.wills && random_.chance(60)) {
    WillOptions& will = options.will.emplace();
    will.topic = pick_topic();
    will.payload = Model::payload_for(model_.next_number(), random_.below(10));
    will.qos = static_cast<QoS>(random_.below(3));
    will.retain = scenario_.retains && random_.chance(30);
    if (client.is_v5()) will.delay = static_cast<std::uint32_t>(random_.pick<int>({0, 0, 5, 30}));
  }
  return options;
}

void Simulation::connect(int index) {
  const ConnectOptions options = connect_options(index);
  model_.connecting(index, options, client(index).is_v5(), broker_.now(), broker_.time());
  Player& player = players_[static_cast<std::size_t>(index)];
  // Its session may have ended with a connection whose CONNECT got no answer, and this one begin another.
  const std::uint32_t expiry = client(index).options().expiry_interval;
  if (client(index).is_v5() && client(index).connection() != 0 && !client(index).may_be_resumed() && expiry <= 30) {
    player.may_have_expired = true;
  }
  player.unanswered.clear();
  player.reading = true;
  client(index).connect(options);
  say(client(index), std::string("connects") + (options.clean_start ? ", clean" : "") + ", expiry " +
                         std::to_string(options.expiry_interval) +
                         (options.will ? ", will " + options.will->payload + " on " + options.will->topic : ""));
}

const std::string& Simulation::pick_topic() {
  return random_.pick(scenario_.shares && random_.chance(40) ? kSharedTopics : kTopics);
}

void Simulation::publish(int index) {
  const std::string& topic = pick_topic();
  publish(index, topic, static_cast<QoS>(random_.below(3)));
}

void Simulation::publish(int index, const std::string& topic, QoS qos) {
  SimulatedClient& client = this->client(index);
  PublishRequest request;
  request.topic = topic;
  request.qos = qos;
  request.retain = scenario_.retains && random_.chance(35);
  const std::size_t padding = scenario_.large && random_.chance(20) ? random_.between(200, 6000) : random_.below(20);
  if (!(request.retain && scenario_.clears && random_.chance(25))) {
    request.payload = Model::payload_for(model_.next_number(), padding);
  }
  if (client.is_v5() && scenario_.expires && random_.chance(30)) request.expiry_interval = 20;
  if (client.is_v5() && scenario_.aliases) request.alias = static_cast<std::uint16_t>(random_.below(4));
  request.tag = model_.next_number();
  const std::uint64_t number = client.publish(request);
  if (number == 0) return;
  Model::Publish publish;
  publish.client = index;
  publish.connection = client.connection();
  publish.topic = request.topic;
  publish.payload = request.payload;
  publish.qos = request.qos;
  publish.retain = request.retain;
  publish.expires = request.expiry_interval.has_value();
  publish.sent = broker_.now();
  model_.publish(std::move(publish));
  if (request.qos == QoS::kAtMostOnce) {
    players_[static_cast<std::size_t>(index)].unanswered.emplace_back(number, request.tag);
  }
  say(client, "publishes m" + std::to_string(request.tag) + (request.payload.empty() ? " (empty)" : "") + " on " +
                  request.topic + " QoS " + std::to_string(static_cast<int>(request.qos)) +
                  (request.retain ? " retained" : ""));
}

// Where a group's first message counts there are many, each with topics of its own: whose message is missed is known.
std::string Simulation::pick_shared_filter() {
  if (!scenario_.eager || random_.chance(30)) return random_.pick(kSharedFilters);
  return "$share/g/$s/own" + std::to_string(random_.below(20)) + "/#";
}

void Simulation::subscribe(int index) {
  SimulatedClient& client = this->client(index);
  std::vector<SubscribeEntry> entries;
  for (std::size_t count = random_.between(1, 3); count != 0; --count) {
    SubscribeEntry entry;
    const bool shared = scenario_.shares && random_.chance(40);
    entry.filter = shared ? pick_shared_filter() : random_.pick(kFilters);
    const auto same = [&](const SubscribeEntry& other) { return other.filter == entry.filter; };
    if (std::ranges::any_of(entries, same)) continue;
    // A member with QoS 0 may lose what its group is owed: then nothing can be asked of it.
    const std::size_t least = shared && !scenario_.shares_with_qos0 ? 1 : 0;
    entry.options.maximum_qos = static_cast<QoS>(random_.between(least, 2));
    if (client.is_v5()) {
      entry.options.no_local = !shared && random_.chance(20);
      entry.options.retain_as_published = random_.chance(30);
      entry.options.retain_handling = static_cast<mqtt::RetainHandling>(random_.below(3));
    }
    say(client,
        "subscribes to " + entry.filter + " QoS " + std::to_string(static_cast<int>(entry.options.maximum_qos)));
    entries.push_back(std::move(entry));
  }
  const auto identifier =
      static_cast<std::uint32_t>(client.is_v5() && random_.chance(50) ? random_.between(1, 300) : 0);
  const std::uint64_t handle = model_.subscribe(index, entries, identifier, broker_.now());
  if (scenario_.eager) {
    for (const SubscribeEntry& entry : entries) {
      if (const auto parts = mqtt::parse_shared(entry.filter)) shared_[handle] = topic_of(parts->filter);
    }
  }
  client.subscribe(entries, identifier, handle);
}

void Simulation::unsubscribe(int index) {
  std::vector<std::string> filters = {scenario_.shares && random_.chance(30) ? pick_shared_filter()
                                                                             : random_.pick(kFilters)};
  if (random_.chance(50)) filters.push_back(random_.pick(kFilters));
  say(client(index), "unsubscribes " + filters[0] + " " + filters.back());
  const std::uint64_t handle = model_.unsubscribe(index, filters, broker_.now());
  client(index).unsubscribe(filters, handle);
}

void Simulation::end_connection(int index) {
  SimulatedClient& client = this->client(index);
  const std::size_t draw = random_.below(4);
  if (client.is_online() && (draw == 0 || !(scenario_.breaks || scenario_.vanishes))) {
    const bool with_will = client.is_v5() && random_.chance(30);
    std::optional<std::uint32_t> expiry;
    if (client.is_v5() && client.options().expiry_interval != 0 && !scenario_.crashes && random_.chance(30))
      expiry = random_.pick(kExpiries);
    model_.disconnecting(index, expiry);
    if (expiry) players_[static_cast<std::size_t>(index)].may_have_expired = true;
    if (with_will) model_.broke(index, true);
    client.disconnect(with_will ? ReasonCode::kDisconnectWithWillMessage : ReasonCode::kNormalDisconnection, expiry);
    say(client, with_will ? "disconnects with will" : "disconnects");
    return;
  }
  const bool vanishes = client.is_online() && scenario_.vanishes && (draw == 1 || !scenario_.breaks);
  model_.broke(index, !vanishes || client.options().keep_alive != 0);
  say(client, vanishes ? "vanishes" : draw == 2 ? "hangs up" : "breaks");
  if (vanishes) {
    client.vanish();
  } else if (draw == 2) {
    client.hang_up();
  } else {
    client.reset();
  }
}

void Simulation::bring_foreign() {
  Model::Publish publish;
  publish.origin = Model::Origin::kForeign;
  publish.topic = pick_topic();
  publish.payload = Model::payload_for(model_.next_number(), 3);
  publish.qos = static_cast<QoS>(random_.below(3));
  publish.sent = broker_.now();
  Message::Content content;
  content.topic = publish.topic;
  content.payload = {reinterpret_cast<const std::uint8_t*>(publish.payload.data()), publish.payload.size()};
  content.qos = publish.qos;
  publisher_->bring(static_cast<std::uint32_t>(random_.below(scenario_.reactors)), Message::create(content));
  model_.publish(std::move(publish));
}

// ---- what clients report -------------------------------------------------------------------------------------------

int Simulation::index_of(const SimulatedClient& client) const {
  for (std::size_t i = 0; i != players_.size(); ++i) {
    if (players_[i].client.get() == &client) return static_cast<int>(i);
  }
  return -1;
}

void Simulation::say(const SimulatedClient& client, const std::string& what) {
  if (talks_)
    std::fprintf(stderr, "%6llu %s %s\n", static_cast<unsigned long long>(broker_.now()), client.id().c_str(),
                 what.c_str());
}

void Simulation::on_connected(SimulatedClient& client, bool session_present) {
  const int index = index_of(client);
  say(client, session_present ? "is connected, session present" : "is connected");
  if (index < 0) return;
  players_[static_cast<std::size_t>(index)].may_have_expired = client.is_v5() && client.options().expiry_interval == 30;
  model_.connected(index, session_present, broker_.now(), broker_.time());
}

void Simulation::on_refused(SimulatedClient& client, ReasonCode code) {
  // Its session could not be kept in time.
  const bool may_take_long = disk_ || (publisher_ && scenario_.publisher.events_later_percent != 0);
  if (code == ReasonCode::kServerUnavailable && may_take_long) return;
  fail(client.id() + " was refused: " + std::string(name_of(code)));
}

void Simulation::on_closed(SimulatedClient& client, std::optional<ReasonCode> code) {
  const int index = index_of(client);
  say(client, "is closed " + (code ? std::string(name_of(*code)) : ""));
  if (index < 0) return;
  // After its own DISCONNECT only a broker that has not read it yet closes for another reason: one that waits for a
  // client's packets, or for a client to take its own.
  const bool will_is_off = client.disconnected() == ReasonCode::kNormalDisconnection && !code &&
                           client.options().keep_alive == 0 && !scenario_.slow_readers && !scenario_.small_queues &&
                           !scenario_.long_pauses;
  model_.closed(index, will_is_off, broker_.time());
  const bool expected = client.disconnected().has_value() || client.options().keep_alive != 0 ||
                        scenario_.slow_readers || scenario_.take_overs || scenario_.small_queues ||
                        scenario_.long_pauses || scenario_.crashes || ending_;
  if (!expected)
    fail(client.id() + ": the broker closed the connection: " + (code ? std::string(name_of(*code)) : "?"));
}

void Simulation::on_message(SimulatedClient& client, const Received& message) {
  const int index = index_of(client);
  say(client, "gets " + message.payload.substr(0, 12) + " on " + message.topic + " QoS " +
                  std::to_string(static_cast<int>(message.qos)) + (message.retain ? " retained" : "") +
                  (message.dup ? " dup" : ""));
  if (index >= 0) {
    model_.deliver(index, message, broker_.now());
  } else if (message.retain && !retained_.emplace(message.topic, message.payload).second) {
    fail("the retained message of " + message.topic + " was sent twice");
  }
}

void Simulation::on_publish_acknowledged(SimulatedClient& client, std::uint64_t tag, ReasonCode code) {
  const Model::Publish& publish = model_.at(tag);
  say(client, "has m" + std::to_string(tag) + " acknowledged: " + std::string(name_of(code)));
  const SimulatedPublisher::Fate* fate = publisher_ ? publisher_->fate_of(publish.payload) : nullptr;
  if (publish.payload.empty()) fate = nullptr;
  if (fate != nullptr && fate->admitted == 1 && !fate->complete && fate->later) {
    fail("m" + std::to_string(tag) + " was acknowledged before its turn was complete");
  }
  if (fate != nullptr && fate->discarded == 0 && is_error(code))
    fail("m" + std::to_string(tag) + " was refused by nobody");
  if (is_error(code) && !client.is_v5()) fail("a reason code for 3.x");
  const bool refused = is_error(code) || (fate != nullptr && fate->discarded == fate->admitted);
  model_.publish_accepted(tag, refused, broker_.now());
}

void Simulation::on_publish_resent(SimulatedClient& client, std::uint64_t tag) {
  say(client, "sends m" + std::to_string(tag) + " again");
  model_.publish_resent(tag);
}

void Simulation::on_subscribed(SimulatedClient& client, std::uint64_t tag, std::span<const ReasonCode> codes) {
  const int index = index_of(client);
  say(client, "is subscribed");
  if (index < 0) return;
  model_.subscribed(index, tag, codes, broker_.now());
  if (const auto shared = shared_.find(tag); shared != shared_.end()) just_shared_.push_back(shared->second);
}

void Simulation::on_unsubscribed(SimulatedClient& client, std::uint64_t tag) {
  say(client, "is unsubscribed");
  if (index_of(client) >= 0) model_.unsubscribed(index_of(client), tag, broker_.now());
}

// What was sent before the request has been handled, QoS 0 too, which has no answer of its own.
void Simulation::on_answered(SimulatedClient& client, std::uint64_t request) {
  const int index = index_of(client);
  if (index < 0) return;
  auto& unanswered = players_[static_cast<std::size_t>(index)].unanswered;
  while (!unanswered.empty() && unanswered.front().first <= request) {
    const std::uint64_t number = unanswered.front().second;
    unanswered.pop_front();
    const std::string& payload = model_.at(number).payload;
    const SimulatedPublisher::Fate* fate = publisher_ && !payload.empty() ? publisher_->fate_of(payload) : nullptr;
    model_.publish_accepted(number, fate != nullptr && fate->discarded == fate->admitted, broker_.now());
  }
}

void Simulation::on_fault(SimulatedClient& client, const std::string& what) { fail(client.id() + ": " + what); }

}  // namespace mqloop::sim
