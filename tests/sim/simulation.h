// One run of the simulated broker: a seed decides how many reactors and clients there are, which publisher, what may go
// wrong (each seed has its own choice of faults) and every action of every client; the Model watches. The same seed is
// the same run, on every machine.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/sim/disk_publisher.h"
#include "tests/sim/model.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"
#include "tests/support/simulated_disk.h"
#include "tests/support/simulated_publisher.h"

namespace mqloop::sim {

enum class Kind : std::uint8_t {
  kLasting,   // one broker, from beginning to end
  kCrashing,  // with publisher_sqlite, and now and then its power goes
};

// What a seed has chosen.
struct Scenario {
  std::uint32_t reactors = 1;
  int clients = 2;
  int actions = 200;
  bool two_steps = false;      // a SimulatedPublisher, else a passthrough one
  bool crashes = false;        // a DiskPublisher, a broker that crashes and comes back
  unsigned write_percent = 0;  // of the steps after which its writer has a turn
  std::uint32_t checkpoint_frames = 0;
  bool splits = false;
  bool narrow = false;  // windows of a few hundred bytes
  bool slow_readers = false;
  bool breaks = false;  // resets and ends without DISCONNECT
  bool vanishes = false;
  bool take_overs = false;
  bool delays_acks = false;
  bool retains = false;
  bool clears = false;
  bool wills = false;
  bool keep_alive = false;
  bool long_pauses = false;
  bool persistent = false;  // most sessions outlive their connections
  bool expires = false;
  bool aliases = false;
  bool large = false;          // payloads of several KiB, and clients with a Maximum Packet Size
  bool small_windows = false;  // Receive Maximum of a few
  bool small_queues = false;
  bool small_buffers = false;
  bool foreign = false;
  bool shares = false;  // shared subscriptions
  bool shares_with_qos0 = false;
  bool eager = false;           // who hears that somebody shares a subscription publishes to it at once
  bool slow_reactors = false;   // one at a time
  bool deserts = false;         // now and then all leave but one, who goes on
  bool small_backlogs = false;  // between reactors
  bool slices = false;          // fan-outs to a few are done a few at a time
  std::vector<ProtocolVersion> versions;
  SimulatedPublisherOptions publisher;

  [[nodiscard]] static Scenario from(SimulatedRandom& random, Kind kind);
  [[nodiscard]] std::string text() const;
};

struct Outcome {
  std::vector<std::string> failures;
  std::uint64_t steps = 0;
  std::uint64_t delivered = 0;
  std::uint64_t owed = 0;
  std::uint64_t crashes = 0;
  std::uint64_t held = 0;  // how often a reactor held its publishers because another was behind
  std::string scenario;
};

class Simulation final : private ClientObserver {
 public:
  Simulation(Kind kind, std::uint64_t seed, bool talks);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  [[nodiscard]] Outcome run();

 private:
  struct Player {
    std::unique_ptr<SimulatedClient> client;
    bool reading = true;
    bool may_have_expired = false;                                   // its session, by the time it comes back
    std::uint32_t expiry = 0;                                        // of every session of its, where there are crashes
    std::deque<std::pair<std::uint64_t, std::uint64_t>> unanswered;  // QoS 0: request, number
  };

  void start();
  void start_broker();
  // The run itself.
  void act();
  void act_with(int index);
  void act_online(int index);
  void connect(int index);
  void publish(int index);
  void publish(int index, const std::string& topic, QoS qos);
  [[nodiscard]] const std::string& pick_topic();
  [[nodiscard]] std::string pick_shared_filter();
  void subscribe(int index);
  void unsubscribe(int index);
  void end_connection(int index);
  void bring_foreign();
  void desert(int but);
  void answer_eagerly();
  // With what the publisher's writer has to do. False when there is nothing to do before time passes;
  bool step();
  // when that never ends.
  bool settle();
  void crash();
  void tick();

  // The end: what must be true once everything is quiet.
  void finish();
  void heal();
  void calm(std::chrono::milliseconds time);
  void fire_wills();
  void reconnect_all();
  void check_quiet();
  void check_retained();
  void check_broker();
  void stop();

  // ClientObserver
  void on_connected(SimulatedClient& client, bool session_present) override;
  void on_refused(SimulatedClient& client, ReasonCode code) override;
  void on_closed(SimulatedClient& client, std::optional<ReasonCode> code) override;
  void on_message(SimulatedClient& client, const Received& message) override;
  void on_publish_acknowledged(SimulatedClient& client, std::uint64_t tag, ReasonCode code) override;
  void on_publish_resent(SimulatedClient& client, std::uint64_t tag) override;
  void on_subscribed(SimulatedClient& client, std::uint64_t tag, std::span<const ReasonCode> codes) override;
  void on_unsubscribed(SimulatedClient& client, std::uint64_t tag) override;
  void on_answered(SimulatedClient& client, std::uint64_t request) override;
  void on_fault(SimulatedClient& client, const std::string& what) override;

  // -1: the one that looks at the retained messages.
  [[nodiscard]] int index_of(const SimulatedClient& client) const;
  [[nodiscard]] SimulatedClient& client(int index) { return *players_[static_cast<std::size_t>(index)].client; }
  [[nodiscard]] ConnectOptions connect_options(int index);
  void fail(const std::string& what) { failures_.push_back(what); }
  void say(const SimulatedClient& client, const std::string& what);

  SimulatedRandom random_;
  bool talks_;
  Scenario scenario_;
  PassthroughPublisher passthrough_;
  std::optional<SimulatedPublisher> publisher_;
  std::optional<store_test::SimulatedDisk> disk_;
  std::optional<DiskPublisher> disk_publisher_;
  SimulatedBroker broker_;
  Model model_;
  std::vector<Player> players_;
  std::map<std::uint64_t, std::string> shared_;  // by the tag of a SUBSCRIBE: a topic of its shared subscription
  std::vector<std::string> just_shared_;         // topics of those whose SUBACK has come
  std::map<std::string, std::string> retained_;  // as the last client saw it
  std::uint64_t crashes_ = 0;
  bool ending_ = false;
  std::vector<std::string> failures_;
};

}  // namespace mqloop::sim
