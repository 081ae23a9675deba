// A whole broker on three real reactors and real sockets, hammered from four threads: connections that fight for few
// client identifiers, subscriptions that come and go, messages that cross reactors, and a stop in the middle of it.
// What must hold: nothing races (these run under TSan), nobody hears a packet that the protocol does not allow, and
// whoever is left alone gets all that was sent to it, in order.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <mqloop/publisher.h>
#include <mqloop/socket.h>

#include "core/base/clock.h"
#include "core/broker/broker.h"
#include "core/broker/configuration.h"
#include "core/event/reactor.h"
#include "core/mqtt/decoder.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "tests/unit/event/support.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;

class PassthroughPublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {.passthrough = true}; }
  Status open() override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi&, PublishSink&) override { return nullptr; }
  void close() noexcept override {}
};

// Allows everything, each other time from a thread of its own and later. Counts itself and its objects.
class Allowing final : public Plugin, public Authorizer {
 public:
  explicit Allowing(std::atomic<int>& alive) : alive_(alive) { ++alive_; }
  ~Allowing() override {
    for (std::thread& thread : threads_) thread.join();
    --alive_;
  }
  struct Local final : PluginLocal {
    explicit Local(std::atomic<int>& counter) : alive(counter) { ++alive; }
    ~Local() override { --alive; }
    std::atomic<int>& alive;
    std::uint64_t asked = 0;
  };
  std::unique_ptr<PluginLocal> start(ReactorApi&) override { return std::make_unique<Local>(alive_); }
  Authorizer* authorizer() noexcept override { return this; }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    if (++access.local<Local>().asked % 16 != 0) return reply.allow();
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([kept = std::move(reply)]() mutable { kept.allow(); });
  }
  // The first configuration had nobody to ask, so what was subscribed to then needs an allow.
  [[nodiscard]] DeliveryAnswer authorize_delivery(const Access&) const override { return {DeliveryRight::kAllow, {}}; }

 private:
  std::atomic<int>& alive_;
  mutable std::mutex mutex_;
  mutable std::vector<std::thread> threads_;
};

class Keeper final : public SharedObject {
 public:
  explicit Keeper(std::atomic<int>& alive) : plugin(alive) {}
  Allowing plugin;
};

void add_plugin(broker::Components& components, std::atomic<int>& alive) {
  const Ref<Keeper> keeper = Ref<Keeper>::adopt(new Keeper(alive));
  broker::PluginInstance& instance = components.instances.emplace_back();
  instance.name = "allowing";
  instance.plugin = &keeper->plugin;
  instance.authorizer = &keeper->plugin;
  instance.keeper = keeper;
  components.chains.push_back({"default", {}, {&instance}});
}

// A broker of its own, turned by threads of its own, on a port that the system chose.
class Running {
 public:
  explicit Running(std::uint32_t reactors, Plugin* plugin = nullptr) {
    settings().listeners[0].max_connections = 1000;
    broker::Components& components = configuration_->components;
    components.publisher = &publisher_;
    components.chains.push_back({"default", {}, {}});
    if (plugin != nullptr) {
      broker::PluginInstance& instance = components.instances.emplace_back();
      instance.name = "plugin";
      instance.plugin = plugin;
      instance.authenticator = plugin->authenticator();
      instance.timeout = std::chrono::minutes(1);
      components.chains[0].authenticate.push_back(&instance);
    }
    broker::ListenerComponent listener;
    listener.settings = &settings().listeners[0];
    listener.chain = &components.chains[0];
    listener.listener = std::make_unique<SocketListener>(SocketListener::Options{{"127.0.0.1", 0}, "test"});
    const TransportListener& socket = *listener.listener;
    components.listeners.push_back(std::move(listener));
    broker::Environment environment{random_, log_, {}};
    for (std::uint32_t i = 0; i != reactors; ++i) {
      auto reactor = event::Reactor::create({i, clock_, log_});
      environment.loops.push_back(reactor->get());
      reactors_.push_back(*std::move(reactor));
    }
    broker_ = std::make_unique<broker::Broker>(configuration_, std::move(environment));
    CHECK(broker_->open_listeners().ok());
    CHECK(broker_->open_publisher().ok());
    const std::string address(socket.address());
    port_ = static_cast<std::uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str()));
    std::promise<bool> started;
    broker_->start([&](const Status& status) { started.set_value(status.ok()); });
    for (auto& reactor : reactors_) threads_.emplace_back([&reactor] { (void)reactor->run(); });
    CHECK(started.get_future().get());
  }

  ~Running() {
    std::promise<void> stopped;
    broker_->stop([&] {
      for (auto& reactor : reactors_) reactor->stop();
      stopped.set_value();
    });
    stopped.get_future().wait();
    for (std::thread& thread : threads_) thread.join();
    broker_.reset();
  }

  // The same again, with or without the second listener; waits for it.
  Status reconfigure(bool second, std::atomic<int>& alive) {
    Ref<broker::BrokerConfiguration> next = broker::BrokerConfiguration::create();
    next->settings.listeners.resize(2);
    next->settings.listeners[0].max_connections = 1000;
    next->settings.listeners[1].name = "second";
    broker::Components& components = next->components;
    components.instances.reserve(1);
    add_plugin(components, alive);
    for (std::size_t i = 0; i != (second ? 2 : 1); ++i) {
      broker::ListenerComponent listener;
      listener.settings = &next->settings.listeners[i];
      listener.chain = &components.chains[0];
      if (i == 1 && !has_second_) {
        listener.listener = std::make_unique<SocketListener>(SocketListener::Options{{"127.0.0.1", 0}, "test"});
        if (Status status = listener.listener->open(); !status.ok()) return status;
      }
      components.listeners.push_back(std::move(listener));
    }
    std::promise<Status> told;
    broker_->reconfigure(std::move(next), [&told](const Status& status) { told.set_value(status); });
    Status status = told.get_future().get();
    if (status.ok()) has_second_ = second;
    return status;
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  broker::BrokerSettings& settings() noexcept { return configuration_->settings; }

 private:
  SystemClock clock_;
  SystemRandom random_;
  event::testing::LineLog log_;
  PassthroughPublisher publisher_;
  Ref<broker::BrokerConfiguration> configuration_ = broker::BrokerConfiguration::create();
  std::vector<std::unique_ptr<event::Reactor>> reactors_;
  std::unique_ptr<broker::Broker> broker_;
  std::vector<std::thread> threads_;
  std::uint16_t port_ = 0;
  bool has_second_ = false;
};

// A blocking client: one packet out, one packet in.
class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) broken_ = true;
    decoder_.set_version(ProtocolVersion::kV5);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool send(const mqtt::Packet& packet) {
    std::vector<std::uint8_t> bytes;
    mqtt::append(packet, ProtocolVersion::kV5, bytes);
    if (!broken_) broken_ = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size());
    return !broken_;
  }

  // The next packet; its views live until the next call. Nothing when the connection has ended, or in `patience`.
  std::optional<mqtt::Packet> next(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    while (true) {
      mqtt::Packet packet;
      const mqtt::DecodeResult result = decoder_.decode(input_, packet);
      if (result.kind == mqtt::DecodeResult::Kind::kPacket) {
        used_ = result.size;
        return packet;
      }
      if (result.kind == mqtt::DecodeResult::Kind::kError) {
        bad_ = std::string(result.verdict().explanation);
        return std::nullopt;
      }
      pollfd poll{fd_, POLLIN, 0};
      if (broken_ || ::poll(&poll, 1, static_cast<int>(patience.count())) != 1) return std::nullopt;
      std::uint8_t buffer[4096];
      const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
      if (size <= 0) return std::nullopt;
      input_.insert(input_.end(), buffer, buffer + size);
    }
  }

  bool hello(std::string_view client_id, bool clean_start = true) {
    mqtt::ConnectPacket connect;
    connect.client_id = client_id;
    connect.clean_start = clean_start;
    if (!send(connect)) return false;
    const auto answer = next();
    const auto* connack = answer ? std::get_if<mqtt::ConnackPacket>(&*answer) : nullptr;
    return connack != nullptr && connack->reason_code == ReasonCode::kSuccess;
  }

  // Enters by an exchange, and authenticates anew. False when the connection has ended on the way.
  bool hello_in_steps(std::string_view client_id, bool clean_start) {
    using Id = mqtt::PropertyId;
    mqtt::PropertyWriter writer;
    mqtt::ConnectPacket connect;
    connect.client_id = client_id;
    connect.clean_start = clean_start;
    connect.properties = writer.add(Id::kAuthenticationMethod, "QUESTION").properties();
    decoder_.set_authentication_method_used(true);
    const auto auth = [&](ReasonCode code) { return send(mqtt::AuthPacket{code, writer.properties()}); };
    const auto told = [&](ReasonCode code) {
      const auto answer = next();
      const auto* packet = answer ? std::get_if<mqtt::AuthPacket>(&*answer) : nullptr;
      return packet != nullptr && packet->reason_code == code && packet->properties.authentication_data() == client_id;
    };
    if (!send(connect) || !told(ReasonCode::kContinueAuthentication)) return false;
    if (!auth(ReasonCode::kContinueAuthentication)) return false;
    const auto answer = next();
    const auto* connack = answer ? std::get_if<mqtt::ConnackPacket>(&*answer) : nullptr;
    if (connack == nullptr || connack->reason_code != ReasonCode::kSuccess) return false;
    return auth(ReasonCode::kReAuthenticate) && told(ReasonCode::kContinueAuthentication) &&
           auth(ReasonCode::kContinueAuthentication) && told(ReasonCode::kSuccess);
  }

  bool subscribe(std::string_view filter, QoS qos) {
    mqtt::SubscriptionListWriter list;
    mqtt::SubscribePacket subscribe;
    subscribe.packet_id = 1;
    subscribe.subscriptions = list.add(filter, {.maximum_qos = qos}).list();
    return send(subscribe);
  }

  bool publish(std::string_view topic, std::string_view payload, QoS qos = QoS::kAtMostOnce,
               std::uint16_t packet_id = 0) {
    mqtt::PublishPacket publish;
    publish.topic = topic;
    publish.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    publish.qos = qos;
    publish.packet_id = packet_id;
    return send(publish);
  }

  [[nodiscard]] const std::string& bad() const noexcept { return bad_; }

 private:
  int fd_;
  bool broken_ = false;
  mqtt::Decoder decoder_{mqtt::Role::kClient};
  std::vector<std::uint8_t> input_;
  std::size_t used_ = 0;
  std::string bad_;
};

// Authenticates by one question and one answer, and thinks about each on a thread of its own.
class ThinksElsewhere final : public AuthenticatorPlugin {
 public:
  ~ThinksElsewhere() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  bool knows_method(std::string_view method) const override { return method == "QUESTION"; }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    think(std::string(request.client_id), nullptr, std::move(reply));
  }
  void continue_auth(const AuthStep& step, AuthReply reply) const override {
    think(std::string(step.client_id), Ref<AuthState>::share(step.state), std::move(reply));
  }

 private:
  struct Asked final : AuthState {
    explicit Asked(std::string text) : question(std::move(text)) {}
    const std::string question;
  };
  struct Thought {
    std::string client_id;
    Ref<AuthState> state;
    AuthReply reply;
  };

  void think(std::string client_id, Ref<AuthState> state, AuthReply reply) const {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({std::move(client_id), std::move(state), std::move(reply)});
    }
    changed_.notify_one();
  }
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (waiting_.empty()) {
        changed_.wait(lock);
        continue;
      }
      Thought thought = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      if (!thought.state) {
        thought.reply.challenge(thought.client_id, Ref<AuthState>::adopt(new Asked(thought.client_id)));
      } else if (static_cast<const Asked&>(*thought.state).question == thought.client_id) {
        thought.reply.accept_with(thought.client_id);
      }
      lock.lock();
    }
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::deque<Thought> waiting_;
  bool stopping_ = false;
  std::thread thread_{[this] { run(); }};
};

std::string payload_of(const mqtt::PublishPacket& publish) {
  return {reinterpret_cast<const char*>(publish.payload.data()), publish.payload.size()};
}

}  // namespace

TEST_GROUP(ThreadedBroker){};

TEST(ThreadedBroker, cve_2025_59946_connections_that_fight_for_few_identifiers_leave_one_alive_each) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 60;
  Running running(3);
  std::atomic<int> entered{0};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds; ++round) {
        Client client(running.port());
        const std::string id = "fighter-" + std::to_string((thread + round) % 3);
        if (client.hello(id, round % 2 == 0)) {
          ++entered;
          client.subscribe("fight/#", QoS::kAtLeastOnce);
          client.publish("fight/" + id, "hit");
          (void)client.next(std::chrono::milliseconds(5));
        }
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  // A CONNECT is refused by nobody here: each round enters, unless it was thrown out before its CONNACK was read.
  CHECK(entered > kThreads * kRounds / 2);
  for (int i = 0; i != 3; ++i) {
    Client last(running.port());
    CHECK(last.hello("fighter-" + std::to_string(i)));
  }
}

TEST(ThreadedBroker, members_of_groups_that_come_and_go_race_with_nobody_and_lose_no_message_of_who_stays) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 40;
  constexpr int kMessages = 200;
  Running running(3);
  std::atomic<bool> go_on{true};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  // Members of the first group come, take what they get without acknowledging it, and go.
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds && go_on; ++round) {
        Client client(running.port());
        if (client.hello("passer-" + std::to_string(thread), round % 2 == 0)) {
          client.subscribe("$share/first/work/#", QoS::kAtLeastOnce);
          for (int i = 0; i != 3; ++i) (void)client.next(std::chrono::milliseconds(5));
        }
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  Client worker(running.port());
  CHECK(worker.hello("worker"));
  CHECK(worker.subscribe("$share/first/work/#", QoS::kAtLeastOnce));
  CHECK(worker.next().has_value());
  Client source(running.port());
  CHECK(source.hello("source"));
  for (int i = 0; i != kMessages; ++i) {
    CHECK(source.publish("work/1", std::to_string(i), QoS::kAtLeastOnce, static_cast<std::uint16_t>(i + 1)));
    CHECK(source.next().has_value());  // PUBACK
  }
  go_on = false;
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  // What the others had and did not acknowledge comes to the one that stays.
  std::set<std::string> got;
  while (got.size() != kMessages) {
    const auto packet = worker.next();
    CHECK(packet.has_value());
    const auto* publish = std::get_if<mqtt::PublishPacket>(&*packet);
    CHECK(publish != nullptr);
    got.insert(payload_of(*publish));
    mqtt::AckPacket ack;
    ack.type = mqtt::PacketType::kPuback;
    ack.packet_id = publish->packet_id;
    CHECK(worker.send(ack));
  }
}

TEST(ThreadedBroker, exchanges_for_few_identifiers_go_on_while_their_plugin_thinks_elsewhere) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 40;
  ThinksElsewhere plugin;
  Running running(3, &plugin);
  std::atomic<int> entered{0};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds; ++round) {
        Client client(running.port());
        entered += client.hello_in_steps("seeker-" + std::to_string((thread + round) % 3), round % 2 == 0) ? 1 : 0;
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  CHECK(entered > 0);  // who was not had the session taken over by the next
  for (int i = 0; i != 3; ++i) {
    Client last(running.port());
    CHECK(last.hello_in_steps("seeker-" + std::to_string(i), false));
  }
}

TEST(ThreadedBroker, messages_cross_reactors_in_order_while_others_come_and_go) {
  constexpr int kMessages = 2000;
  Running running(3);
  Client subscriber(running.port());
  CHECK(subscriber.hello("listener"));
  CHECK(subscriber.subscribe("order/#", QoS::kAtLeastOnce));
  CHECK(subscriber.next().has_value());
  std::atomic<bool> done{false};
  std::thread churn([&] {
    for (int i = 0; !done; ++i) {
      Client guest(running.port());
      guest.hello("guest-" + std::to_string(i % 5), i % 3 != 0);
      guest.subscribe(i % 2 == 0 ? "order/+" : "#", QoS::kExactlyOnce);
      (void)guest.next(std::chrono::milliseconds(2));
    }
  });
  std::vector<std::thread> publishers;
  for (int p = 0; p != 2; ++p) {
    publishers.emplace_back([&, p] {
      Client publisher(running.port());
      if (!publisher.hello("speaker-" + std::to_string(p))) return;
      const std::string topic = "order/" + std::to_string(p);
      for (int i = 0; i != kMessages; ++i) {
        const auto id = static_cast<std::uint16_t>(i % 50 + 1);
        publisher.publish(topic, std::to_string(i), QoS::kAtLeastOnce, id);
        if (i % 50 == 49) {
          for (int ack = 0; ack != 50; ++ack) (void)publisher.next();
        }
      }
    });
  }
  int expected[2] = {0, 0};
  while (expected[0] + expected[1] != 2 * kMessages) {
    const auto packet = subscriber.next();
    CHECK(packet.has_value());
    const auto* publish = std::get_if<mqtt::PublishPacket>(&*packet);
    CHECK(publish != nullptr);
    const int p = publish->topic.back() - '0';
    LONGS_EQUAL(expected[p], std::atoi(payload_of(*publish).c_str()));
    ++expected[p];
    mqtt::AckPacket ack;
    ack.packet_id = publish->packet_id;
    CHECK(subscriber.send(ack));
  }
  done = true;
  churn.join();
  for (std::thread& publisher : publishers) publisher.join();
  STRCMP_EQUAL("", subscriber.bad().c_str());
}

TEST(ThreadedBroker, the_configuration_changes_under_load_and_nothing_of_the_old_ones_is_left) {
  constexpr int kMessages = 1500;
  constexpr int kChanges = 60;
  std::atomic<int> alive{0};
  {
    Running running(3);
    std::atomic<int> failures{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> clients;
    for (int c = 0; c != 2; ++c) {
      clients.emplace_back([&, c] {
        Client client(running.port());
        const std::string topic = "own/" + std::to_string(c);
        if (!client.hello("client-" + std::to_string(c)) || !client.subscribe(topic, QoS::kAtMostOnce)) ++failures;
        if (!client.next()) ++failures;
        for (int i = 0; i != kMessages; ++i) {
          // PUBACK, and what it has sent itself, in either order.
          client.publish(topic, std::to_string(i), QoS::kAtLeastOnce, 1);
          for (int answer = 0; answer != 2; ++answer) {
            const auto packet = client.next();
            if (!packet) ++failures;
            const auto* ack = packet ? std::get_if<mqtt::AckPacket>(&*packet) : nullptr;
            if (ack != nullptr && is_error(ack->reason_code)) ++failures;
          }
        }
      });
    }
    std::thread guests([&] {
      for (int i = 0; !done; ++i) {
        Client guest(running.port());
        guest.hello("guest-" + std::to_string(i % 4), i % 2 == 0);
        guest.subscribe("own/#", QoS::kAtMostOnce);
        (void)guest.next(std::chrono::milliseconds(2));
      }
    });
    for (int i = 0; i != kChanges; ++i) CHECK(running.reconfigure(i % 3 != 0, alive).ok());
    for (std::thread& client : clients) client.join();
    done = true;
    guests.join();
    LONGS_EQUAL(0, failures);
    // The last one stands: a plugin and its object on each reactor.
    for (int patience = 0; alive != 4 && patience != 2000; ++patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    LONGS_EQUAL(4, alive);
  }
  LONGS_EQUAL(0, alive);
}

TEST(ThreadedBroker, a_stop_under_load_says_good_bye_to_everybody) {
  std::vector<std::unique_ptr<Client>> clients;
  {
    Running running(2);
    for (int i = 0; i != 20; ++i) {
      clients.push_back(std::make_unique<Client>(running.port()));
      CHECK(clients.back()->hello("client-" + std::to_string(i)));
      CHECK(clients.back()->subscribe("load/#", QoS::kAtMostOnce));
      for (int m = 0; m != 50; ++m) clients.back()->publish("load/" + std::to_string(i), "x");
    }
  }
  for (const auto& client : clients) {
    bool told = false;
    while (const auto packet = client->next()) {
      const auto* disconnect = std::get_if<mqtt::DisconnectPacket>(&*packet);
      told |= disconnect != nullptr && disconnect->reason_code == ReasonCode::kServerShuttingDown;
    }
    CHECK(told);
    STRCMP_EQUAL("", client->bad().c_str());
  }
}
