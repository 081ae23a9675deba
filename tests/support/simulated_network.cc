#include "tests/support/simulated_network.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>

namespace mqloop::sim {

// `up` runs from the client to the broker, `down` back.
struct SimulatedNetwork::Link {
  struct Direction {
    std::vector<std::uint8_t> under_way;
    std::vector<std::uint8_t> arrived;  // only of `up`: what a client gets it takes at once
    bool finished = false;              // the sender sends no more
    bool end_arrived = false;
  };
  Direction up;
  Direction down;
  LinkClient* client = nullptr;  // null: gone
  StreamEnd* stream = nullptr;   // null: not accepted yet, or closed
  bool accepted = false;
  bool broken = false;
  bool vanished = false;
  bool reading = true;
};

// The broker's end.
class SimulatedNetwork::StreamEnd final : public Stream, private EventSource {
 public:
  StreamEnd(SimulatedNetwork& network, LinkId link, std::uint64_t id)
      : EventSource(id), network_(network), link_(link), address_("127.0.0.1:" + std::to_string(10'000 + link)) {}

  ~StreamEnd() override {
    if (loop_ != nullptr) loop_->forget(*this);
    Link& link = *network_.find(link_);
    link.stream = nullptr;
    link.down.finished = true;
    network_.drop_if_done(link_);
  }

  Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept override {
    loop_ = static_cast<SimulatedLoop*>(&reactor);
    owner_ = &owner;
    watches_readable_ = true;
    watches_writable_ = false;
    loop_->watch(*this);
    return ok();
  }

  bool detach() noexcept override {
    loop_->forget(*this);
    loop_ = nullptr;
    owner_ = nullptr;
    return true;
  }

  IoResult read(std::span<std::uint8_t> into) noexcept override {
    Link& link = *network_.find(link_);
    if (link.broken) return {IoOutcome::kError, ECONNRESET, 0};
    auto& arrived = link.up.arrived;
    if (arrived.empty()) return {link.up.end_arrived ? IoOutcome::kEnd : IoOutcome::kWouldBlock, 0, 0};
    std::size_t size = std::min(into.size(), arrived.size());
    if (network_.faults_.split) size = network_.random_.between(1, size);
    std::copy_n(arrived.begin(), size, into.begin());
    arrived.erase(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(size));
    return {IoOutcome::kDone, 0, size};
  }

  IoResult write(std::span<const iovec> parts) noexcept override {
    Link& link = *network_.find(link_);
    if (link.broken) return {IoOutcome::kError, EPIPE, 0};
    std::size_t room = this->room();
    if (room == 0) return {IoOutcome::kWouldBlock, 0, 0};
    if (network_.faults_.split) room = network_.random_.between(1, room);
    std::size_t written = 0;
    for (const iovec& part : parts) {
      const std::size_t size = std::min(room - written, part.iov_len);
      const auto* data = static_cast<const std::uint8_t*>(part.iov_base);
      link.down.under_way.insert(link.down.under_way.end(), data, data + size);
      written += size;
    }
    return {IoOutcome::kDone, 0, written};
  }

  void watch_readable(bool on) noexcept override { watches_readable_ = on; }
  void watch_writable(bool on) noexcept override { watches_writable_ = on; }
  void finish_writing() noexcept override { network_.find(link_)->down.finished = true; }
  [[nodiscard]] std::string_view peer_address() const noexcept override { return address_; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return true; }

 private:
  [[nodiscard]] std::size_t room() const noexcept {
    const std::size_t used = network_.find(link_)->down.under_way.size();
    return network_.faults_.capacity > used ? network_.faults_.capacity - used : 0;
  }
  [[nodiscard]] bool is_readable() const noexcept {
    const Link& link = *network_.find(link_);
    return watches_readable_ && (link.broken || !link.up.arrived.empty() || link.up.end_arrived);
  }
  [[nodiscard]] bool is_writable() const noexcept {
    return watches_writable_ && (network_.find(link_)->broken || room() != 0);
  }
  [[nodiscard]] bool is_ready() const noexcept override { return is_readable() || is_writable(); }
  void handle() noexcept override {
    if (is_writable()) {
      owner_->on_writable();
    } else {
      owner_->on_readable();
    }
  }

  SimulatedNetwork& network_;
  LinkId link_;
  std::string address_;
  SimulatedLoop* loop_ = nullptr;
  StreamOwner* owner_ = nullptr;
  bool watches_readable_ = true;
  bool watches_writable_ = false;
};

class SimulatedNetwork::Listener final : public TransportListener, private EventSource {
 public:
  explicit Listener(SimulatedNetwork& network) : EventSource(++network.last_id_), network_(network) {}
  ~Listener() override {
    stop();
    network_.listener_ = nullptr;
    for (const LinkId id : waiting_) {
      Link* link = network_.find(id);
      if (link == nullptr) continue;
      link->accepted = link->down.finished = true;
      network_.drop_if_done(id);
    }
  }

  Status open() override { return ok(); }
  [[nodiscard]] std::string_view address() const noexcept override { return "127.0.0.1:1883"; }
  [[nodiscard]] bool is_loopback() const noexcept override { return true; }
  Status start(ReactorApi& reactor, StreamSink& sink) noexcept override {
    loop_ = static_cast<SimulatedLoop*>(&reactor);
    sink_ = &sink;
    loop_->watch(*this);
    return ok();
  }
  void pause(bool on) noexcept override { paused_ = on; }
  void stop() noexcept override {
    if (loop_ != nullptr) loop_->forget(*this);
    loop_ = nullptr;
  }
  void add(LinkId link) { waiting_.push_back(link); }

 private:
  [[nodiscard]] bool is_ready() const noexcept override { return !paused_ && !waiting_.empty(); }
  void handle() noexcept override {
    const LinkId id = waiting_.front();
    waiting_.pop_front();
    Link* link = network_.find(id);
    if (link == nullptr) return;
    auto stream = std::make_unique<StreamEnd>(network_, id, ++network_.last_id_);
    link->accepted = true;
    link->stream = stream.get();
    sink_->accepted(std::move(stream));
  }

  SimulatedNetwork& network_;
  SimulatedLoop* loop_ = nullptr;
  StreamSink* sink_ = nullptr;
  bool paused_ = false;
  std::deque<LinkId> waiting_;
};

SimulatedNetwork::SimulatedNetwork(SimulatedRandom& random) : random_(random) {}
SimulatedNetwork::~SimulatedNetwork() = default;

std::unique_ptr<TransportListener> SimulatedNetwork::make_listener() {
  auto listener = std::make_unique<Listener>(*this);
  listener_ = listener.get();
  return listener;
}

SimulatedNetwork::Link* SimulatedNetwork::find(LinkId id) const noexcept {
  const auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second.get();
}

// A link lives while the broker has its end, or may still accept it, or the client has something to hear.
void SimulatedNetwork::drop_if_done(LinkId id) {
  Link* link = find(id);
  if (link == nullptr || link->stream != nullptr || !link->accepted) return;
  if (link->client == nullptr || link->broken || link->down.end_arrived) links_.erase(id);
}

LinkId SimulatedNetwork::connect(LinkClient& client) {
  const LinkId id = ++last_id_;
  auto link = std::make_unique<Link>();
  link->client = &client;
  links_.emplace(id, std::move(link));
  if (listener_ != nullptr) listener_->add(id);
  return id;
}

void SimulatedNetwork::send(LinkId id, std::span<const std::uint8_t> bytes) {
  Link* link = find(id);
  if (link == nullptr || link->vanished || link->broken || link->up.finished) return;
  link->up.under_way.insert(link->up.under_way.end(), bytes.begin(), bytes.end());
}

void SimulatedNetwork::finish(LinkId id) {
  if (Link* link = find(id)) link->up.finished = true;
}

void SimulatedNetwork::reset(LinkId id) {
  Link* link = find(id);
  if (link == nullptr) return;
  link->broken = true;
  link->client = nullptr;
  link->up.under_way.clear();
  link->up.arrived.clear();
  link->down.under_way.clear();
  drop_if_done(id);
}

void SimulatedNetwork::vanish(LinkId id) {
  Link* link = find(id);
  if (link == nullptr) return;
  link->vanished = true;
  link->client = nullptr;
  link->up.under_way.clear();
  link->up.finished = false;
  drop_if_done(id);
}

void SimulatedNetwork::set_reading(LinkId id, bool on) {
  if (Link* link = find(id)) link->reading = on;
}

bool SimulatedNetwork::is_open_at_broker(LinkId id) const {
  const Link* link = find(id);
  return link != nullptr && (link->stream != nullptr || !link->accepted);
}

std::vector<LinkId> SimulatedNetwork::links_under_way() const {
  std::vector<LinkId> found;
  for (const auto& [id, link] : links_) {
    if (link->vanished || link->broken) continue;
    const bool up = !link->up.under_way.empty() || (link->up.finished && !link->up.end_arrived);
    const bool down =
        link->reading && (!link->down.under_way.empty() || (link->down.finished && !link->down.end_arrived));
    if (up) found.push_back(id);
    if (down && link->client != nullptr) found.push_back(id);
  }
  return found;
}

void SimulatedNetwork::deliver_some(LinkId id) {
  Link* link = find(id);
  if (link == nullptr || link->vanished || link->broken) return;
  const auto portion = [&](std::size_t size) {
    if (size == 0) return size;
    if (faults_.split && random_.chance(70)) return random_.between(1, std::min<std::size_t>(size, 7));
    return random_.chance(50) ? size : random_.between(1, size);
  };
  if (random_.chance(50)) {
    auto& up = link->up;
    const auto size = static_cast<std::ptrdiff_t>(portion(up.under_way.size()));
    up.arrived.insert(up.arrived.end(), up.under_way.begin(), up.under_way.begin() + size);
    up.under_way.erase(up.under_way.begin(), up.under_way.begin() + size);
    if (up.under_way.empty() && up.finished) up.end_arrived = true;
    return;
  }
  auto& down = link->down;
  if (link->client == nullptr || !link->reading) return;
  const auto size = static_cast<std::ptrdiff_t>(portion(down.under_way.size()));
  const std::vector<std::uint8_t> bytes(down.under_way.begin(), down.under_way.begin() + size);
  down.under_way.erase(down.under_way.begin(), down.under_way.begin() + size);
  if (!bytes.empty()) link->client->on_bytes(id, bytes);
  link = find(id);  // the client may have done anything
  if (link == nullptr || link->client == nullptr || !link->down.under_way.empty()) return;
  if (!link->down.finished || link->down.end_arrived) return;
  link->down.end_arrived = true;
  LinkClient* client = std::exchange(link->client, nullptr);
  client->on_closed(id);
  // The client closes too, so that a broker that lingers sees the end.
  if ((link = find(id)) != nullptr) link->up.finished = true;
  drop_if_done(id);
}

std::size_t SimulatedNetwork::streams() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(links_.begin(), links_.end(), [](const auto& entry) { return entry.second->stream != nullptr; }));
}

}  // namespace mqloop::sim
