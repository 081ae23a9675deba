// publisher_sqlite without its thread: the writer has a turn when the simulation says so, and its database lies on a
// simulated disk. The plugin's parts are its own; what makes a plugin of them (options, lock, report) is left out. One
// that is destroyed while the disk has no power leaves behind what a crash does. For loops that share one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mqloop/clock.h>
#include <mqloop/publisher.h>

#include "core/store/store.h"
#include "plugins/publisher_sqlite/sqlite_shard.h"
#include "plugins/publisher_sqlite/writer.h"
#include "tests/support/simulated_disk.h"

namespace mqloop::sim {

class DiskPublisher final : public Publisher {
 public:
  // A checkpoint comes when so many pages are in the log.
  DiskPublisher(const store_test::SimulatedDisk& disk, const Clock& clock, std::uint32_t checkpoint_frames);

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override {
    PublisherCapabilities capabilities;
    capabilities.durable = capabilities.durable_only = true;
    return capabilities;
  }
  Status open(Log& log) override;
  Status recover(Recovery& recovery) override;
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override;
  void close() noexcept override { store_.close(); }

  // Why it could not be opened and recovered, or nothing.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  // The writer has a turn. What may turn out not to be needed it lets wait, unless time `passes`. Whether it has
  // written anything.
  bool round(bool passes);

 private:
  [[nodiscard]] Status say(const store::Outcome& outcome);

  const Clock& clock_;
  const store::DatabaseOptions options_;
  publisher_sqlite::WriterOptions writer_options_;
  Log* log_ = nullptr;
  std::string trouble_;
  store::Store store_;
  store::Progress progress_;
  publisher_sqlite::TopicRules rules_;
  publisher_sqlite::Ledger ledger_;
  publisher_sqlite::Notices notices_;
  publisher_sqlite::Journal journal_;
  std::optional<publisher_sqlite::StoreVault> vault_;
  std::optional<publisher_sqlite::Writer> writer_;
  publisher_sqlite::Writer::Clock::time_point now_;
};

}  // namespace mqloop::sim
