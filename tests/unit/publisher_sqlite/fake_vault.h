// A vault over a database of maps that fails when it is told to. What a failed sync leaves is the test's choice: the
// batch is in the file, or it is not.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "plugins/publisher_sqlite/vault.h"
#include "tests/unit/publisher_sqlite/fake_rows.h"

namespace mqloop::publisher_sqlite_test {

class FakeVault final : public publisher_sqlite::Vault {
 public:
  FakeRows database;
  // What the next calls answer; when there is nothing more, they succeed.
  std::deque<store::Cause> begins;
  std::deque<store::Cause> commits;
  std::deque<store::Cause> reopens;
  std::deque<store::Cause> checks;
  std::deque<store::Cause> checkpoints;
  bool failed_commit_is_in_the_file = false;
  std::vector<std::string> calls;  // less those of every batch that goes well
  std::uint64_t batches = 0;
  std::uint32_t frames = 0;
  store::DatabaseSizes room{.database_bytes = 1, .unused_bytes = 0, .wal_bytes = 0, .free_bytes = 1'000'000};
  bool is_open = true;

  Outcome begin() override {
    database.begin();
    return next("begin", begins);
  }
  Outcome commit() override {
    Outcome outcome = next("commit", commits);
    if (outcome.ok()) {
      database.commit();
      ++batches;
      frames += 10;
    } else if (failed_commit_is_in_the_file) {
      database.commit();
    }
    return outcome;
  }
  void roll_back() noexcept override { database.roll_back(); }
  [[nodiscard]] publisher_sqlite::Rows& rows() noexcept override { return database; }
  void close() noexcept override {
    is_open = false;
    database.roll_back();
    calls.emplace_back("close");
  }
  Outcome reopen() override {
    Outcome outcome = next("reopen", reopens, /*tell=*/true);
    is_open = outcome.ok();
    return outcome;
  }
  Outcome quick_check() override { return next("check", checks, /*tell=*/true); }
  Outcome progress(store::Progress& out) override {
    out = database.committed.progress;
    return {};
  }
  Outcome checkpoint(store::CheckpointKind kind) override {
    Outcome outcome =
        next(kind == store::CheckpointKind::kTruncate ? "truncate" : "checkpoint", checkpoints, /*tell=*/true);
    if (outcome.ok()) frames = 0;
    return outcome;
  }
  Outcome incremental_vacuum(std::uint32_t) override { return {}; }
  [[nodiscard]] std::uint32_t wal_frames() const noexcept override { return frames; }
  [[nodiscard]] store::DatabaseSizes sizes() noexcept override { return room; }

 private:
  Outcome next(const char* call, std::deque<store::Cause>& answers, bool tell = false) {
    if (answers.empty() || answers.front() == store::Cause::kNone) {
      if (!answers.empty()) answers.pop_front();
      if (tell) calls.emplace_back(call);
      return {};
    }
    const store::Cause cause = answers.front();
    answers.pop_front();
    calls.push_back(std::string(call) + " fails");
    return {cause, "as the test wants"};
  }
};

}  // namespace mqloop::publisher_sqlite_test
