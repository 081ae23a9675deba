// What a publisher that is not passthrough owes the core, asked of its shards directly: two reactors, their sinks, and
// turns given block by block.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/publishers.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_loop.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::sim;

class NotedSink final : public PublishSink {
 public:
  void deliver(Ref<const Message> /*message*/) noexcept override {}
  void complete_through(std::uint32_t source, std::uint64_t number) noexcept override {
    std::uint64_t& latest = source == 0 ? through : own_through;
    latest = std::max(latest, number);
  }
  void set_backlog(Backlog /*level*/) noexcept override {}
  void set_trouble(ReasonCode /*reason*/) noexcept override {}

  std::uint64_t through = 0;      // of source 0
  std::uint64_t own_through = 0;  // of source 1
};

// Two shards of the publisher under test, on loops without a broker.
class TwoShards {
 public:
  explicit TwoShards(std::uint64_t seed)
      : random_(seed),
        log_(clock_, false),
        under_test_(conformance::make_publisher(conformance::publisher_name(), random_)),
        loops_{SimulatedLoop{0, clock_, log_, random_}, SimulatedLoop{1, clock_, log_, random_}} {
    CHECK(under_test_->publisher().open(log_).ok());
    for (int i = 0; i != 2; ++i) shards[i] = under_test_->publisher().make_shard(loops_[i], sinks[i]);
  }
  ~TwoShards() {
    for (auto& shard : shards) {
      if (shard) shard->drain(std::chrono::milliseconds(100));
      shard.reset();
    }
    under_test_->publisher().close();
  }

  [[nodiscard]] bool passthrough() { return under_test_->publisher().capabilities().passthrough; }

  // Until the number is that, as long as it takes a disk under load.
  void pass_until(const std::uint64_t& number, std::uint64_t wanted) {
    for (int i = 0; i != 100 && number != wanted; ++i) pass(std::chrono::milliseconds(1000));
    LONGS_EQUAL(wanted, number);
  }
  // Lets `time` pass and everything happen that is due.
  void pass(std::chrono::milliseconds time) {
    for (; time.count() > 0; time -= std::chrono::milliseconds(5)) {
      clock_.pass(std::chrono::milliseconds(5));
      for (SimulatedLoop& loop : loops_) {
        while (loop.is_ready() || loop.has_due_timers()) loop.turn();
      }
      conformance::wait_for_threads(under_test_->publisher());
    }
  }

  // A turn of reactor 0 with one publish whose recipients are on both reactors; the second's block is left out. The
  // first's names a session, or `group`.
  Admission begin_turn(std::uint64_t number, std::string_view group = {}) {
    Message::Content content;
    const std::string payload = "payload " + std::to_string(number);
    content.topic = "t";
    content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    content.qos = QoS::kAtLeastOnce;
    content.number = number * 64;
    messages_.push_back(Message::create(content));
    const Message* message = messages_.back().get();
    PublishOp request;
    request.topic = message->topic();
    request.payload = message->payload();
    request.qos = message->qos();
    request.durable_recipients = true;
    request.session = 7;
    request.packet_id = 1;
    shards[0]->admit(request);
    const Published publish{message, 7, false, 1};
    const std::size_t routed = request.admission == Admission::kRoute ? 1 : 0;
    shards[0]->published({{0, number}, {&publish, routed}, 0b11});
    Recipient recipient;
    recipient.message = message;
    recipient.qos = QoS::kAtLeastOnce;
    recipient.session_is_durable = true;
    if (group.empty()) {
      recipient.session = 8;
      recipient.delivery = number;
      recipient.packet_id = static_cast<std::uint16_t>(number);
    } else {
      recipient.group = group;
    }
    shards[0]->recipients({{0, number}, 0, {&recipient, routed}});
    shards[0]->flush(number);
    shards[0]->end_turn();
    return request.admission;
  }
  void end_turn(std::uint64_t number) {
    shards[1]->recipients({{0, number}, 1, {}});
    shards[1]->end_turn();
  }
  void tell_of_session(std::uint32_t home, std::uint64_t number, SessionEventKind kind, std::uint64_t session,
                       std::string_view client) {
    SessionState state;
    state.number = session;
    state.client_id = client;
    state.expiry_interval = 60;
    state.connected = kind == SessionEventKind::kCreated || kind == SessionEventKind::kResumed;
    SessionEvent event{kind, state};
    shards[home]->session_event(event);
    close(home, number);
  }
  // A turn of reactor 1, which is `session`'s home, with this event about the message of turn `about` in `group`.
  void tell(std::uint64_t number, SessionEventKind kind, std::uint64_t session) {
    tell_of_session(1, number, kind, session, "member");
  }
  void tell(std::uint64_t number, DeliveryEventKind kind, std::uint64_t session, std::uint64_t about,
            std::string_view group) {
    DeliveryEvent event;
    event.kind = kind;
    event.delivery.session = session;
    event.delivery.message = messages_[about - 1].get();
    event.delivery.qos = QoS::kAtLeastOnce;
    event.delivery.session_is_durable = true;
    event.delivery.group = group;
    if (session != 0) {
      event.delivery.packet_id = 1;
      event.delivery.delivery = 1;
    }
    shards[1]->delivery_event(event);
    close(1, number);
  }
  void close(std::uint32_t reactor, std::uint64_t number) {
    shards[reactor]->published({{reactor, number}, {}, 0});
    shards[reactor]->flush(number);
    shards[reactor]->end_turn();
  }
  [[nodiscard]] std::vector<std::string> complaints() const { return under_test_->complaints(); }

  NotedSink sinks[2];
  std::unique_ptr<PublisherShard> shards[2];

 private:
  SimulatedRandom random_;
  SimulatedClock clock_;
  SimulatedLog log_;
  std::unique_ptr<conformance::PublisherUnderTest> under_test_;
  SimulatedLoop loops_[2];
  std::vector<Ref<const Message>> messages_;
};

constexpr std::chrono::milliseconds kLong{1000};

}  // namespace

TEST_GROUP(PublisherShardConformance){};

TEST(PublisherShardConformance, passthrough_means_that_there_is_no_shard) {
  TwoShards two(1);
  CHECK_EQUAL(two.passthrough(), two.shards[0] == nullptr);
}

TEST(PublisherShardConformance, a_turn_is_complete_on_both_reactors_once_every_block_is_there) {
  for (std::uint64_t seed = 1; seed != 6; ++seed) {
    TwoShards two(seed);
    if (two.passthrough()) return;  // has no turns
    two.begin_turn(1);
    two.pass(kLong);
    LONGS_EQUAL(0, two.sinks[0].through);
    two.end_turn(1);
    two.pass_until(two.sinks[0].through, 1);
    two.pass_until(two.sinks[1].through, 1);
  }
}

TEST(PublisherShardConformance, turns_of_one_source_are_completed_in_their_order) {
  for (std::uint64_t seed = 1; seed != 6; ++seed) {
    TwoShards two(seed);
    if (two.passthrough()) return;  // has no turns
    two.begin_turn(1);
    two.begin_turn(2);
    two.end_turn(2);
    two.pass(kLong);
    LONGS_EQUAL(0, two.sinks[0].through);
    two.end_turn(1);
    two.pass_until(two.sinks[0].through, 2);
    two.pass_until(two.sinks[1].through, 2);
  }
}

TEST(PublisherShardConformance, a_turn_is_complete_whatever_becomes_of_what_a_group_has) {
  for (std::uint64_t seed = 1; seed != 6; ++seed) {
    TwoShards two(seed);
    if (two.passthrough()) return;  // has no turns
    constexpr std::string_view kGroup = "$share/g/t";
    two.begin_turn(1, kGroup);
    two.end_turn(1);
    two.pass_until(two.sinks[0].through, 1);
    // It comes to a member, back from it when the session ends, and ends with nobody.
    two.tell(1, SessionEventKind::kCreated, 9);
    two.tell(2, DeliveryEventKind::kDelivered, 9, 1, kGroup);
    two.tell(3, SessionEventKind::kDisconnected, 9);
    two.tell(4, DeliveryEventKind::kReturned, 9, 1, kGroup);
    two.tell(5, SessionEventKind::kEnded, 9);
    two.tell(6, DeliveryEventKind::kGroupDone, 0, 1, kGroup);
    two.begin_turn(2, kGroup);
    two.end_turn(2);
    two.pass_until(two.sinks[0].through, 2);
    two.pass_until(two.sinks[1].own_through, 6);
    for (const std::string& complaint : two.complaints()) FAIL(complaint.c_str());
  }
}
