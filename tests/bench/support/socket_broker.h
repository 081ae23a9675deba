// A whole broker as a program runs it with one thread: libevent's loop and TCP sockets. Turns of the loop are counted
// (see meter.h). Its clients live in the same thread and are sent and told everything between two turns, so that what a
// turn finds does not depend on the speed of anything.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mqloop/log.h>

#include "core/broker/broker.h"
#include "core/broker/configuration.h"
#include "core/event/reactor.h"
#include "tests/bench/support/client.h"
#include "tests/bench/support/quiet_log.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_loop.h"
#include "tests/support/simulated_random.h"

namespace mqloop::bench {

class SocketClient final : public Client {
 public:
  // Has a socket that is connected to that port of 127.0.0.1.
  SocketClient(int port, std::string id, ProtocolVersion version = ProtocolVersion::kV311);
  ~SocketClient();

  void connect() { send_connect(true, false); }

  // Gives the system what was sent, takes what it has and answers that. False: nothing had come.
  bool exchange();

 private:
  void has_sent() override {}

  int fd_;
};

class SocketBroker {
 public:
  SocketBroker();
  ~SocketBroker();
  SocketBroker(const SocketBroker&) = delete;
  SocketBroker& operator=(const SocketBroker&) = delete;

  SocketClient& add(const std::string& id) { return *clients_.emplace_back(std::make_unique<SocketClient>(port_, id)); }
  [[nodiscard]] SocketClient& client(std::size_t index) noexcept { return *clients_[index]; }
  // Turns, the clients exchanging in between, until that is so and nobody has anything more to say.
  void run_until(const std::function<bool()>& done);

 private:
  void turn();
  // True: a client was told something, or has something to say.
  bool exchange();

  sim::SimulatedRandom random_{1};
  sim::SimulatedClock clock_;
  QuietLog log_;
  sim::PassthroughPublisher publisher_;
  std::unique_ptr<event::Reactor> reactor_;
  Ref<broker::BrokerConfiguration> configuration_ = broker::BrokerConfiguration::create();
  std::optional<broker::Broker> broker_;
  int port_ = 0;
  std::vector<std::unique_ptr<SocketClient>> clients_;
};

}  // namespace mqloop::bench
