// Two clients whose packets interleave, against a whole broker in this process: its reactors, network and clock are
// simulated (tests/support), so one input is one run. What must hold: the broker sends only packets that are due and
// may come now, keeps to what the client announced, delivers nothing to who has not subscribed it (session_peer.h),
// keeps to its side of the publisher's interface, takes no more memory than a few clients may cost, and forgets
// everything once the clients are gone and time has passed. Input: one byte of choices {bit 0: two reactors, bit 1: a
// publisher in two steps, bit 2: bytes travel in small pieces, bit 3: a narrow window, bit 4: small queues, bit 5: QoS
// 0 is queued too}, one byte that seeds chance, then operations: one byte {bits 0-3: which, bits 4-6: how many steps
// the broker takes after it, bit 7: which client} and its arguments.
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/fuzz/session_peer.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_publisher.h"

extern "C" std::size_t __sanitizer_get_current_allocated_bytes();

namespace {

using namespace mqloop;       // NOLINT(google-build-using-namespace)
using namespace mqloop::sim;  // NOLINT(google-build-using-namespace)
using fuzz::Ledger;
using fuzz::Line;
using fuzz::require;
using std::chrono::milliseconds;
using Bytes = std::vector<std::uint8_t>;

constexpr std::array kTopics = {"a", "a/b", "b", "$x/a", "c/d/e", "a/b/c", "$SYS/x", "a//b"};
constexpr std::array kFilters = {"a",          "a/#",  "+/b",           "#",     "+",     "$share/g/a/#",
                                 "$share/g/b", "$x/#", "$share/h/+",    "a/b/c", "+/+/#", "$share/g",
                                 "c/#",        "b",    "$share/g/$x/a", "a/+"};
// The most that a broker with a few clients may take beyond what it begins with, whatever an input of some KiB says.
constexpr std::size_t kMostMemory = 24U << 20;
constexpr std::size_t kMostOperations = 400;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : rest_(data, size) {}
  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  std::uint8_t byte() noexcept {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  std::span<const std::uint8_t> bytes(std::size_t size) noexcept {
    const auto taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// ---- packets, well-formed as long as nobody mutates them

void add_u16(Bytes& to, unsigned value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}
void add_u32(Bytes& to, std::uint32_t value) {
  add_u16(to, value >> 16);
  add_u16(to, value & 0xFFFF);
}
void add_text(Bytes& to, std::string_view text) {
  add_u16(to, static_cast<unsigned>(text.size()));
  to.insert(to.end(), text.begin(), text.end());
}
void add_varint(Bytes& to, std::size_t value) {
  for (; value >= 128; value /= 128) to.push_back(static_cast<std::uint8_t>(value % 128 | 128));
  to.push_back(static_cast<std::uint8_t>(value));
}
void add_section(Bytes& to, const Bytes& properties, bool five) {
  if (!five) return;
  add_varint(to, properties.size());
  to.insert(to.end(), properties.begin(), properties.end());
}
Bytes packet(unsigned first, const Bytes& body) {
  Bytes whole = {static_cast<std::uint8_t>(first)};
  add_varint(whole, body.size());
  whole.insert(whole.end(), body.begin(), body.end());
  return whole;
}

class Run final : private LinkClient {
 public:
  Run(std::uint8_t choices, std::uint8_t seed, Input input)
      : input_(input), random_(seed), broker_(random_, (choices & 1U) != 0 ? 2 : 1, talks()), ledger_(seed) {
    broker::LimitsSettings& limits = broker_.settings().limits;
    limits.session.max_expiry_interval = std::chrono::hours(1);  // so that all sessions end
    limits.receive_maximum = limits.max_in_flight = 5;
    if ((choices & 16U) != 0) {
      limits.session.max_queued_messages = 4;
      limits.output.soft = 300;
    }
    limits.session.queue_qos0 = (choices & 32U) != 0;
    NetworkFaults faults;
    faults.split = (choices & 4U) != 0;
    if ((choices & 8U) != 0) faults.capacity = 200;
    broker_.network().set_faults(faults);
    if ((choices & 2U) != 0) publisher_.emplace(SimulatedPublisherOptions{}, random_);
    broker_.start(publisher_ ? static_cast<Publisher&>(*publisher_) : passthrough_);
    memory_ = __sanitizer_get_current_allocated_bytes();
  }

  void play() {
    for (std::size_t i = 0; i != kMostOperations && !input_.empty(); ++i) {
      const std::uint8_t code = input_.byte();
      client_ = code >> 7;
      operate(code & 15U);
      for (unsigned steps = ((code >> 4) & 7U) * 3; steps != 0 && broker_.step(); --steps) ledger_.tick();
      require(__sanitizer_get_current_allocated_bytes() < memory_ + kMostMemory, "memory without a bound");
    }
    finish();
  }

 private:
  // MQLOOP_TALK=1 build/fuzz/session FILE tells what happens in an input.
  [[nodiscard]] static bool talks() noexcept { return std::getenv("MQLOOP_TALK") != nullptr; }
  static void say(const char* way, LinkId link, std::span<const std::uint8_t> bytes) {
    if (!talks()) return;
    std::fprintf(stderr, "%s %d:", way, static_cast<int>(link));
    for (const std::uint8_t byte : bytes) std::fprintf(stderr, " %02x", byte);
    std::fputc('\n', stderr);
  }

  // ---- what a client does
  void operate(unsigned operation) {
    switch (operation) {
      case 0:
        return connect();
      case 1:
      case 2:
        return publish();
      case 3:
        return subscribe();
      case 4:
        return unsubscribe();
      case 5:
      case 6:
        return answer();
      case 7:
        return acknowledge_anything();
      case 8:
        return disconnect();
      case 9:
        return send({0xC0, 0});
      case 10:
        return raw();
      case 11:
        mutation_ = {input_.byte(), input_.byte(), true};
        return;
      case 12:
        broker_.pass(milliseconds(1) * (1U << (input_.byte() % 22)));  // up to 35 minutes
        return;
      case 13:
        return drop();
      case 14:
        return broker_.network().set_reading(link(), (input_.byte() & 1U) != 0);
      default:
        for (unsigned steps = input_.byte(); steps != 0 && broker_.step(); --steps) ledger_.tick();
    }
  }

  void connect() {
    const std::uint8_t first = input_.byte();
    const std::uint8_t second = input_.byte();
    const unsigned level = 3 + first % 3;
    const bool five = level == 5;
    Bytes body;
    add_text(body, level == 3 ? "MQIsdp" : "MQTT");
    body.push_back(static_cast<std::uint8_t>(level));
    const bool will = (first & 8U) != 0;
    body.push_back(static_cast<std::uint8_t>(((first & 4U) != 0 ? 2 : 0) | (will ? 4 | (second & 1U) << 3 : 0) |
                                             (will && (second & 2U) != 0 ? 32 : 0)));
    add_u16(body, (first & 16U) != 0 ? 2 : 0);
    Bytes properties;
    if ((first & 32U) != 0) {
      properties.push_back(17);  // Session Expiry Interval
      add_u32(properties, (first & 64U) != 0 ? 0xFFFFFFFF : 3);
    }
    if ((second & 4U) != 0) properties.insert(properties.end(), {33, 0, 2});            // Receive Maximum
    if ((second & 8U) != 0) properties.insert(properties.end(), {39, 0, 0, 0, 60});     // Maximum Packet Size
    if ((second & 16U) != 0) properties.insert(properties.end(), {34, 0, 2});           // Topic Alias Maximum
    if ((second & 224U) == 224U) properties.insert(properties.end(), {21, 0, 1, 'm'});  // Authentication Method
    add_section(body, properties, five);
    add_text(body, (second & 96U) == 96U ? "" : (first & 128U) != 0 ? "both" : client_ == 0 ? "one" : "two");
    if (will) {
      Bytes delay = {24, 0, 0, 0, 2};
      if ((second & 32U) == 0) delay.clear();
      add_section(body, delay, five);
      add_text(body, kTopics[second % 3]);
      add_text(body, ledger_.stamp());
    }
    open();
    send(packet(0x10, body));
  }

  void publish() {
    const std::uint8_t first = input_.byte();
    const std::uint8_t second = input_.byte();
    const unsigned qos = first % 3;
    const bool five = is_five();
    Bytes properties;
    if ((second & 1U) != 0) properties.insert(properties.end(), {2, 0, 0, 0, 2});  // Message Expiry Interval
    const bool alias = (second & 2U) != 0;
    if (alias) properties.insert(properties.end(), {35, 0, static_cast<std::uint8_t>(1 + (second & 4U) / 4)});
    if ((second & 8U) != 0) properties.insert(properties.end(), {38, 0, 1, 'k', 0, 1, 'v'});
    Bytes body;
    add_text(body, five && alias && (second & 16U) != 0 ? "" : kTopics[(first >> 4) % 8]);
    if (qos != 0) add_u16(body, 1 + (second >> 6));
    add_section(body, properties, five);
    std::string payload = (second & 32U) != 0 && (first & 4U) != 0 ? "" : ledger_.stamp();
    if ((second & 224U) == 224U) payload.append(3000, 'x');  // beyond what is copied; not a stamp any more
    body.insert(body.end(), payload.begin(), payload.end());
    send(packet(0x30 | qos << 1 | ((first & 4U) != 0 ? 1 : 0) | ((first & 8U) != 0 && qos != 0 ? 8 : 0), body));
  }

  void subscribe() {
    const std::uint8_t first = input_.byte();
    const bool five = is_five();
    Bytes body;
    add_u16(body, 1 + (first & 3U));
    Bytes identifier = {11, static_cast<std::uint8_t>(1 + (first >> 4))};
    if ((first & 4U) == 0) identifier.clear();
    add_section(body, identifier, five);
    for (unsigned i = 0; i <= (first >> 3) % 3; ++i) {
      const std::uint8_t which = input_.byte();
      add_text(body, kFilters[which % kFilters.size()]);
      const unsigned qos = (which >> 4) % 3;
      body.push_back(static_cast<std::uint8_t>(five ? qos | (which >> 6) << 2 | (first & 32U ? 16 : 0) : qos));
    }
    send(packet(0x82, body));
  }

  void unsubscribe() {
    const std::uint8_t first = input_.byte();
    Bytes body;
    add_u16(body, 1 + (first & 3U));
    add_section(body, {}, is_five());
    add_text(body, kFilters[(first >> 2) % kFilters.size()]);
    if ((first & 128U) != 0) add_text(body, kFilters[first % kFilters.size()]);
    send(packet(0xA2, body));
  }

  // What is owed, oldest first, now and then with an error.
  void answer() {
    const std::uint8_t choice = input_.byte();
    Line* line = this->line();
    for (unsigned i = 0; line != nullptr && i <= choice % 4; ++i) {
      const auto owed = line->take_owed();
      if (!owed) return;
      Bytes body;
      add_u16(body, owed->packet_id);
      if (is_five() && (choice & 240U) == 240U && owed->type != mqtt::PacketType::kPubrel) {
        body.push_back(owed->type == mqtt::PacketType::kPubcomp ? 0x92 : 0x80);
      }
      send(packet(static_cast<unsigned>(owed->type) << 4 | (owed->type == mqtt::PacketType::kPubrel ? 2 : 0), body));
    }
  }

  void acknowledge_anything() {
    const std::uint8_t choice = input_.byte();
    const unsigned type = 4 + choice % 4;  // PUBACK to PUBCOMP
    Bytes body;
    add_u16(body, (choice >> 2) % 8);
    if ((choice & 128U) != 0) body.push_back(input_.byte());
    send(packet(type << 4 | (type == 6 ? 2 : 0), body));
  }

  void disconnect() {
    const std::uint8_t choice = input_.byte();
    Bytes body;
    if (is_five() && (choice & 1U) != 0) {
      body.push_back((choice & 2U) != 0 ? 4 : 0);
      if ((choice & 4U) != 0) body.insert(body.end(), {5, 17, 0, 0, 0, static_cast<std::uint8_t>(choice >> 4)});
    }
    send(packet(0xE0, body));
  }

  void raw() {
    const auto bytes = input_.bytes(input_.byte() % 48);
    if (line() == nullptr) open();
    send(Bytes(bytes.begin(), bytes.end()));
  }

  void drop() {
    const std::uint8_t how = input_.byte() % 3;
    if (how == 0) broker_.network().reset(link());
    if (how == 1) broker_.network().finish(link());
    if (how == 2) broker_.network().vanish(link());
    links_[client_] = 0;
  }

  // ---- connections
  [[nodiscard]] LinkId link() const noexcept { return links_[client_]; }
  [[nodiscard]] Line* line() {
    const auto found = lines_.find(link());
    return found == lines_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool is_five() { return line() != nullptr && line()->version() == ProtocolVersion::kV5; }

  // The connection that is there stays as it is: a take-over, unless it was dropped before.
  void open() {
    const LinkId link = broker_.network().connect(*this);
    links_[client_] = link;
    lines_.try_emplace(link, link, ledger_, broker_.network(), lines_);
  }

  void send(Bytes bytes) {
    if (mutation_.is_set && !bytes.empty()) {
      bytes[mutation_.place % bytes.size()] ^= mutation_.change;
      if (mutation_.change == 0) bytes.resize(mutation_.place % bytes.size() + 1);
      mutation_.is_set = false;
    }
    Line* line = this->line();
    if (line == nullptr) return;
    ledger_.tick();
    say(">", link(), bytes);
    line->sent(bytes);
    broker_.network().send(link(), bytes);
  }

  void on_bytes(LinkId link, std::span<const std::uint8_t> bytes) override {
    say("<", link, bytes);
    lines_.at(link).received(bytes);
  }
  void on_closed(LinkId link) override {
    for (LinkId& current : links_) {
      if (current == link) current = 0;
    }
  }

  // ---- the end: nobody is left, and nothing of them once all they left has expired
  void finish() {
    if (publisher_) publisher_->calm_down();
    for (const auto& [link, line] : lines_) broker_.network().reset(link);
    for (int i = 0; i != 40; ++i) {
      require(broker_.settle(), "the broker goes round in circles");
      broker_.pass(std::chrono::minutes(5));
    }
    require(broker_.settle(), "the broker goes round in circles");
    for (std::uint32_t i = 0; i != broker_.reactors(); ++i) {
      const broker::Counters& counters = broker_.broker().shard(i).counters();
      require(counters.connections_open.value() == 0, "a connection is left");
      require(counters.sessions.value() == 0, "a session is left");
      require(counters.subscriptions.value() == 0, "a subscription is left");
      require(counters.shared_subscriptions.value() == 0, "a shared subscription is left");
      require(broker_.broker().shard(i).shared_groups().size() == 0, "a group without members is left");
    }
    require(broker_.broker().routes().filter_count() == 0, "a route is left");
    require(broker_.broker().directory().size() == 0, "a client is left");
    require(broker_.network().streams() == 0, "a stream is left");
    require(broker_.stop(), "the broker does not stop");
    if (publisher_) {
      for (const std::string& fault : publisher_->faults()) require(false, fault.c_str());
      require(publisher_->left_to_groups() == 0, "a message is left to a group that is gone");
      require(publisher_->is_closed(), "the publisher was not closed");
    }
  }

  struct Mutation {
    std::uint8_t place = 0;
    std::uint8_t change = 0;  // 0: cut here
    bool is_set = false;
  };

  Input input_;
  SimulatedRandom random_;
  PassthroughPublisher passthrough_;
  std::optional<SimulatedPublisher> publisher_;
  SimulatedBroker broker_;
  Ledger ledger_;
  std::map<LinkId, Line> lines_;
  std::array<LinkId, 2> links_{};
  std::size_t client_ = 0;
  Mutation mutation_;
  std::size_t memory_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  Run(data[0], data[1], Input(data + 2, size - 2)).play();
  return 0;
}
