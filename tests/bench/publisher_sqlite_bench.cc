// What publisher_sqlite costs beside SQLite itself: processor time of a message that one offline session gets, at the
// reactor and at the writer, and of a loop that does nothing but write the same rows in the same batches; and of a
// message that is acknowledged before it is written.
//   publisher_sqlite_bench [FOLDER]: where the database is to be; the current folder
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/log.h>

#include "tests/support/publisher_sqlite.cc"

using namespace mqloop;
using namespace mqloop::publisher_sqlite;

namespace {

constexpr std::uint64_t kMessages = 100'000;

double cpu_us() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}
double wall_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class SilentLog final : public Log {
 public:
  [[nodiscard]] bool enabled(LogLevel, std::string_view) const noexcept override { return false; }
  void write(LogLevel, std::string_view, std::string_view, std::span<const LogField>) noexcept override {}
};

class BenchReactor final : public ReactorApi {
 public:
  [[nodiscard]] std::uint32_t index() const noexcept override { return 0; }
  [[nodiscard]] ::event_base* event_base() noexcept override { return nullptr; }
  [[nodiscard]] MonotonicTime now() const noexcept override { return {}; }
  [[nodiscard]] WallTime wall_now() const noexcept override { return {}; }
  void post(void (*run)(void*) noexcept, void* argument) noexcept override { run(argument); }
  void call_after(std::chrono::milliseconds, void (*)(void*) noexcept, void*) noexcept override {}
  bool submit(void (*)(void*) noexcept, void (*)(void*) noexcept, void*) noexcept override { return false; }
  [[nodiscard]] Log& log() noexcept override { return log_; }

 private:
  SilentLog log_;
};

class BenchSink final : public PublishSink {
 public:
  void deliver(Ref<const Message>) noexcept override {}
  void complete_through(std::uint32_t, std::uint64_t number) noexcept override { complete = number; }
  void set_backlog(Backlog) noexcept override {}
  void set_trouble(ReasonCode) noexcept override {}
  std::uint64_t complete = 0;
};

void remove_database(const std::string& path) {
  for (const char* end : {"", "-wal", "-shm"}) unlink((path + end).c_str());
}

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "publisher_sqlite_bench: %s\n", what);
  std::exit(1);
}

Ref<const Message> make_message(std::uint64_t number, const std::string& payload) {
  Message::Content content;
  content.topic = "sensors/hall-7/temperature";
  content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  content.qos = QoS::kAtLeastOnce;
  content.number = number;
  return Message::create(content);
}

void publisher(const std::string& path, std::uint64_t batch, bool acknowledged) {
  store::Store store;
  must(store.open(path).ok(), "cannot open the database");
  StoreVault vault(store, path, {});
  Ledger ledger({1, 2});
  TopicRules rules;
  Journal journal(std::size_t{1} << 30);
  Notices notices;
  SilentLog log;
  Writer writer({}, {}, vault, ledger, journal, notices, log);
  BenchReactor reactor;
  BenchSink sink;
  SqliteShard shard(rules, journal, notices, reactor, sink);
  const std::string payload(100, 'x');
  std::vector<Ref<const Message>> messages;
  std::vector<Recipient> recipients;
  std::vector<Published> publishes;
  double at_reactor = 0;
  double at_writer = 0;
  const double begun = wall_us();
  std::uint64_t turn = 0;
  for (std::uint64_t done = 0; done < kMessages; done += batch) {
    messages.clear();
    recipients.clear();
    publishes.clear();
    for (std::uint64_t i = 0; i != batch; ++i) {
      messages.push_back(make_message((done + i + 1) * 64, payload));
      Recipient recipient;
      recipient.message = messages.back().get();
      recipient.session = 7;
      recipient.delivery = done + i + 1;
      recipient.packet_id = acknowledged ? 1 : 0;
      recipient.qos = QoS::kAtLeastOnce;
      recipient.session_is_durable = true;
      recipients.push_back(recipient);
      publishes.push_back({messages.back().get(), 3, false, 1});
    }
    const double start = cpu_us();
    ++turn;
    shard.published({{0, turn}, publishes, 1});
    shard.recipients({{0, turn}, 0, recipients});
    shard.flush(turn);
    if (acknowledged) {
      for (const Recipient& recipient : recipients) {
        DeliveryEvent event{DeliveryEventKind::kAcknowledged, recipient};
        shard.delivery_event(event);
      }
    }
    shard.end_turn();
    messages.clear();
    const double handed = cpu_us();
    writer.round(Writer::Clock::now());
    at_reactor += handed - start;
    at_writer += cpu_us() - handed;
    must(sink.complete == turn, "a turn is not complete");
  }
  const double took = wall_us() - begun;
  std::printf("%-28s %6llu/batch  reactor %6.3f us  writer %6.3f us  %9.0f messages/s\n",
              acknowledged ? "acknowledged, not written" : "kept", static_cast<unsigned long long>(batch),
              at_reactor / kMessages, at_writer / kMessages, kMessages / took * 1e6);
  store.close();
}

void bare_loop(const std::string& path, std::uint64_t batch) {
  store::Store store;  // for the schema and the settings of the connection
  must(store.open(path).ok(), "cannot open the database");
  sqlite3* database = store.database().get();
  sqlite3_stmt* message = nullptr;
  sqlite3_stmt* delivery = nullptr;
  sqlite3_prepare_v2(database, "INSERT INTO message VALUES (?1,?2,?3,?4,?5,?6,?7)", -1, &message, nullptr);
  sqlite3_prepare_v2(database, "INSERT INTO delivery VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)", -1, &delivery, nullptr);
  must(message != nullptr && delivery != nullptr, "cannot prepare");
  const std::string payload(100, 'x');
  const char topic[] = "sensors/hall-7/temperature";
  double at_writer = 0;
  const double begun = wall_us();
  for (std::uint64_t done = 0; done < kMessages; done += batch) {
    const double start = cpu_us();
    must(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK, "cannot begin");
    for (std::uint64_t i = 1; i <= batch; ++i) {
      const auto number = static_cast<sqlite3_int64>((done + i) * 64);
      sqlite3_bind_int64(message, 1, number);
      sqlite3_bind_text(message, 2, topic, sizeof topic - 1, SQLITE_STATIC);
      sqlite3_bind_blob(message, 3, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
      sqlite3_bind_zeroblob(message, 4, 0);
      sqlite3_bind_int(message, 5, 1);
      sqlite3_bind_int(message, 6, 0);
      must(sqlite3_step(message) == SQLITE_DONE, "cannot insert a message");
      sqlite3_reset(message);
      sqlite3_bind_int64(delivery, 1, 7);
      sqlite3_bind_int64(delivery, 2, static_cast<sqlite3_int64>(done + i));
      sqlite3_bind_int64(delivery, 3, number);
      sqlite3_bind_int(delivery, 4, 1);
      sqlite3_bind_int(delivery, 5, 0);
      sqlite3_bind_int(delivery, 7, 0);
      must(sqlite3_step(delivery) == SQLITE_DONE, "cannot insert a delivery");
      sqlite3_reset(delivery);
    }
    must(sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK, "cannot commit");
    if (done % (20 * batch) == 0)
      sqlite3_wal_checkpoint_v2(database, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    at_writer += cpu_us() - start;
  }
  const double took = wall_us() - begun;
  std::printf("%-28s %6llu/batch                     writer %6.3f us  %9.0f messages/s\n", "a bare loop",
              static_cast<unsigned long long>(batch), at_writer / kMessages, kMessages / took * 1e6);
  sqlite3_finalize(message);
  sqlite3_finalize(delivery);
  store.close();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = std::string(argc > 1 ? argv[1] : ".") + "/publisher_sqlite_bench.db";
  for (const std::uint64_t batch : {std::uint64_t{100}, std::uint64_t{1000}}) {
    for (int round = 0; round != 2; ++round) {
      for (const int which : {0, 1, 2}) {
        remove_database(path);
        if (which == 0) bare_loop(path, batch);
        if (which == 1) publisher(path, batch, false);
        if (which == 2) publisher(path, batch, true);
      }
    }
  }
  remove_database(path);
}
