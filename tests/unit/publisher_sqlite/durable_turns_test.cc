// The whole way on threads of its own, with a real file: shards on their reactors' threads, the writer on its own, and
// in the file what was acknowledged.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/store/reader.h"
#include "plugins/publisher_sqlite/place.h"
#include "plugins/publisher_sqlite/sqlite_shard.h"
#include "plugins/publisher_sqlite/writer.h"
#include "tests/unit/publisher_sqlite/fake_reactor.h"
#include "tests/unit/publisher_sqlite/script.h"

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;

namespace {

// Counts what comes back.
class CountingRecovery final : public Recovery {
 public:
  void numbers(const RecoveredNumbers& it) override { highest = it; }
  void session(const SessionState&, std::chrono::seconds) override { ++sessions; }
  void subscription(const SubscribeOp&) override { ++subscriptions; }
  void delivery(const Recipient&, DeliveryState) override { ++deliveries; }
  void received(std::uint16_t) override { ++received_ids; }
  void group_message(std::string_view, Ref<const Message>) override { ++group_messages; }
  void retained(Ref<const Message>) override { ++retained_messages; }
  [[nodiscard]] MonotonicTime time_of(WallTime) const noexcept override { return Message::kNever; }

  RecoveredNumbers highest;
  std::size_t sessions = 0;
  std::size_t subscriptions = 0;
  std::size_t deliveries = 0;
  std::size_t received_ids = 0;
  std::size_t group_messages = 0;
  std::size_t retained_messages = 0;
};

}  // namespace

TEST_GROUP(DurableTurns) {
  std::string folder;
  std::string path;

  void setup() override {
    const char* base = std::getenv("TMPDIR");
    folder = std::string(base == nullptr ? "/tmp" : base) + "/mqloop-durable-XXXXXX";
    CHECK_TRUE(mkdtemp(folder.data()) != nullptr);
    path = folder + "/m.db";
  }
  void teardown() override {
    for (const char* end : {"", "-wal", "-shm", ".lock", ".probe"}) unlink((path + end).c_str());
    CHECK_EQUAL(0, rmdir(folder.c_str()));
  }

  // All that a publisher is, less its plugin.
  struct Broker {
    Broker(const std::string& path, const WriterOptions& options) {
      CHECK_TRUE(store.open(path, database).ok());
      store::Recovered recovered;
      CHECK_TRUE(store::read_all(store, recovery, {}, recovered).ok());
      ledger.adopt(recovered);
      vault = std::make_unique<StoreVault>(store, path, database);
      writer = std::make_unique<Writer>(options, recovered.progress, *vault, ledger, journal, notices, lines);
      writer->start();
    }
    store::DatabaseOptions database;
    store::Store store;
    CountingRecovery recovery;
    Ledger ledger{HashSeed{1, 2}};
    TopicRules rules;
    Journal journal{1024 * 1024};
    Notices notices;
    broker::hook_test::RememberingLog lines;
    std::unique_ptr<StoreVault> vault;
    std::unique_ptr<Writer> writer;
  };
};

TEST(DurableTurns, what_two_reactors_were_told_is_complete_is_in_the_file) {
  constexpr std::uint64_t kTurns = 300;
  {
    Broker broker(path, {});
    const auto reactor_life = [&broker](std::uint32_t index) {
      FakeReactor reactor(index);
      FakeSink sink;
      SqliteShard shard(broker.rules, broker.journal, broker.notices, reactor, sink);
      const std::uint32_t other = 1 - index;
      const std::string client = "c" + std::to_string(index);
      const SessionState state{.number = 10 + index, .client_id = client, .user_name = {}, .expiry_interval = 9};
      SessionEvent created{SessionEventKind::kCreated, state};
      shard.session_event(created);
      for (std::uint64_t turn = 1; turn <= kTurns; ++turn) {
        // Mine, for me, and the other's part of his; half of it is acknowledged at once.
        const Ref<const Message> mine = message(turn * 64 + index);
        const Ref<const Message> his = message(turn * 64 + other);
        Recipient recipient;
        recipient.session = 10 + index;
        recipient.qos = QoS::kAtLeastOnce;
        recipient.session_is_durable = true;
        recipient.message = mine.get();
        recipient.delivery = turn * 2;
        recipient.packet_id = 1;
        shard.published({{index, turn}, {}, targets({0, 1})});
        shard.recipients({{index, turn}, index, {&recipient, 1}});
        recipient.message = his.get();
        recipient.delivery = turn * 2 + 1;
        shard.recipients({{other, turn}, index, {&recipient, 1}});
        shard.flush(turn);
        if (turn % 2 == 0) {
          DeliveryEvent done{DeliveryEventKind::kAcknowledged, recipient};
          shard.delivery_event(done);
        }
        shard.end_turn();
        reactor.read_mail();
      }
      while (sink.complete[index] != kTurns || sink.complete[other] != kTurns) {
        reactor.read_mail();
        std::this_thread::yield();
      }
      shard.drain(1h);
    };
    std::thread second([&] { reactor_life(1); });
    reactor_life(0);
    second.join();
    broker.writer->stop();
    CHECK_EQUAL(0U, broker.writer->figures().failures.get());
  }
  Broker again(path, {});
  CHECK_EQUAL(2U, again.recovery.sessions);
  CHECK_EQUAL(2 * (kTurns + kTurns / 2), again.recovery.deliveries);
  CHECK_EQUAL(11U, again.recovery.highest.session);
  CHECK_EQUAL(kTurns * 2 + 1, again.recovery.highest.delivery);
}

TEST(DurableTurns, full_file_is_trouble_until_there_is_room) {
  WriterOptions options;
  options.first_retry = options.last_retry = 1ms;
  Broker broker(path, options);
  broker.writer->stop();  // the test's own thread from here on
  Journal journal{64 * 1024 * 1024};
  store::Progress progress;
  CHECK_TRUE(broker.store.progress(progress).ok());
  Writer writer(options, progress, *broker.vault, broker.ledger, journal, broker.notices, broker.lines);
  CHECK_TRUE(broker.store.database().execute("PRAGMA max_page_count=40").ok());
  const Ref<const Message> large = message(64, std::string(400 * 1024, 'x'));
  Script script(0);
  script.source(1, targets({0})).block(0, 1, {{5, 1, large.get()}}).flush(1);
  CHECK_FALSE(journal.post(std::move(script.parcel)));
  Writer::Clock::time_point now = Writer::Clock::now();
  writer.round(now);
  CHECK_TRUE(broker.notices.trouble() == ReasonCode::kQuotaExceeded);
  CHECK_EQUAL(0U, broker.notices.complete_through(0));
  CHECK_TRUE(broker.store.database().execute("PRAGMA max_page_count=4000").ok());
  now += 1h;
  writer.round(now);
  CHECK_TRUE(broker.notices.trouble() == ReasonCode::kSuccess);
  CHECK_EQUAL(1U, broker.notices.complete_through(0));
}

TEST(DurableTurns, lock_of_another_connection_is_waited_for) {
  WriterOptions options;
  options.busy_patience = 0ms;
  Broker broker(path, options);
  broker.writer->stop();
  Journal journal{64 * 1024 * 1024};
  store::Progress progress;
  CHECK_TRUE(broker.store.progress(progress).ok());
  Writer writer(options, progress, *broker.vault, broker.ledger, journal, broker.notices, broker.lines);
  store::Store other;
  CHECK_TRUE(other.open(path).ok());
  CHECK_TRUE(other.begin().ok());
  const Ref<const Message> m = message(64);
  Script script(0);
  script.source(1, targets({0})).block(0, 1, {{5, 1, m.get()}}).flush(1);
  CHECK_FALSE(journal.post(std::move(script.parcel)));
  Writer::Clock::time_point now = Writer::Clock::now();
  writer.round(now);
  CHECK_TRUE(broker.notices.trouble() == ReasonCode::kImplementationSpecificError);
  CHECK_EQUAL(0U, broker.notices.complete_through(0));
  other.roll_back();
  now += 1h;
  writer.round(now);
  CHECK_TRUE(broker.notices.trouble() == ReasonCode::kSuccess);
  CHECK_EQUAL(1U, broker.notices.complete_through(0));
}

TEST(DurableTurns, place_that_others_may_read_or_that_takes_no_file_is_refused) {
  CHECK_TRUE(check_place(path).ok());
  CHECK_TRUE(access((path + ".probe").c_str(), F_OK) != 0);
  const Status missing = check_place(folder + "/no/such/m.db");
  CHECK_FALSE(missing.ok());
  { Broker broker(path, {}); }
  CHECK_TRUE(check_place(path).ok());
  CHECK_EQUAL(0, chmod(path.c_str(), 0644));
  const Status readable = check_place(path);
  CHECK_FALSE(readable.ok());
  CHECK_TRUE(std::string(readable.message()).find("chmod 600") != std::string::npos);
  CHECK_EQUAL(0, chmod(path.c_str(), 0600));
}
