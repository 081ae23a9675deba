#include "plugins/publisher_sqlite/writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/failpoint.h"

namespace mqloop::publisher_sqlite {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kLookAtSpace{1000};
constexpr milliseconds kSweepPause{10};
constexpr milliseconds kLetGo{100};
constexpr std::uint32_t kVacuumPages = 256;  // at a time

std::string_view words(store::Cause cause) noexcept { return store::name_of(cause); }

}  // namespace

Writer::Writer(const WriterOptions& options, const store::Progress& progress, Vault& vault, Ledger& ledger,
               Journal& journal, Notices& notices, Log& log)
    : options_(options),
      progress_(progress),
      vault_(vault),
      ledger_(ledger),
      journal_(journal),
      notices_(notices),
      log_(log) {
  progress_.clean = false;
}

void Writer::start() {
  thread_ = std::thread([this] { run(); });
}

void Writer::stop() {
  journal_.stop();
  if (thread_.joinable()) thread_.join();
}

void Writer::run() {
  look_at_space(Clock::now());
  while (!journal_.is_stopping()) {
    const Clock::time_point now = Clock::now();
    if (state_ == State::kUncertain) {
      journal_.sleep(next_try_);
      reconcile(Clock::now());
      continue;
    }
    take_and_feed(next_wake(now));
    pass(Clock::now());
  }
  finish();
}

void Writer::round(Clock::time_point now) {
  if (state_ == State::kUncertain && now >= next_try_) reconcile(now);
  if (state_ == State::kUncertain) return;
  journal_.take(parcels_, Clock::time_point{});
  feed(now);
  pass(now);
}

void Writer::pass(Clock::time_point now) {
  if (now - space_looked_at_ >= kLookAtSpace) look_at_space(now);
  write_due(now);
  tell();
  rest(now);
  note_figures();
}

void Writer::take_and_feed(Journal::Deadline deadline) {
  journal_.take(parcels_, deadline);
  feed(Clock::now());
}

void Writer::feed(Clock::time_point now) {
  if (parcels_.empty()) ledger_.discarded().clear();  // no reactor does anything that this could disturb
  if (!parcels_.empty()) MQLOOP_FAILPOINT("batch_taken");
  for (const std::unique_ptr<Parcel>& parcel : parcels_) ledger_.feed(*parcel, now);
  if (journal_.give_back(parcels_, ledger_.bytes())) notices_.call(Notices::kEverybody);
}

Journal::Deadline Writer::next_wake(Clock::time_point now) {
  if (state_ == State::kFailing) return next_try_;
  Journal::Deadline wake;
  const auto at = [&wake](Clock::time_point when) {
    if (!wake || when < *wake) wake = when;
  };
  if (ledger_.hopes() != 0) at(ledger_.waiting_since() + patience_.time());
  if (has_changes_) at(changes_since_ + (ledger_.is_sweeping() ? kSweepPause : options_.ride_along));
  if (vault_.wal_frames() > checkpointed_at_ || may_vacuum_) at(last_commit_ + options_.checkpoint_idle);
  if (is_space_low_) at(now + kLookAtSpace);
  if (!ledger_.discarded().empty()) at(now + kLetGo);
  return wake;
}

// ---- a batch -------------------------------------------------------------------------------------------------------

bool Writer::is_due(Clock::time_point now) {
  if (state_ == State::kFailing) return now >= next_try_;
  if (ledger_.must_write() && !ledger_.may_hope()) return true;
  if (ledger_.must_write() && now - ledger_.waiting_since() >= patience_.time()) return true;
  if (!has_changes_) return false;
  const milliseconds pause = ledger_.is_sweeping() && journal_.parcels() == 0 ? kSweepPause : options_.ride_along;
  return now - changes_since_ >= pause;
}

void Writer::write_due(Clock::time_point now) {
  if (!ledger_.has_changes()) {
    has_changes_ = false;
  } else if (!std::exchange(has_changes_, true)) {
    changes_since_ = now;
  }
  if (is_due(now)) write_batch(/*clean=*/false);
}

bool Writer::write_batch(bool clean) {
  const Clock::time_point begun = Clock::now();
  if (Outcome outcome = fill_transaction(clean); !outcome.ok()) {
    vault_.roll_back();
    ledger_.not_written();
    failed(outcome, outcome.cause() == store::Cause::kSync ? State::kUncertain : State::kFailing, begun, "write");
    return false;
  }
  MQLOOP_FAILPOINT("commit_before");
  if (Outcome outcome = vault_.commit(); !outcome.ok()) {
    is_batch_uncertain_ = outcome.cause() != store::Cause::kBusy && outcome.cause() != store::Cause::kFull;
    if (!is_batch_uncertain_) {
      vault_.roll_back();
      ledger_.not_written();
    }
    failed(outcome, is_batch_uncertain_ ? State::kUncertain : State::kFailing, begun, "commit");
    return false;
  }
  MQLOOP_FAILPOINT("commit_after");
  batch_is_written(Clock::now() - begun);
  if (state_ == State::kFailing) recovered();
  return true;
}

store::Outcome Writer::fill_transaction(bool clean) {
  if (Outcome outcome = vault_.begin(); !outcome.ok()) return outcome;
  store::Progress progress = progress_;
  ++progress.batch;
  progress.clean = clean;
  return ledger_.write(vault_.rows(), progress);
}

void Writer::batch_is_written(Clock::duration took) {
  const auto us = static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(took).count());
  const std::uint64_t before = ledger_.counts().rows;
  const std::uint64_t elided = ledger_.counts().elided;
  patience_.batch(us, ledger_.hopes(), elided - std::exchange(elided_before_, elided));
  figures_.commit_us.add(us);
  ++progress_.batch;
  ledger_.written();
  is_busy_ = false;
  last_commit_ = Clock::now();
  has_changes_ = ledger_.has_changes();
  changes_since_ = last_commit_;
  may_vacuum_ = true;
  figures_.commits.add(1);
  figures_.batch_rows.add(ledger_.counts().rows - before);
}

// ---- what the reactors hear ----------------------------------------------------------------------------------------

void Writer::tell() {
  if (state_ == State::kUncertain) return;
  std::uint64_t reactors = 0;
  ledger_.complete([&](std::uint32_t source, std::uint64_t number, std::uint64_t who) {
    notices_.set_complete(source, number);
    reactors |= who;
  });
  if (reactors != 0) {
    MQLOOP_FAILPOINT("post");
    notices_.call(reactors);
  }
  if (!ledger_.must_write()) journal_.settled();
}

void Writer::say_trouble() {
  ReasonCode now = ReasonCode::kSuccess;
  if (state_ != State::kWell) now = cause_;
  if (now == ReasonCode::kSuccess && is_space_low_) now = ReasonCode::kQuotaExceeded;
  figures_.degraded.set(now == ReasonCode::kSuccess ? 0 : 1);
  if (now == said_) return;
  said_ = now;
  notices_.set_trouble(now);
  notices_.call(Notices::kEverybody);
}

// ---- trouble -------------------------------------------------------------------------------------------------------

void Writer::failed(const Outcome& outcome, State state, Clock::time_point now, std::string_view doing) {
  figures_.failures.add(1);
  retry_ = retry_.count() == 0 ? options_.first_retry : std::min(retry_ * 2, options_.last_retry);
  next_try_ = Clock::now() + retry_;
  // What does not help by waiting may help by opening the file anew.
  const bool may_pass = outcome.cause() == store::Cause::kBusy || outcome.cause() == store::Cause::kFull;
  if (!may_pass && retry_ == options_.last_retry) state = State::kUncertain;
  if (state == State::kUncertain) vault_.close();
  state_ = state;
  if (outcome.cause() == store::Cause::kBusy) {
    if (!std::exchange(is_busy_, true)) busy_since_ = now;
    if (Clock::now() - busy_since_ < options_.busy_patience) {
      next_try_ = Clock::now();
      retry_ = milliseconds{0};
      return;
    }
  }
  cause_ =
      outcome.cause() == store::Cause::kFull ? ReasonCode::kQuotaExceeded : ReasonCode::kImplementationSpecificError;
  say_trouble();
  if (std::exchange(has_logged_, true)) return;
  log_.write(LogLevel::kError, "publisher_sqlite", "degraded: nothing can be made durable",
             {{"doing", doing}, {"cause", words(outcome.cause())}, {"fault", outcome.text()}});
}

void Writer::recovered() {
  state_ = State::kWell;
  cause_ = ReasonCode::kSuccess;
  retry_ = milliseconds{0};
  say_trouble();
  if (std::exchange(has_logged_, false)) {
    log_.write(LogLevel::kInfo, "publisher_sqlite", "recovered: messages are made durable again");
  }
}

// A sync has failed. What the kernel had in its cache may be gone, whatever it says now; so the file is opened anew,
// looked over, and everything in the log is written to the database and synced before anybody hears of it.
void Writer::reconcile(Clock::time_point now) {
  bool is_there = false;
  if (Outcome outcome = look_over(is_there); !outcome.ok()) {
    failed(outcome, State::kUncertain, now, "reopen");
    return;
  }
  if (std::exchange(is_batch_uncertain_, false)) {
    if (is_there) {
      batch_is_written({});
    } else {
      ledger_.not_written();
    }
  }
  // The next commit shows whether all is well.
  state_ = State::kFailing;
  next_try_ = now;
}

// `is_there`: a batch that is not known to be committed.
store::Outcome Writer::look_over(bool& is_there) {
  store::Progress found;
  Outcome outcome = vault_.reopen();
  if (outcome.ok()) outcome = vault_.quick_check();
  if (outcome.ok()) outcome = vault_.progress(found);
  if (outcome.ok()) outcome = vault_.checkpoint(store::CheckpointKind::kTruncate);
  if (outcome.ok()) checkpointed_at_ = vault_.wal_frames();
  is_there = outcome.ok() && found.batch > progress_.batch;
  return outcome;
}

void Writer::look_at_space(Clock::time_point now) {
  space_looked_at_ = now;
  if (state_ == State::kUncertain) return;
  const store::DatabaseSizes sizes = vault_.sizes();
  figures_.database_bytes.set(sizes.database_bytes);
  figures_.wal_bytes.set(sizes.wal_bytes);
  figures_.free_bytes.set(sizes.free_bytes);
  // Back only with an eighth more, so that it does not come and go.
  const std::uint64_t enough = options_.min_free_space + (is_space_low_ ? options_.min_free_space / 8 : 0);
  const bool is_low = sizes.free_bytes < enough;
  if (is_low == is_space_low_) return;
  is_space_low_ = is_low;
  say_trouble();
  if (is_low) {
    log_.write(LogLevel::kError, "publisher_sqlite", "degraded: too little free space",
               {{"free_bytes", std::to_string(sizes.free_bytes)},
                {"min_free_space", std::to_string(options_.min_free_space)}});
  } else {
    log_.write(LogLevel::kInfo, "publisher_sqlite", "recovered: there is free space again",
               {{"free_bytes", std::to_string(sizes.free_bytes)}});
  }
}

// ---- when there is time --------------------------------------------------------------------------------------------

void Writer::rest(Clock::time_point now) {
  if (state_ != State::kWell) return;
  const std::uint32_t frames = vault_.wal_frames();
  if (frames >= checkpointed_at_ + options_.checkpoint_frames) {
    checkpoint(now, store::CheckpointKind::kPassive);
    return;
  }
  if (journal_.parcels() != 0 || now - last_commit_ < options_.checkpoint_idle) return;
  if (frames > checkpointed_at_) {
    checkpoint(now, store::CheckpointKind::kPassive);
  } else if (may_vacuum_ && !ledger_.is_sweeping()) {
    may_vacuum_ = vault_.sizes().unused_bytes != 0 && vault_.incremental_vacuum(kVacuumPages).ok();
  }
}

void Writer::checkpoint(Clock::time_point now, store::CheckpointKind kind) {
  MQLOOP_FAILPOINT("checkpoint_before");
  Outcome outcome = vault_.checkpoint(kind);
  if (!outcome.ok() && outcome.cause() != store::Cause::kBusy) {
    failed(outcome, State::kUncertain, now, "checkpoint");
    return;
  }
  MQLOOP_FAILPOINT("checkpoint_after");
  figures_.checkpoints.add(1);
  // A reader in the way is no trouble; only the log grows until it has gone.
  checkpointed_at_ = vault_.wal_frames();
}

void Writer::finish() {
  if (state_ == State::kUncertain) reconcile(Clock::now());
  if (state_ == State::kUncertain) return;
  take_and_feed(Clock::now());
  if (write_batch(/*clean=*/true)) tell();
  if (state_ == State::kWell) checkpoint(Clock::now(), store::CheckpointKind::kTruncate);
  note_figures();
}

void Writer::note_figures() {
  const Ledger::Counts& counts = ledger_.counts();
  figures_.rows.set(counts.rows);
  figures_.elided.set(counts.elided);
  figures_.coalesced.set(ledger_.coalesced());
  figures_.acknowledged_not_durable.set(ledger_.acknowledged_early());
  figures_.gathering_turns.set(ledger_.gathering());
  figures_.kept_messages.set(ledger_.messages());
}

}  // namespace mqloop::publisher_sqlite
