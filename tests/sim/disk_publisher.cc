#include "tests/sim/disk_publisher.h"

#include "core/store/reader.h"

namespace mqloop::sim {

namespace {

constexpr const char* kFile = "mqloop.db";
constexpr std::size_t kBacklog = 1024 * 1024;

}  // namespace

// The writer takes some times from its own clock, which the simulation does not move: its turns are far ahead of it.
DiskPublisher::DiskPublisher(const store_test::SimulatedDisk& disk, const Clock& clock, std::uint32_t checkpoint_frames)
    : clock_(clock),
      options_{.synchronous = store::Synchronous::kFull, .vfs = disk.name()},
      ledger_(HashSeed{1, 2}),
      journal_(kBacklog),
      now_(publisher_sqlite::Writer::Clock::now() + std::chrono::hours(24)) {
  writer_options_.checkpoint_frames = checkpoint_frames;
  writer_options_.checkpoint_idle = std::chrono::hours(24 * 365);  // else each turn would end in one
}

Status DiskPublisher::say(const store::Outcome& outcome) {
  if (outcome.ok()) return ok();
  trouble_ = outcome.text();
  return {StatusCode::kUnavailable, trouble_};
}

Status DiskPublisher::open(Log& log) {
  log_ = &log;
  store::Outcome outcome = store_.open(kFile, options_);
  if (outcome.ok()) outcome = store_.quick_check();
  if (outcome.ok()) outcome = store_.progress(progress_);
  return say(outcome);
}

Status DiskPublisher::recover(Recovery& recovery) {
  store::ReaderOptions options;
  options.now = clock_.wall_now();
  store::Recovered recovered;
  store::Outcome outcome = store::read_all(store_, recovery, options, recovered);
  if (recovered.counts.bad_rows != 0) outcome = {store::Cause::kCorrupt, "a row that no broker writes"};
  if (outcome.ok()) outcome = store::tidy(store_, recovered);
  if (!outcome.ok()) return say(outcome);
  progress_ = recovered.progress;
  ledger_.adopt(recovered);
  return ok();
}

std::unique_ptr<PublisherShard> DiskPublisher::make_shard(ReactorApi& reactor, PublishSink& sink) {
  if (!writer_) {
    vault_.emplace(store_, kFile, options_);
    writer_.emplace(writer_options_, progress_, *vault_, ledger_, journal_, notices_, *log_);
  }
  return std::make_unique<publisher_sqlite::SqliteShard>(rules_, journal_, notices_, reactor, sink);
}

bool DiskPublisher::round(bool passes) {
  const std::uint64_t commits = writer_->figures().commits.get();
  if (passes) now_ += std::chrono::seconds(2);
  writer_->round(now_);
  return writer_->figures().commits.get() != commits;
}

}  // namespace mqloop::sim
