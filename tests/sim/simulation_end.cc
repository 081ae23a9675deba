// The end of a simulated run: faults stop, everybody comes back, everything owed is delivered, the broker stops.
#include <algorithm>

#include "core/broker/shard.h"
#include "tests/sim/simulation.h"

namespace mqloop::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

void Simulation::finish() {
  heal();
  fire_wills();
  reconnect_all();
  check_quiet();
  model_.check_owed();
  check_retained();
  check_broker();
  stop();
}

void Simulation::heal() {
  broker_.network().set_faults({});
  broker_.slow_down(scenario_.reactors);
  if (publisher_) publisher_->calm_down();
  for (Player& player : players_) {
    player.client->set_reading(true);
    player.client->delay_acks(false);
    player.client->send_acks(player.client->acks_waiting());
    if (player.client->is_online()) player.client->ping();  // its answer tells that QoS 0 has been taken
  }
  calm(seconds(2));
}

// Time passes, and everybody who is online stays so. Nobody else says anything: what the broker still has to do it must
// do by itself.
void Simulation::calm(milliseconds time) {
  constexpr milliseconds kPiece{500};
  for (milliseconds passed{0}; passed < time; passed += kPiece) {
    for (Player& player : players_) {
      if (player.client->is_online() && player.client->options().keep_alive != 0) player.client->ping();
    }
    if (!settle()) {
      fail("the broker never comes to rest");
      return;
    }
    broker_.pass(kPiece);
    tick();
  }
  (void)settle();
  tick();
}

void Simulation::fire_wills() {
  model_.settle(broker_.settled_through(), broker_.now());
  calm(seconds(100));  // longer than one and a half Keep Alives and a Will Delay Interval
  model_.wills_are_due(broker_.now());
  for (std::uint64_t number = 0; publisher_ && number != model_.next_number(); ++number) {
    const Model::Publish& will = model_.at(number);
    if (will.origin != Model::Origin::kWill) continue;
    const SimulatedPublisher::Fate* fate = publisher_->fate_of(will.payload);
    if (fate != nullptr && fate->discarded != 0) model_.publish_accepted(number, true, broker_.now());
  }
  calm(seconds(1));
}

void Simulation::reconnect_all() {
  ending_ = true;
  for (int round = 0; round != 40; ++round) {
    // With QueueOverflow::kDisconnect a client that sends again what it gets itself may be closed each time.
    const bool gives_up = scenario_.small_queues && round >= 20;
    bool all_online = true;
    for (int i = 0; i != scenario_.clients; ++i) {
      SimulatedClient& client = this->client(i);
      if (client.is_online()) continue;
      all_online = false;
      if (client.state() != SimulatedClient::State::kOffline || !client.may_connect()) continue;
      ConnectOptions options;
      const Player& player = players_[static_cast<std::size_t>(i)];
      options.clean_start = client.connection() == 0 || gives_up ||
                            (!client.may_be_resumed() && (client.options().clean_start || player.may_have_expired));
      options.expiry_interval = 3600;
      model_.connecting(i, options, client.is_v5(), broker_.now(), broker_.time());
      players_[static_cast<std::size_t>(i)].unanswered.clear();
      client.connect(options);
    }
    if (all_online) break;
    calm(seconds(1));
  }
  // Long enough for a hundred messages in a row that each wait for a turn of a slow publisher.
  calm(seconds(20));
}

void Simulation::check_quiet() {
  for (Player& player : players_) {
    const SimulatedClient& client = *player.client;
    if (!client.is_online()) fail(client.id() + " cannot connect");
    if (client.in_flight() != 0) fail(client.id() + " waits for an acknowledgement for ever");
    if (client.left_behind() != 0) fail(client.id() + " has a connection that was taken over and not closed");
  }
  if (publisher_ && publisher_->left_to_groups() != 0) {
    fail(std::to_string(publisher_->left_to_groups()) + " messages are left to shared groups");
  }
}

void Simulation::check_retained() {
  SimulatedClient looker(broker_.network(), *this, "looker", ProtocolVersion::kV5);
  looker.connect({});
  (void)settle();
  const std::vector<SubscribeEntry> everything = {{"#", {QoS::kAtMostOnce, false, true, {}}},
                                                  {"$x/#", {QoS::kAtMostOnce, false, true, {}}},
                                                  {"$s/#", {QoS::kAtMostOnce, false, true, {}}}};
  looker.subscribe(everything, 0, 0);
  calm(seconds(1));
  model_.check_retained(retained_);
  looker.disconnect();
  calm(seconds(2));
}

// What the broker knows of itself fits what the clients know.
void Simulation::check_broker() {
  std::uint64_t sessions = 0;
  std::uint64_t connections = 0;
  std::uint64_t subscriptions = 0;
  for (std::uint32_t i = 0; i != broker_.reactors(); ++i) {
    const broker::Counters& counters = broker_.broker().shard(i).counters();
    sessions += counters.sessions.value();
    connections += counters.connections_open.value();
    subscriptions += counters.subscriptions.value();
  }
  if (sessions != players_.size()) fail(std::to_string(sessions) + " sessions are left");
  if (connections != players_.size()) fail(std::to_string(connections) + " connections are left");
  if (broker_.broker().directory().size() != players_.size()) fail("the client directory has other entries");
  if (broker_.network().streams() != players_.size()) fail("streams are left");
  std::uint64_t expected = 0;
  for (int i = 0; i != scenario_.clients; ++i) {
    const auto count = model_.subscriptions_of(i);
    if (!count) return;
    expected += *count;
  }
  if (subscriptions != expected) {
    fail(std::to_string(subscriptions) + " subscriptions, " + std::to_string(expected) + " expected");
  }
}

void Simulation::stop() {
  if (disk_) return;  // there is no writer's thread that would write the rest
  if (!broker_.stop()) fail("the broker does not stop");
  if (broker_.network().streams() != 0) fail("streams are left after the end");
  if (broker_.broker().directory().size() != 0) fail("the client directory is not empty after the end");
  if (publisher_ && !publisher_->is_closed()) fail("the publisher was not closed");
}

}  // namespace mqloop::sim
