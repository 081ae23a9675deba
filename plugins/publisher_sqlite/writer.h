// Writer: the one thread that writes to the database. It takes whatever waits in the journal, writes it in one
// transaction, says what is complete, and begins again: while a commit waits for the disk the next batch gathers by
// itself, so nothing is delayed to make batches larger. Only a batch that may turn out not to be needed waits a moment
// for that (patience.h).
//
//   state       what is true                                  leaves it when
//   well        the last commit succeeded                     something fails
//   failing     a batch was rolled back; it is kept, and      a commit succeeds
//               what comes is added to it
//   uncertain   a sync failed: the batch may be in the file   it was opened again, looked over, and all of it was
//               or not. Nothing more is taken, nothing is     synced: then the number of the last batch tells
//               complete
// Failing or uncertain is trouble, and the reactors are told so; they are too while the file system has less space left
// than the floor, with which it goes on writing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include <mqloop/log.h>
#include <mqloop/reason_code.h>

#include "plugins/publisher_sqlite/figures.h"
#include "plugins/publisher_sqlite/journal.h"
#include "plugins/publisher_sqlite/ledger.h"
#include "plugins/publisher_sqlite/notices.h"
#include "plugins/publisher_sqlite/patience.h"
#include "plugins/publisher_sqlite/vault.h"

namespace mqloop::publisher_sqlite {

struct WriterOptions {
  // What nobody waits for is written with the next batch, or after this time.
  std::chrono::milliseconds ride_along{500};
  std::uint64_t min_free_space = 0;
  std::chrono::milliseconds first_retry{250};
  std::chrono::milliseconds last_retry{2000};
  // A lock of somebody else is trouble when it lasts longer.
  std::chrono::milliseconds busy_patience{1000};
  std::uint32_t checkpoint_frames = 4000;
  std::chrono::milliseconds checkpoint_idle{1000};
};

class Writer {
 public:
  using Clock = std::chrono::steady_clock;

  // `progress`: of the last batch in the database. All of it outlives the writer.
  Writer(const WriterOptions& options, const store::Progress& progress, Vault& vault, Ledger& ledger, Journal& journal,
         Notices& notices, Log& log);
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void start();
  // Writes what it can of what was posted, notes that all ended in order, and ends.
  void stop();

  // One pass, for a test that has no thread: as if time were `now`, without waiting for anything.
  void round(Clock::time_point now);

  [[nodiscard]] const WriterFigures& figures() const noexcept { return figures_; }

 private:
  enum class State : std::uint8_t { kWell, kFailing, kUncertain };
  using Outcome = store::Outcome;

  void run();
  void pass(Clock::time_point now);
  [[nodiscard]] Journal::Deadline next_wake(Clock::time_point now);
  void take_and_feed(Journal::Deadline deadline);
  void feed(Clock::time_point now);
  void write_due(Clock::time_point now);
  [[nodiscard]] bool is_due(Clock::time_point now);
  bool write_batch(bool clean);
  Outcome fill_transaction(bool clean);
  void batch_is_written(Clock::duration took);
  void reconcile(Clock::time_point now);
  Outcome look_over(bool& is_there);
  void tell();
  void rest(Clock::time_point now);
  void checkpoint(Clock::time_point now, store::CheckpointKind kind);
  void look_at_space(Clock::time_point now);
  void finish();

  void failed(const Outcome& outcome, State state, Clock::time_point now, std::string_view doing);
  void recovered();
  void say_trouble();
  void note_figures();

  const WriterOptions options_;
  store::Progress progress_;  // of the last batch that is in the database
  Vault& vault_;
  Ledger& ledger_;
  Journal& journal_;
  Notices& notices_;
  Log& log_;
  std::thread thread_;
  WriterFigures figures_;
  Patience patience_;
  std::uint64_t elided_before_ = 0;  // when the last batch was written

  Journal::Parcels parcels_;
  State state_ = State::kWell;
  bool is_batch_uncertain_ = false;
  ReasonCode cause_ = ReasonCode::kSuccess;
  ReasonCode said_ = ReasonCode::kSuccess;
  bool is_space_low_ = false;
  bool has_logged_ = false;
  std::chrono::milliseconds retry_{0};
  Clock::time_point next_try_{};
  Clock::time_point busy_since_{};
  bool is_busy_ = false;
  bool has_changes_ = false;
  Clock::time_point changes_since_{};
  Clock::time_point last_commit_{};
  Clock::time_point space_looked_at_{};
  std::uint32_t checkpointed_at_ = 0;  // frames that were there after the last checkpoint
  bool may_vacuum_ = true;
};

}  // namespace mqloop::publisher_sqlite
