#include "tests/bench/support/socket_broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include <mqloop/socket.h>

#include "tests/bench/support/counted_calls.h"
#include "tests/bench/support/meter.h"

namespace mqloop::bench {

SocketClient::SocketClient(int port, std::string id, ProtocolVersion version)
    : Client(std::move(id), version), fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  expect(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "a client reaches the broker");
}

SocketClient::~SocketClient() { close(fd_); }

bool SocketClient::exchange() {
  if (!sent_.empty()) {
    const auto size = static_cast<ssize_t>(sent_.size());
    expect(::send(fd_, sent_.data(), sent_.size(), MSG_NOSIGNAL) == size, "the system takes what a client sends");
    sent_ = {};
  }
  std::array<std::uint8_t, 65536> bytes;
  bool came = false;
  for (;;) {
    const ssize_t size = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size <= 0) break;
    arrived_.insert(arrived_.end(), bytes.begin(), bytes.begin() + size);
    came = true;
  }
  if (came) answer();
  return came;
}

SocketBroker::SocketBroker() {
  auto reactor = event::Reactor::create({.clock = clock_, .log = log_});
  expect(reactor.ok(), "a reactor can be made");
  reactor_ = std::move(reactor.value());
  configuration_->settings.sys.enabled = false;
  broker::Components& components = configuration_->components;
  components.publisher = &publisher_;
  SocketListener::Options options;
  options.bind = {"127.0.0.1", 0};
  broker::ListenerComponent component;
  component.settings = &configuration_->settings.listeners[0];
  component.listener = std::make_unique<SocketListener>(std::move(options));
  components.listeners.push_back(std::move(component));
  broker_.emplace(configuration_, broker::Environment{random_, log_, {reactor_.get()}, {}});
  expect(broker_->open_listeners().ok() && broker_->open_publisher().ok(), "the broker opens");
  bool started = false;
  broker_->start([&started](const Status& status) { started = status.ok(); });
  run_until([&started] { return started; });
  const std::string address = broker_->addresses().front().second;
  port_ = std::stoi(address.substr(address.rfind(':') + 1));
}

SocketBroker::~SocketBroker() { broker_.reset(); }

void SocketBroker::turn() {
  const Counted counted;
  expect(reactor_->run_once(event::Reactor::Wait::kNo).ok(), "the loop turns");
}

bool SocketBroker::exchange() {
  bool busy = false;
  for (const auto& client : clients_) busy = client->exchange() || busy;
  return busy;
}

// The system may take its time between two sockets, so that a quiet turn does not mean that all is done.
void SocketBroker::run_until(const std::function<bool()>& done) {
  constexpr int kQuietTurns = 20;
  for (int quiet = 0; quiet != kQuietTurns || !done();) {
    const std::uint64_t calls = counted_calls();
    const bool came = exchange();
    turn();
    quiet = came || counted_calls() != calls ? 0 : std::min(quiet + 1, kQuietTurns);
  }
}

}  // namespace mqloop::bench
