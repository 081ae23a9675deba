// A BareBroker with publisher_sqlite, whose writer has no thread of its own: it works when it is told to, as if a
// second had passed, and what it does then is counted (see meter.h) as the broker's turns are. The database lies in a
// folder that goes away. For programs that link tests/support/publisher_sqlite.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <mqloop/publisher.h>

#include "core/store/store.h"
#include "plugins/publisher_sqlite/sqlite_shard.h"
#include "plugins/publisher_sqlite/writer.h"
#include "tests/bench/support/bare_broker.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/quiet_log.h"

namespace mqloop::bench {

class SqliteBroker final : private Publisher {
 public:
  SqliteBroker();
  ~SqliteBroker();
  SqliteBroker(const SqliteBroker&) = delete;
  SqliteBroker& operator=(const SqliteBroker&) = delete;

  [[nodiscard]] BareBroker& broker() noexcept { return *broker_; }
  // All that waits to be written.
  void write();
  // Until nobody waits for anything.
  void settle();
  // Deliveries that were acknowledged before they were written.
  [[nodiscard]] std::uint64_t spared() const noexcept { return writer_->figures().elided.get(); }

 private:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {true, false, false, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override {
    return std::make_unique<publisher_sqlite::SqliteShard>(rules_, journal_, notices_, reactor, sink);
  }
  void close() noexcept override {}

  std::string folder_;
  store::Store store_;
  QuietLog log_;
  publisher_sqlite::TopicRules rules_;
  publisher_sqlite::Journal journal_{std::size_t{64} << 20};
  publisher_sqlite::Notices notices_;
  publisher_sqlite::Ledger ledger_{{1, 2}};
  std::unique_ptr<publisher_sqlite::StoreVault> vault_;
  std::unique_ptr<publisher_sqlite::Writer> writer_;
  publisher_sqlite::Writer::Clock::time_point now_ = publisher_sqlite::Writer::Clock::now();
  std::optional<BareBroker> broker_{std::in_place};
};

inline SqliteBroker::SqliteBroker()
    : folder_((std::filesystem::temp_directory_path() / "mqloop-bench-XXXXXX").string()) {
  expect(mkdtemp(folder_.data()) != nullptr, "a folder can be made");
  const std::string path = folder_ + "/m.db";
  store::DatabaseOptions database;
  database.synchronous = store::Synchronous::kNormal;  // what waits for the disk is not counted
  expect(store_.open(path, database).ok(), "a database can be made");
  vault_ = std::make_unique<publisher_sqlite::StoreVault>(store_, path, database);
  publisher_sqlite::WriterOptions options;
  options.checkpoint_idle = std::chrono::hours(1000);  // only when there is much
  writer_ = std::make_unique<publisher_sqlite::Writer>(options, store::Progress{}, *vault_, ledger_, journal_, notices_,
                                                       log_);
  broker_->settings().shutdown.drain = std::chrono::milliseconds{0};
  broker_->start(*this);
}

inline SqliteBroker::~SqliteBroker() {
  broker_.reset();
  store_.close();
  std::filesystem::remove_all(folder_);
}

inline void SqliteBroker::write() {
  const Counted counted;
  for (int i = 0; i != 2; ++i) writer_->round(now_ += std::chrono::seconds(1));  // the first one only looks
}

inline void SqliteBroker::settle() {
  for (int i = 0; i != 3; ++i) {
    broker_->settle();
    write();
  }
  broker_->settle();
}

}  // namespace mqloop::bench
