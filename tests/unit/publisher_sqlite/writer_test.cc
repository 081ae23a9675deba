#include "plugins/publisher_sqlite/writer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "tests/unit/publisher_sqlite/fake_reactor.h"
#include "tests/unit/publisher_sqlite/fake_vault.h"
#include "tests/unit/publisher_sqlite/script.h"

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;
using mqloop::store::Cause;

// Round by round on the test's own thread and clock.
TEST_GROUP(Writer) {
  Journal journal{1024 * 1024};
  Notices notices;
  FakeReactor reactor{0};
  FakeVault vault;
  Ledger ledger{HashSeed{1, 2}};
  WriterOptions options;
  std::optional<Writer> writer;
  Writer::Clock::time_point now = Writer::Clock::now();
  std::uint64_t turn = 0;

  struct Ear final : Notices::Reader {
    void read(const Notices& notices) noexcept override {
      complete = notices.complete_through(0);
      trouble = notices.trouble();
    }
    std::uint64_t complete = 0;
    ReasonCode trouble = ReasonCode::kSuccess;
  } ear;

  void setup() override { notices.enter(reactor, ear); }
  void round() {
    if (!writer) writer.emplace(options, store::Progress{}, vault, ledger, journal, notices, reactor.lines);
    writer->round(now);
    reactor.read_mail();
  }
  // One message for session 5, in a turn of its own; its client is away unless there is a packet identifier.
  void publish(bool waits = true, std::uint16_t packet_id = 0) {
    ++turn;
    const Ref<const Message> m = message(turn * 64);
    Script script(0);
    script.source(turn, targets({0})).block(0, turn, {{5, turn, m.get(), packet_id}}).flush(turn, waits);
    CHECK_FALSE(journal.post(std::move(script.parcel)));
  }
  void acknowledge(std::uint64_t delivery) {
    const Ref<const Message> m = message(delivery * 64);
    Script script(0);
    script.acknowledged({5, delivery, m.get(), 1});
    CHECK_FALSE(journal.post(std::move(script.parcel)));
  }
  [[nodiscard]] std::size_t deliveries() const { return vault.database.committed.deliveries.size(); }
  [[nodiscard]] bool called(const char* what) const {
    return std::find(vault.calls.begin(), vault.calls.end(), what) != vault.calls.end();
  }
  [[nodiscard]] std::size_t logged(const char* part) const {
    const std::vector<std::string> lines = reactor.lines.lines();
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }
};

TEST(Writer, everything_that_waits_goes_into_one_batch) {
  for (int i = 0; i != 5; ++i) publish();
  round();
  CHECK_EQUAL(1U, vault.batches);
  CHECK_EQUAL(5U, deliveries());
  CHECK_EQUAL(5U, ear.complete);
  CHECK_EQUAL(1U, vault.database.committed.progress.batch);
}

TEST(Writer, nothing_is_complete_when_the_commit_fails) {
  vault.commits = {Cause::kFull};
  publish();
  round();
  CHECK_EQUAL(0U, ear.complete);
  CHECK_TRUE(ear.trouble == ReasonCode::kQuotaExceeded);
  CHECK_EQUAL(0U, deliveries());
  CHECK_EQUAL(1U, logged("degraded"));
}

TEST(Writer, batch_that_failed_is_tried_again_with_what_has_come_meanwhile) {
  vault.begins = {Cause::kIo};
  publish();
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kImplementationSpecificError);
  publish();
  round();
  CHECK_EQUAL(0U, vault.batches);  // not at once
  now += 10s;
  round();
  CHECK_EQUAL(1U, vault.batches);
  CHECK_EQUAL(2U, deliveries());
  CHECK_EQUAL(2U, ear.complete);
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
  CHECK_EQUAL(1U, logged("recovered"));
}

TEST(Writer, trouble_that_lasts_is_logged_once) {
  vault.commits = {Cause::kFull, Cause::kFull, Cause::kFull, Cause::kFull};
  publish();
  for (int i = 0; i != 4; ++i) {
    round();
    now += 10s;
  }
  CHECK_EQUAL(1U, logged("degraded"));
  CHECK_EQUAL(0U, ear.complete);
  round();
  CHECK_EQUAL(1U, ear.complete);
}

TEST(Writer, trouble_ends_also_when_nobody_wants_anything_any_more) {
  vault.commits = {Cause::kFull};
  publish();
  round();
  acknowledge(1);
  round();
  CHECK_EQUAL(1U, ear.complete);  // whoever was to have it has it
  CHECK_FALSE(ear.trouble == ReasonCode::kSuccess);
  now += 10s;
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
}

TEST(Writer, lock_of_somebody_else_is_no_trouble_until_it_lasts) {
  vault.begins = {Cause::kBusy, Cause::kBusy};
  publish();
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
  CHECK_EQUAL(0U, ear.complete);
  for (int i = 0; i != 2; ++i) {
    now += 1s;
    round();
  }
  CHECK_EQUAL(1U, ear.complete);
  CHECK_EQUAL(0U, logged("degraded"));
}

TEST(Writer, lock_of_somebody_else_that_lasts_is_trouble) {
  options.busy_patience = 0ms;
  vault.begins = {Cause::kBusy};
  publish();
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kImplementationSpecificError);
  now += 10s;
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
  CHECK_EQUAL(1U, ear.complete);
}

// ---- a failed sync -------------------------------------------------------------------------------------------------

TEST(Writer, after_a_failed_sync_the_file_is_opened_looked_over_and_synced_before_anything_is_complete) {
  vault.commits = {Cause::kSync};
  vault.failed_commit_is_in_the_file = true;
  publish();
  round();
  CHECK_EQUAL(0U, ear.complete);
  CHECK_FALSE(vault.is_open);
  publish();  // is not taken: who knows what it would be added to
  round();
  CHECK_EQUAL(1U, journal.parcels());
  now += 10s;
  round();
  const std::vector<std::string> wanted{"commit fails", "close", "reopen", "check", "truncate"};
  CHECK_TRUE(std::equal(wanted.begin(), wanted.end(), vault.calls.begin()));
  CHECK_EQUAL(2U, ear.complete);
  CHECK_EQUAL(2U, deliveries());
  CHECK_EQUAL(2U, vault.database.committed.progress.batch);
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
}

TEST(Writer, batch_that_is_not_in_the_file_after_a_failed_sync_is_written_again) {
  vault.commits = {Cause::kSync};
  publish();
  round();
  now += 10s;
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_EQUAL(1U, deliveries());
  CHECK_EQUAL(1U, vault.database.committed.progress.batch);
}

TEST(Writer, batch_in_the_file_is_not_complete_before_the_file_is_synced) {
  vault.commits = {Cause::kSync};
  vault.failed_commit_is_in_the_file = true;
  vault.checkpoints = {Cause::kSync, Cause::kSync};
  publish();
  round();
  for (int i = 0; i != 2; ++i) {
    now += 10s;
    round();
    CHECK_EQUAL(0U, ear.complete);
    CHECK_FALSE(vault.is_open);
  }
  now += 10s;
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_EQUAL(1U, deliveries());
}

TEST(Writer, delivery_that_was_in_an_uncertain_batch_and_is_acknowledged_goes_from_the_file) {
  vault.commits = {Cause::kSync};
  vault.failed_commit_is_in_the_file = true;
  publish();
  round();
  acknowledge(1);
  now += 10s;
  round();
  now += 10s;
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_EQUAL(0U, deliveries());
  CHECK_EQUAL(0U, vault.database.committed.messages.size());
}

TEST(Writer, failed_checkpoint_is_trouble_too) {
  publish();
  round();
  vault.frames = 100000;
  vault.checkpoints = {Cause::kSync};
  publish();
  round();
  CHECK_EQUAL(2U, ear.complete);
  CHECK_FALSE(ear.trouble == ReasonCode::kSuccess);
  CHECK_FALSE(vault.is_open);
  publish();
  now += 10s;
  round();
  CHECK_EQUAL(3U, ear.complete);
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
}

TEST(Writer, fault_that_waiting_does_not_mend_has_the_file_opened_anew) {
  options.last_retry = 500ms;
  vault.begins = {Cause::kReadOnly, Cause::kReadOnly};
  publish();
  round();
  now += 10s;
  round();
  CHECK_FALSE(vault.is_open);
  now += 10s;
  round();
  CHECK_TRUE(called("reopen"));
  CHECK_EQUAL(1U, ear.complete);
}

TEST(Writer, damage_found_on_the_way_keeps_everything_waiting) {
  vault.commits = {Cause::kSync};
  vault.checks = {Cause::kCorrupt};
  publish();
  round();
  now += 10s;
  round();
  CHECK_EQUAL(0U, ear.complete);
  CHECK_TRUE(ear.trouble == ReasonCode::kImplementationSpecificError);
}

TEST(Writer, file_that_has_lost_a_batch_is_not_taken_for_the_right_one) {
  publish();
  round();
  vault.commits = {Cause::kSync};
  publish();
  round();
  vault.database.committed = FakeDatabase();  // somebody has put another one in its place
  now += 10s;
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_FALSE(ear.trouble == ReasonCode::kSuccess);
  CHECK_FALSE(vault.is_open);
}

TEST(Writer, reactors_hear_of_room_when_the_batch_is_written) {
  const Ref<const Message> large = message(64, std::string(1024 * 1024, 'x'));
  Script script(0);
  script.source(1, targets({0})).block(0, 1, {{5, 1, large.get()}}).flush(1);
  CHECK_TRUE(journal.post(std::move(script.parcel)));
  CHECK_TRUE(journal.is_full());
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_FALSE(journal.is_full());
}

// ---- space and time ------------------------------------------------------------------------------------------------

TEST(Writer, below_the_floor_of_free_space_nothing_more_is_accepted_and_what_was_is_written) {
  options.min_free_space = 1000;
  vault.room.free_bytes = 999;
  publish();
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kQuotaExceeded);
  CHECK_EQUAL(1U, ear.complete);
  vault.room.free_bytes = 1001;  // a little more is not enough
  now += 10s;
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kQuotaExceeded);
  vault.room.free_bytes = 2000;
  now += 10s;
  round();
  CHECK_TRUE(ear.trouble == ReasonCode::kSuccess);
}

TEST(Writer, what_nobody_waits_for_is_written_after_a_while) {
  publish(/*waits=*/false);
  round();
  CHECK_EQUAL(1U, ear.complete);
  CHECK_EQUAL(0U, deliveries());
  now += options.ride_along;
  round();
  CHECK_EQUAL(1U, deliveries());
}

TEST(Writer, log_is_checkpointed_when_it_is_long_and_when_there_is_time) {
  publish();
  round();
  CHECK_FALSE(called("checkpoint"));
  now += 10s;
  round();
  CHECK_TRUE(called("checkpoint"));
  vault.calls.clear();
  vault.frames = 4000;
  publish();
  round();
  CHECK_TRUE(called("checkpoint"));
}

// ---- patience ------------------------------------------------------------------------------------------------------

TEST(Writer, batch_that_acknowledgements_may_spare_waits_a_moment) {
  publish(true, /*packet_id=*/1);
  publish(true, /*packet_id=*/1);
  round();
  CHECK_EQUAL(0U, vault.batches);
  CHECK_EQUAL(0U, ear.complete);
  acknowledge(1);
  round();
  CHECK_EQUAL(1U, ear.complete);  // the other one still waits
  acknowledge(2);
  round();
  CHECK_EQUAL(2U, ear.complete);
  CHECK_EQUAL(0U, vault.batches);
}

TEST(Writer, batch_that_nobody_spares_is_written_after_a_moment) {
  publish(true, /*packet_id=*/1);
  round();
  now += 2500us;
  round();
  CHECK_EQUAL(1U, vault.batches);
  CHECK_EQUAL(1U, ear.complete);
}

TEST(Writer, batch_with_anything_that_has_to_be_written_waits_for_nothing) {
  publish(true, /*packet_id=*/1);
  publish();
  round();
  CHECK_EQUAL(1U, vault.batches);
  CHECK_EQUAL(2U, ear.complete);
}

TEST(Writer, moment_that_was_waited_in_vain_is_left_out_next_time) {
  publish(true, /*packet_id=*/1);
  round();
  now += 2500us;
  round();
  publish(true, /*packet_id=*/1);
  round();
  CHECK_EQUAL(2U, ear.complete);  // at once
  publish(true, /*packet_id=*/1);
  round();
  CHECK_EQUAL(2U, ear.complete);  // tried again
}

TEST(Writer, figures_tell_of_batches) {
  publish();
  publish();
  round();
  const WriterFigures& figures = writer->figures();
  CHECK_EQUAL(1U, figures.commits.get());
  CHECK_EQUAL(4U, figures.rows.get());
  CHECK_EQUAL(4U, figures.batch_rows.quantile(500));
  CHECK_EQUAL(2U, figures.kept_messages.get());
  CHECK_EQUAL(0U, figures.degraded.get());
}

TEST_GROUP(WriterFigures){};

TEST(WriterFigures, quantiles_are_within_an_eighth) {
  Histogram histogram;
  CHECK_EQUAL(0U, histogram.quantile(500));
  for (std::uint64_t i = 1; i <= 1000; ++i) histogram.add(i);
  CHECK_TRUE(histogram.quantile(500) >= 500 && histogram.quantile(500) <= 563);
  CHECK_TRUE(histogram.quantile(990) >= 990 && histogram.quantile(990) <= 1000);
  CHECK_EQUAL(1000U, histogram.most());
  CHECK_EQUAL(1000U, histogram.quantile(1000));
  histogram.add(~std::uint64_t{0});
  CHECK_EQUAL(~std::uint64_t{0}, histogram.most());
}
