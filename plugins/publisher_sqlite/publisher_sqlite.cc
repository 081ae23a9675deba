// publisher_sqlite: acknowledged means on disk. README.md tells the options and the guarantees; what has to wait is
// decided in sqlite_shard.h, what is written in ledger.h, when in writer.h.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/log.h>
#include <mqloop/publisher.h>
#include <mqloop/topic.h>

#include "core/base/failpoint.h"
#include "core/store/database_lock.h"
#include "core/store/reader.h"
#include "core/store/salvage.h"
#include "plugins/publisher_sqlite/forgetful_recovery.h"
#include "plugins/publisher_sqlite/place.h"
#include "plugins/publisher_sqlite/sqlite_shard.h"
#include "plugins/publisher_sqlite/writer.h"

namespace {

using namespace mqloop;
using namespace mqloop::publisher_sqlite;

constexpr std::uint32_t kBusyTimeoutMs = 100;

HashSeed random_seed() {
  std::random_device device;
  const auto word = [&device] { return std::uint64_t{device()} << 32 | device(); };
  return {word(), word()};
}

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

Status status_of(const store::Outcome& outcome) {
  switch (outcome.cause()) {
    case store::Cause::kNone:
      return ok();
    case store::Cause::kFull:
      return {StatusCode::kResourceExhausted, outcome.text()};
    case store::Cause::kReadOnly:
      return {StatusCode::kPermissionDenied, outcome.text()};
    case store::Cause::kBusy:
      return {StatusCode::kAlreadyExists, outcome.text()};
    case store::Cause::kIo:
    case store::Cause::kSync:
    case store::Cause::kCorrupt:
      return {StatusCode::kUnavailable, outcome.text()};
    case store::Cause::kOther:
      break;
  }
  return {StatusCode::kInternal, outcome.text()};
}

// A start that takes long says how far it is, to a person at a terminal.
class ProgressLine {
 public:
  void show(std::uint64_t done, std::uint64_t all) {
    if (isatty(STDERR_FILENO) == 0 || all == 0) return;
    std::fprintf(stderr, "\rreading the database: %3u %%", static_cast<unsigned>(done * 100 / all));
    shown_ = true;
  }
  ~ProgressLine() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }

 private:
  bool shown_ = false;
};

class SqlitePublisher final : public PublisherPlugin {
 public:
  void describe(Schema& schema) override {
    schema.path("path", "the database; its log and its lock lie beside it").defaults_to("mqloop.db").not_empty();
    describe_durability(
        schema.enumeration("durability", "when a message is acknowledged", {"full", "normal"}).defaults_to("full"));
    Schema& topics = schema.list_of_sections("topics", "rules for some topics; the first that matches holds", "filter");
    topics.string("filter", "a topic filter").required().not_empty();
    describe_durability(
        topics.enumeration("durability", "when a message of these topics is acknowledged", {"full", "memory"})
            .required());
    schema
        .enumeration("on_corrupt", "a damaged database: move it aside and save what reads, or do not start",
                     {"quarantine", "refuse"})
        .defaults_to("quarantine");
    schema.size("min_free_space", "with less left on its disk nothing that needs it is accepted").defaults_to("64MiB");
    schema.size("max_backlog", "with more waiting to be written publishers are not read")
        .defaults_to("64MiB")
        .at_least("1MiB");
  }

  Status configure(const ConfigNode& config) override {
    path_ = config["path"].as_string();
    const ConfigNode durability = config["durability"];
    if (!durability.is_map() && durability.text() == "normal") {
      database_.synchronous = store::Synchronous::kNormal;
    }
    rules_ = TopicRules(durability_of(durability));
    for (const ConfigNode rule : config["topics"]) {
      const std::string filter = rule["filter"].as_string();
      if (const TopicFilterFault fault = check_topic_filter(filter); !fault.ok()) {
        return rule["filter"].error("'" + filter + "': " + std::string(fault.explanation));
      }
      rules_.add(filter, durability_of(rule["durability"]));
    }
    on_corrupt_ = config["on_corrupt"].text() == "refuse" ? store::OnCorrupt::kRefuse : store::OnCorrupt::kQuarantine;
    writer_options_.min_free_space = config["min_free_space"].as_size();
    journal_ = std::make_unique<Journal>(config["max_backlog"].as_size());
    return ok();
  }

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override {
    PublisherCapabilities capabilities;
    capabilities.durable = capabilities.durable_only = true;
    return capabilities;
  }

  Status open(Log& log) override {
    log_ = &log;
    if (Status status = check_place(path_); !status.ok()) return status;
    if (store::Outcome outcome = lock_.acquire(path_); !outcome.ok()) return status_of(outcome);
    database_.busy_timeout_ms = kBusyTimeoutMs;
    store::SalvageReport report;
    store::Outcome outcome = store::open_or_salvage(path_, database_, on_corrupt_, wall_now(), store_, report);
    if (report.damaged) tell_of_damage(report, outcome.ok());
    if (!outcome.ok()) return status_of(outcome);
    return status_of(store_.progress(progress_));
  }

  Status recover(Recovery& recovery) override {
    const auto begun = std::chrono::steady_clock::now();
    ProgressLine line;
    store::ReaderOptions options;
    options.now = wall_now();
    options.progress = [&line](std::uint64_t done, std::uint64_t all) { line.show(done, all); };
    store::Recovered recovered;
    std::vector<std::string> forgotten;
    ForgetfulRecovery filtered(recovery, rules_, forgotten);
    store::Outcome outcome = store::read_all(store_, filtered, options, recovered);
    std::move(forgotten.begin(), forgotten.end(), std::back_inserter(recovered.dead_retained));
    MQLOOP_FAILPOINT("recovery_read");
    if (outcome.ok()) outcome = store::tidy(store_, recovered);
    if (!outcome.ok()) return status_of(outcome);
    MQLOOP_FAILPOINT("recovery_tidied");
    progress_ = recovered.progress;
    ledger_.adopt(recovered);
    tell_of_recovery(recovered, std::chrono::steady_clock::now() - begun);
    return ok();
  }

  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override {
    {
      const std::lock_guard lock(mutex_);
      if (!writer_) {
        vault_ = std::make_unique<StoreVault>(store_, path_, database_);
        writer_ = std::make_unique<Writer>(writer_options_, progress_, *vault_, ledger_, *journal_, notices_, *log_);
        writer_->start();
      }
    }
    return std::make_unique<SqliteShard>(rules_, *journal_, notices_, reactor, sink);
  }

  void report(Figures& figures) const override {
    if (!writer_) return;
    const WriterFigures& it = writer_->figures();
    figures.figure("commits", it.commits.get());
    figures.figure("rows", it.rows.get());
    figures.figure("batch/rows/p50", it.batch_rows.quantile(500));
    figures.figure("batch/rows/p99", it.batch_rows.quantile(990));
    figures.figure("batch/rows/max", it.batch_rows.most());
    figures.figure("commit/latency/p50_us", it.commit_us.quantile(500));
    figures.figure("commit/latency/p99_us", it.commit_us.quantile(990));
    figures.figure("commit/latency/max_us", it.commit_us.most());
    figures.figure("queue/turns", it.gathering_turns.get() + journal_->parcels());
    figures.figure("queue/bytes", journal_->bytes());
    figures.figure("elided", it.elided.get());
    figures.figure("coalesced", it.coalesced.get());
    figures.figure("acknowledged_not_durable", it.acknowledged_not_durable.get());
    figures.figure("degraded", it.degraded.get());
    figures.figure("failures", it.failures.get());
    figures.figure("checkpoints", it.checkpoints.get());
    figures.figure("messages", it.kept_messages.get());
    figures.figure("database/bytes", it.database_bytes.get());
    figures.figure("wal/bytes", it.wal_bytes.get());
    figures.figure("free/bytes", it.free_bytes.get());
  }

  void close() noexcept override {
    if (writer_) writer_->stop();
    vault_.reset();
    store_.close();
    lock_.release();
  }

 private:
  static void describe_durability(Option& option) {
    option.or_section().duration("batched", "acknowledged at once, on disk after so long").required().at_least("1ms");
  }

  Durability durability_of(const ConfigNode& node) {
    if (!node.is_map()) return node.text() == "memory" ? Durability::kMemory : Durability::kFull;
    // One batch holds everything, so the shortest time is everybody's.
    writer_options_.ride_along = std::min(writer_options_.ride_along, node["batched"].as_duration());
    return Durability::kBatched;
  }

  void tell_of_damage(const store::SalvageReport& report, bool goes_on) {
    log_->write(LogLevel::kError, "publisher_sqlite", goes_on ? "the database was damaged" : "the database is damaged",
                {{"file", path_},
                 {"fault", report.fault},
                 {"moved_to", report.quarantined},
                 {"saved_sessions", std::to_string(report.saved.sessions)},
                 {"saved_messages", std::to_string(report.saved.messages)},
                 {"saved_retained", std::to_string(report.saved.retained)},
                 {"bad_pages", std::to_string(report.saved.bad_pages)}});
  }

  void tell_of_recovery(const store::Recovered& recovered, std::chrono::steady_clock::duration took) {
    const store::ReadCounts& it = recovered.counts;
    log_->write(LogLevel::kInfo, "publisher_sqlite", "recovered",
                {{"file", path_},
                 {"clean", recovered.progress.clean ? "yes" : "no"},
                 {"sessions", std::to_string(it.sessions)},
                 {"messages", std::to_string(it.messages)},
                 {"deliveries", std::to_string(it.deliveries)},
                 {"retained", std::to_string(it.retained)},
                 {"expired_sessions", std::to_string(it.expired_sessions)},
                 {"expired_messages", std::to_string(it.expired_messages)},
                 {"bad_rows", std::to_string(it.bad_rows)},
                 {"took_ms", std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())}});
  }

  std::string path_;
  TopicRules rules_;
  store::DatabaseOptions database_;
  store::OnCorrupt on_corrupt_ = store::OnCorrupt::kQuarantine;
  WriterOptions writer_options_;
  Log* log_ = nullptr;

  store::DatabaseLock lock_;
  store::Store store_;
  store::Progress progress_;
  Ledger ledger_{random_seed()};
  Notices notices_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<StoreVault> vault_;
  std::mutex mutex_;  // reactors ask for their shards at the same time
  std::unique_ptr<Writer> writer_;
};

}  // namespace

MQLOOP_PLUGIN(SqlitePublisher, "publisher_sqlite", "1.0", "acknowledged means on disk: an SQLite database")
