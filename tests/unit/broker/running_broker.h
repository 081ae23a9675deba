// A whole broker on real reactors and real sockets, and blocking clients for it: for tests whose threads are to race.
#pragma once

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

namespace mqloop::threaded {

class PassthroughPublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {.passthrough = true}; }
  Status open(Log& /*log*/) override { return ok(); }
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

inline void add_plugin(broker::Components& components, std::atomic<int>& alive) {
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
  // `backlog`: limits.reactor_backlog, 0 for the default.
  explicit Running(std::uint32_t reactors, Plugin* plugin = nullptr, std::uint64_t backlog = 0) {
    if (backlog != 0) settings().limits.reactor_backlog = backlog;
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
  [[nodiscard]] broker::Broker& broker() noexcept { return *broker_; }
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
    return send_bytes(bytes);
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

  bool unsubscribe(std::string_view filter) {
    mqtt::TopicFilterListWriter list;
    mqtt::UnsubscribePacket unsubscribe;
    unsubscribe.packet_id = 2;
    unsubscribe.filters = list.add(filter).list();
    return send(unsubscribe);
  }

  bool send_bytes(std::span<const std::uint8_t> bytes) {
    if (!broken_) broken_ = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size());
    return !broken_;
  }

  // Its end will be a reset, not an orderly one.
  void end_by_reset() {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

  // It is still served: all that comes until PINGRESP is read away.
  bool ping() {
    if (!send(mqtt::PingreqPacket{})) return false;
    while (const auto packet = next()) {
      if (std::holds_alternative<mqtt::PingrespPacket>(*packet)) return true;
    }
    return false;
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

inline std::string payload_of(const mqtt::PublishPacket& publish) {
  return {reinterpret_cast<const char*>(publish.payload.data()), publish.payload.size()};
}

}  // namespace mqloop::threaded
