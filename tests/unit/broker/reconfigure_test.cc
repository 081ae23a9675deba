// Another configuration under a running broker: who is judged by which plugin instance, when the old ones go, and that
// a failure changes nothing. Asked of a whole broker with two reactors on simulated time.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;

constexpr std::uint32_t kReactors = 2;

// What happened to a plugin instance.
struct Life {
  int starts = 0;
  int locals = 0;  // alive
  bool stopped = false;
  bool destroyed = false;
};

struct Local final : PluginLocal {
  explicit Local(Life& of) : life(of) { ++life.locals; }
  ~Local() override { --life.locals; }
  Life& life;
};

// Does as it is told, and by default lets everybody do everything.
class Told final : public Plugin, public Authenticator, public Authorizer {
 public:
  explicit Told(Life& life) : life_(life) {}
  ~Told() override { life_.destroyed = true; }
  std::unique_ptr<PluginLocal> start(ReactorApi& reactor) override {
    if (fails_on == reactor.index()) throw std::runtime_error("no start today");
    ++life_.starts;
    return std::make_unique<Local>(life_);
  }
  void stop() noexcept override { life_.stopped = true; }
  Authenticator* authenticator() noexcept override { return this; }
  Authorizer* authorizer() noexcept override { return this; }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (request.local<Local>().life.starts == 0) return;  // the object must be there
    if (on_connect) return on_connect(request, std::move(reply));
    reply.accept();
  }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    if (on_access) return on_access(access, std::move(reply));
    reply.allow();
  }

  std::function<void(const ConnectRequest&, AuthReply)> on_connect;
  std::function<void(const Access&, AuthorizeReply)> on_access;
  std::optional<std::uint32_t> fails_on;

 private:
  Life& life_;
};

class Keeper final : public SharedObject {
 public:
  explicit Keeper(std::unique_ptr<Told> plugin) : plugin_(std::move(plugin)) {}
  [[nodiscard]] Told& plugin() const noexcept { return *plugin_; }

 private:
  ~Keeper() override { plugin_->stop(); }
  std::unique_ptr<Told> plugin_;
};

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool) override { ++connected; }
  void on_refused(SimulatedClient&, ReasonCode code) override { refused = code; }
  void on_closed(SimulatedClient&, std::optional<ReasonCode> code) override { closed = code; }
  void on_publish_acknowledged(SimulatedClient&, std::uint64_t tag, ReasonCode code) override { acks[tag] = code; }
  void on_subscribed(SimulatedClient&, std::uint64_t, std::span<const ReasonCode> codes) override {
    subscribed.assign(codes.begin(), codes.end());
  }
  void on_message(SimulatedClient&, const Received& message) override { payloads += message.payload + ' '; }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  int connected = 0;
  std::optional<ReasonCode> refused;
  std::optional<ReasonCode> closed;
  std::map<std::uint64_t, ReasonCode> acks;
  std::vector<ReasonCode> subscribed;
  std::string payloads;
  std::string faults;
};

}  // namespace

TEST_GROUP(Reconfigure) {
  SimulatedRandom random{7};
  PassthroughPublisher publisher;
  SimulatedBroker broker{random, kReactors, false};
  Notes notes;
  Notes other_notes;
  SimulatedClient client{broker.network(), notes, "client", ProtocolVersion::kV5};
  SimulatedClient other{broker.network(), other_notes, "other", ProtocolVersion::kV5};
  Life first_life;
  Life second_life;
  Life third_life;

  void teardown() override {
    STRCMP_EQUAL("", (notes.faults + other_notes.faults).c_str());
    CHECK(broker.stop());
  }

  // An instance named `gatekeeper` that the chain of the listener consists of.
  static Told& add(BrokerConfiguration & to, Ref<Keeper> keeper) {
    Components& components = to.components;
    PluginInstance& instance = components.instances.emplace_back();
    instance.name = "gatekeeper";
    instance.plugin = &keeper->plugin();
    instance.authenticator = &keeper->plugin();
    instance.authorizer = &keeper->plugin();
    instance.timeout = std::chrono::seconds(2);
    Told& plugin = keeper->plugin();
    instance.keeper = std::move(keeper);
    components.chains.push_back({"default", {&instance}, {&instance}});
    return plugin;
  }
  static Ref<Keeper> keeper(Life & life) { return Ref<Keeper>::adopt(new Keeper(std::make_unique<Told>(life))); }
  // One to follow, with the listener that is open.
  static Ref<BrokerConfiguration> following(Ref<Keeper> keeper) {
    Ref<BrokerConfiguration> made = BrokerConfiguration::create();
    add(*made, std::move(keeper));
    ListenerComponent listener;
    listener.settings = &made->settings.listeners[0];
    listener.chain = &made->components.chains[0];
    made->components.listeners.push_back(std::move(listener));
    return made;
  }
  Told& start() {
    Told& plugin = add(broker.configuration(), keeper(first_life));
    broker.start(publisher);
    broker.forget_configuration();
    return plugin;
  }
  Status reconfigure(Ref<BrokerConfiguration> next) {
    std::optional<Status> told;
    broker.broker().reconfigure(std::move(next), [&told](const Status& status) { told = status; });
    CHECK(broker.settle());
    CHECK(told.has_value());
    return *told;
  }
  void connect(SimulatedClient & who) {
    who.connect({});
    CHECK(broker.settle());
  }
  ReasonCode publish(SimulatedClient & who, Notes & told, const std::string& topic, QoS qos, std::uint64_t tag) {
    who.publish({.topic = topic, .payload = "x", .qos = qos, .tag = tag});
    CHECK(broker.settle());
    CHECK(told.acks.contains(tag));
    return told.acks[tag];
  }
  void subscribe(SimulatedClient & who, std::vector<SubscribeEntry> entries) {
    who.subscribe(entries, 0, 1);
    CHECK(broker.settle());
  }
};

TEST(Reconfigure, a_new_instance_is_asked_and_the_old_one_goes_when_every_reactor_has_changed) {
  start();
  connect(client);
  LONGS_EQUAL(1, notes.connected);
  const auto next = following(keeper(second_life));
  static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().on_connect =
      [](const ConnectRequest&, AuthReply reply) { reply.reject(ReasonCode::kBanned, "not any more"); };
  CHECK(reconfigure(next).ok());
  LONGS_EQUAL(kReactors, second_life.starts);
  LONGS_EQUAL(0, first_life.locals);
  CHECK_TRUE(first_life.stopped);
  CHECK_TRUE(first_life.destroyed);
  connect(other);
  CHECK(other_notes.refused == ReasonCode::kBanned);
  CHECK_TRUE(client.is_online());
}

TEST(Reconfigure, a_revoked_right_bites_on_open_connections_at_once) {
  start();
  connect(client);
  CHECK(publish(client, notes, "t", QoS::kAtLeastOnce, 1) != ReasonCode::kNotAuthorized);
  const auto next = following(keeper(second_life));
  static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().on_access =
      [](const Access&, AuthorizeReply reply) { reply.deny("closed today"); };
  CHECK(reconfigure(next).ok());
  CHECK(publish(client, notes, "t", QoS::kAtLeastOnce, 2) == ReasonCode::kNotAuthorized);
  subscribe(client, {{"t", {}}});
  CHECK(notes.subscribed == std::vector<ReasonCode>{ReasonCode::kNotAuthorized});
}

TEST(Reconfigure, an_answer_that_is_pending_comes_from_the_old_instance_which_stays_for_it) {
  std::optional<AuthReply> kept;
  start().on_connect = [&kept](const ConnectRequest&, AuthReply reply) { kept.emplace(std::move(reply)); };
  connect(client);
  CHECK(kept.has_value());
  const auto next = following(keeper(second_life));
  static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().on_connect =
      [](const ConnectRequest&, AuthReply reply) { reply.reject(ReasonCode::kBanned, "new rules"); };
  CHECK(reconfigure(next).ok());
  LONGS_EQUAL(1, first_life.locals);  // the reactor that does not wait has let go of it
  CHECK_FALSE(first_life.stopped);
  LONGS_EQUAL(0, notes.connected);
  kept->accept();
  kept.reset();
  CHECK(broker.settle());
  LONGS_EQUAL(1, notes.connected);
  LONGS_EQUAL(0, first_life.locals);
  CHECK_TRUE(first_life.destroyed);
  connect(other);
  CHECK(other_notes.refused == ReasonCode::kBanned);
}

TEST(Reconfigure, an_answer_that_never_comes_times_out_on_the_old_instance) {
  std::optional<AuthReply> kept;
  start().on_connect = [&kept](const ConnectRequest&, AuthReply reply) { kept.emplace(std::move(reply)); };
  connect(client);
  CHECK(reconfigure(following(keeper(second_life))).ok());
  CHECK_FALSE(first_life.stopped);
  broker.pass(std::chrono::seconds(3));
  CHECK(broker.settle());
  CHECK(notes.refused == ReasonCode::kServerUnavailable);
  CHECK(broker.run_until([this] { return first_life.destroyed; }));
  kept->accept();  // late, and nobody is there any more
  kept.reset();
}

TEST(Reconfigure, an_answer_for_a_client_that_has_gone_keeps_nothing_alive) {
  std::optional<AuthReply> kept;
  start().on_connect = [&kept](const ConnectRequest&, AuthReply reply) { kept.emplace(std::move(reply)); };
  connect(client);
  CHECK(reconfigure(following(keeper(second_life))).ok());
  CHECK_FALSE(first_life.stopped);
  client.reset();
  // Nothing is read of a client that waits: its end shows when its deadline does.
  CHECK(broker.run_until([this] { return first_life.destroyed; }));
}

TEST(Reconfigure, each_of_several_configurations_stays_for_its_own_answers) {
  std::optional<AuthReply> first;
  std::optional<AuthReply> second;
  start().on_connect = [&first](const ConnectRequest&, AuthReply reply) { first.emplace(std::move(reply)); };
  connect(client);
  const auto next = following(keeper(second_life));
  static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().on_connect =
      [&second](const ConnectRequest&, AuthReply reply) { second.emplace(std::move(reply)); };
  CHECK(reconfigure(next).ok());
  connect(other);
  CHECK(reconfigure(following(keeper(third_life))).ok());
  CHECK_FALSE(first_life.stopped || second_life.stopped);
  second->accept();
  second.reset();
  CHECK(broker.settle());
  LONGS_EQUAL(1, other_notes.connected);
  CHECK_FALSE(first_life.stopped);
  first->accept();
  first.reset();
  CHECK(broker.settle());
  LONGS_EQUAL(1, notes.connected);
  CHECK_TRUE(first_life.destroyed);
  LONGS_EQUAL(kReactors, third_life.locals);
}

TEST(Reconfigure, a_start_that_fails_on_one_reactor_changes_nothing_on_any) {
  start().on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  for (std::uint32_t reactor = 0; reactor != kReactors; ++reactor) {
    Life life;
    const auto next = following(keeper(life));
    next->settings.limits.topics.max_levels = 1;
    static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().fails_on = reactor;
    const Status status = reconfigure(next);
    STRCMP_EQUAL("plugin 'gatekeeper' cannot start: no start today", std::string(status.message()).c_str());
    LONGS_EQUAL(0, life.locals);
    CHECK_FALSE(life.destroyed);  // it is ours
  }
  CHECK_FALSE(first_life.stopped);
  LONGS_EQUAL(kReactors, first_life.locals);
  connect(client);
  LONGS_EQUAL(1, notes.connected);
  CHECK(publish(client, notes, "a/b/c", QoS::kAtLeastOnce, 1) != ReasonCode::kNotAuthorized);
}

TEST(Reconfigure, what_connack_announced_holds_for_the_connection_and_other_limits_bite_at_once) {
  start();
  connect(client);
  const auto next = following(keeper(second_life));
  next->settings.limits.max_qos = 0;
  next->settings.limits.retain.enabled = false;
  next->settings.limits.subscriptions.wildcard = false;
  next->settings.limits.topics.max_levels = 2;
  CHECK(reconfigure(next).ok());
  CHECK(publish(client, notes, "t", QoS::kExactlyOnce, 1) == ReasonCode::kNoMatchingSubscribers);
  client.publish({.topic = "kept", .payload = "x", .retain = true});
  subscribe(client, {{"a/#", {.maximum_qos = QoS::kExactlyOnce}}});
  CHECK(notes.subscribed == std::vector<ReasonCode>{ReasonCode::kGrantedQoS2});
  connect(other);
  subscribe(other, {{"a/#", {}}, {"kept", {.maximum_qos = QoS::kExactlyOnce}}});
  CHECK(other_notes.subscribed ==
        (std::vector<ReasonCode>{ReasonCode::kWildcardSubscriptionsNotSupported, ReasonCode::kSuccess}));
  STRCMP_EQUAL("", other_notes.payloads.c_str());  // nothing is kept any more
  client.publish({.topic = "a/b/c", .payload = "x"});
  CHECK(broker.settle());
  CHECK(notes.closed == ReasonCode::kTopicNameInvalid);
}

TEST(Reconfigure, a_strategy_of_shared_subscriptions_holds_from_the_next_message_on) {
  start();
  connect(client);
  connect(other);
  const std::vector<SubscribeEntry> shared = {{"$share/g/t", {.maximum_qos = QoS::kAtLeastOnce}}};
  subscribe(client, shared);
  subscribe(other, shared);
  const auto got_by_both = [&] {
    for (std::uint64_t tag = 1; tag != 5; ++tag) publish(client, notes, "t", QoS::kAtLeastOnce, tag);
    const std::size_t one = std::exchange(notes.payloads, {}).size() / 2;
    const std::size_t two = std::exchange(other_notes.payloads, {}).size() / 2;
    LONGS_EQUAL(4, one + two);
    return std::min(one, two);
  };
  LONGS_EQUAL(2, got_by_both());
  const auto next = following(keeper(second_life));
  next->settings.shared_subscriptions.strategy = SharedStrategy::kSticky;
  CHECK(reconfigure(next).ok());
  LONGS_EQUAL(0, got_by_both());
}

TEST(Reconfigure, a_subscribe_that_waits_is_judged_afresh_when_other_filters_of_it_become_acceptable) {
  std::vector<AuthorizeReply> kept;
  Told& plugin = add(broker.configuration(), keeper(first_life));
  plugin.on_access = [&kept](const Access&, AuthorizeReply reply) { kept.push_back(std::move(reply)); };
  broker.settings().limits.topics.max_levels = 2;
  broker.start(publisher);
  broker.forget_configuration();
  connect(client);
  // The first filter is refused without a question, so the one question is about `open`.
  subscribe(client, {{"secret/a/b", {}}, {"open", {}}});
  LONGS_EQUAL(1, kept.size());
  const auto next = following(keeper(second_life));
  static_cast<const Keeper&>(*next->components.instances[0].keeper).plugin().on_access = [](const Access& access,
                                                                                            AuthorizeReply reply) {
    if (access.topic == "open") return reply.allow();
    reply.deny("secret");
  };
  CHECK(reconfigure(next).ok());
  kept[0].allow();
  kept.clear();
  CHECK(broker.settle());
  CHECK(notes.subscribed == (std::vector<ReasonCode>{ReasonCode::kNotAuthorized, ReasonCode::kSuccess}));
}

TEST(Reconfigure, connections_of_a_listener_that_is_gone_are_closed_and_nobody_comes_in) {
  start();
  connect(client);
  other.connect({});  // its way to a reactor may cross the change
  Ref<BrokerConfiguration> next = following(keeper(second_life));
  next->components.listeners.clear();
  std::optional<Status> told;
  broker.broker().reconfigure(next, [&told](const Status& status) { told = status; });
  CHECK(broker.settle());
  CHECK(told && told->ok());
  CHECK(notes.closed == ReasonCode::kAdministrativeAction);
  CHECK_FALSE(client.is_online() || other.is_online());
  // What the streams were made by must stay until they are gone: they linger for a while.
  CHECK(broker.run_until([this] { return first_life.destroyed; }));
  LONGS_EQUAL(0, broker.broker().connections());
}

TEST(Reconfigure, a_plugin_object_that_goes_on_is_neither_started_again_nor_stopped) {
  Ref<Keeper> goes_on = keeper(first_life);
  add(broker.configuration(), goes_on);
  broker.start(publisher);
  broker.forget_configuration();
  for (int i = 0; i != 3; ++i) CHECK(reconfigure(following(goes_on)).ok());
  LONGS_EQUAL(kReactors, first_life.starts);
  LONGS_EQUAL(kReactors, first_life.locals);
  goes_on = nullptr;
  CHECK_FALSE(first_life.stopped);
  CHECK(reconfigure(following(keeper(second_life))).ok());
  LONGS_EQUAL(0, first_life.locals);
  CHECK_TRUE(first_life.destroyed);
}

TEST(Reconfigure, what_an_instance_counted_goes_on_under_its_name) {
  start();
  connect(client);
  CHECK(reconfigure(following(keeper(second_life))).ok());
  connect(other);
  std::uint64_t calls = 0;
  for (std::uint32_t i = 0; i != kReactors; ++i) calls += broker.broker().shard(i).hooks().statistics(0).calls.value();
  LONGS_EQUAL(2, calls);
}

TEST(Reconfigure, another_one_under_way_or_a_listener_that_is_not_there_is_a_failure) {
  start();
  std::vector<std::string> told;
  const auto note = [&told](const Status& status) { told.emplace_back(status.message()); };
  broker.broker().reconfigure(following(keeper(second_life)), note);
  broker.broker().reconfigure(following(keeper(third_life)), note);
  CHECK(broker.settle());
  LONGS_EQUAL(2, told.size());
  STRCMP_EQUAL("another reconfiguration is under way", told[0].c_str());
  STRCMP_EQUAL("", told[1].c_str());
  CHECK_TRUE(third_life.destroyed);
  const auto next = following(keeper(third_life));
  next->settings.listeners[0].name = "elsewhere";
  STRCMP_EQUAL("there is no listener 'elsewhere' that could go on", std::string(reconfigure(next).message()).c_str());
  connect(client);
  LONGS_EQUAL(1, notes.connected);
}

TEST(Reconfigure, a_stop_waits_for_one_that_is_under_way) {
  start();
  connect(client);
  std::optional<Status> told;
  broker.broker().reconfigure(following(keeper(second_life)), [&told](const Status& status) { told = status; });
  broker.step();
  CHECK(broker.stop());
  CHECK(told && told->ok());
  CHECK_FALSE(client.is_online());
}
