#include "tests/bench/load/clients.h"

#include "tests/bench/load/base.h"

namespace mqloop::load {

namespace {

class Opener final : public Handler {
 public:
  Opener(Loop& loop, std::span<const Client> clients, Handler* messages)
      : loop_(loop), clients_(clients), messages_(messages) {}

  void on_up(Connection& connection, bool session_present) override {
    ++up;
    sessions_present += session_present ? 1 : 0;
    const Client& client = clients_[connection.index];
    if (client.filters.empty()) {
      ++ready;
    } else {
      loop_.put(connection, subscribe_packet(connection.version, 1, client.filters, client.qos));
    }
  }
  void on_suback(Connection&, uint32_t) override { ++ready; }
  void on_publish(Connection& connection, const Delivery& delivery) override {
    if (messages_ != nullptr) messages_->on_publish(connection, delivery);
  }
  void on_close(Connection& connection) override {
    die("connection %u was closed by the broker while it was opened", connection.index);
  }

  uint64_t up = 0, ready = 0, sessions_present = 0;

 private:
  Loop& loop_;
  std::span<const Client> clients_;
  Handler* messages_;
};

}  // namespace

Opened open_all(Loop& loop, std::span<Connection> connections, std::span<const Client> clients, int concurrency,
                Handler* messages) {
  constexpr double kPatience = 15;
  Opener opener(loop, clients, messages);
  Handler* const before = loop.handler();
  loop.set_handler(&opener);
  const uint64_t start = now_ns();
  Patience patience(kPatience);
  size_t next = 0;
  while (opener.ready < connections.size()) {
    while (next < connections.size() && next - opener.ready < static_cast<size_t>(concurrency)) {
      connections[next].index = static_cast<uint32_t>(next);
      loop.open(connections[next], clients[next].connect);
      if (connections[next].fd < 0) break;
      ++next;
    }
    loop.turn(kSecond / 10);
    loop.flush_all();
    if (patience.is_over(opener.up + opener.ready)) {
      die("no progress while opening: %zu asked, %llu up, %llu ready", next, static_cast<unsigned long long>(opener.up),
          static_cast<unsigned long long>(opener.ready));
    }
  }
  loop.set_handler(before);
  return {static_cast<double>(now_ns() - start) / 1e9, opener.sessions_present};
}

void leave_all(Loop& loop, std::span<Connection> connections) {
  for (Connection& connection : connections) loop.leave(connection);
}

Patience::Patience(double seconds) : limit_(static_cast<uint64_t>(seconds * 1e9)), since_(now_ns()) {}

bool Patience::is_over(uint64_t progress) {
  const uint64_t now = now_ns();
  if (progress == seen_) return now - since_ > limit_;
  seen_ = progress;
  since_ = now;
  return false;
}

}  // namespace mqloop::load
