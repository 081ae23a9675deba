#include <map>
#include <random>

#include "core/store/store.h"
#include "tests/support/sample_store.h"
#include "tests/support/simulated_disk.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::rows_of;
using store_test::SimulatedDisk;
using Fault = SimulatedDisk::Fault;

namespace {

using Rows = std::set<std::string>;

// A short life of a store: it is made, written to, checkpointed, read, closed, opened again. What was committed is
// noted, and what may have been.
class Life {
 public:
  explicit Life(SimulatedDisk& disk) : options_{.vfs = disk.name()} { states_[0] = {}; }

  Outcome live() {
    Store store;
    Outcome outcome = store.open("mqloop.db", options_);
    for (int i = 0; outcome.ok() && i < 3; ++i) outcome = batch(store);
    if (outcome.ok()) outcome = store.checkpoint(CheckpointKind::kPassive);
    for (int i = 0; outcome.ok() && i < 2; ++i) outcome = batch(store);
    if (outcome.ok()) outcome = store.checkpoint(CheckpointKind::kTruncate);
    if (outcome.ok()) outcome = batch(store);
    if (outcome.ok()) outcome = store.incremental_vacuum(10);
    if (!outcome.ok()) store.roll_back();
    store.close();
    if (outcome.ok()) outcome = store.open("mqloop.db", options_);
    if (outcome.ok()) outcome = batch(store);
    if (!outcome.ok()) store.roll_back();
    return outcome;
  }

  // The trouble is over: empty when what was promised is there, and the next batch can be promised.
  std::string recover() {
    Store store;
    Outcome outcome = store.open("mqloop.db", options_);
    if (outcome.ok()) outcome = store.quick_check();
    Progress progress;
    if (outcome.ok()) outcome = store.progress(progress);
    if (!outcome.ok()) return outcome.text();
    const std::string found = "batch " + std::to_string(progress.batch) + " of " + std::to_string(committed_);
    if (progress.batch < committed_) return found;
    if (!states_.contains(progress.batch)) return found + ", which never was";
    if (rows_of(store) != states_[progress.batch]) return found + ", but not its rows";
    outcome = store.checkpoint(CheckpointKind::kTruncate);
    batch_ = committed_ = progress.batch;
    if (outcome.ok()) outcome = batch(store);
    return outcome.text();
  }

 private:
  Outcome batch(Store& store) {
    const std::string payload(300 + 2000 * (batch_ % 3), 'p');
    Outcome outcome = store.begin();
    MessageRow message;
    message.topic = "t";
    message.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    for (std::uint64_t i = 0; outcome.ok() && i < 5; ++i) {
      message.number = batch_ * 10 + i + 1;
      outcome = store.insert_message(message);
    }
    if (outcome.ok() && batch_ > 0) outcome = store.remove_message(batch_ * 10 - 8);
    Progress progress;
    progress.batch = batch_ + 1;
    if (outcome.ok()) outcome = store.set_progress(progress);
    if (!outcome.ok()) return outcome;
    states_[++batch_] = rows_of(store);
    outcome = store.commit();
    if (outcome.ok()) committed_ = batch_;
    return outcome;
  }

  DatabaseOptions options_;
  std::uint64_t batch_ = 0;
  std::uint64_t committed_ = 0;
  std::map<std::uint64_t, Rows> states_;
};

}  // namespace

TEST_GROUP(DiskFault) {
  SimulatedDisk disk;

  // Lets the N-th operation fail, N = 1, 2, 3 ... until none does any more.
  void fail_each(Fault fault, bool is_full, bool power_goes) {
    for (std::uint64_t operation = 1;; ++operation) {
      disk.wipe();
      Life life(disk);
      disk.plan(fault, operation, is_full);
      const Outcome outcome = life.live();
      const std::string where = "operation " + std::to_string(operation) + ": ";
      if (!disk.has_struck()) {
        STRCMP_EQUAL("", outcome.text().c_str());
        CHECK(operation > 100);
        return;
      }
      // SQLite may get over it by itself, but where it does not, the cause is one that can be acted on.
      if (!outcome.ok() && outcome.cause() == Cause::kCorrupt) FAIL((where + outcome.text()).c_str());
      if (is_full && !outcome.ok() && outcome.cause() != Cause::kFull) FAIL((where + outcome.text()).c_str());
      disk.plan(Fault::kNone, 0);
      std::mt19937_64 random(operation);
      if (power_goes) disk.power_cycle(random);
      const std::string after = life.recover();
      if (!after.empty()) FAIL((where + outcome.text() + "; then " + after).c_str());
    }
  }
};

// What a failed sync leaves in the cache is never taken for written, and the power may go at any moment of making it
// good.
TEST(DiskFault, power_may_go_while_a_failed_sync_is_made_good) {
  int syncs = 0;
  for (std::uint64_t operation = 1;; ++operation) {
    bool is_sync = true;
    for (std::uint64_t cut = 1; is_sync; ++cut) {
      disk.wipe();
      Life life(disk);
      disk.plan(Fault::kOnce, operation);
      const Outcome outcome = life.live();
      is_sync = outcome.cause() == Cause::kSync;
      if (!disk.has_struck()) {
        CHECK(syncs > 5);
        return;
      }
      if (!is_sync) break;
      syncs += cut == 1 ? 1 : 0;
      disk.plan(Fault::kPowerCut, cut);
      const std::string before = life.recover();
      const bool was_cut = disk.has_struck();
      std::mt19937_64 random(operation * 1000 + cut);
      disk.power_cycle(random);
      const std::string after = life.recover();
      const std::string where = "operation " + std::to_string(operation) + ", cut " + std::to_string(cut) + ": ";
      if (!was_cut && !before.empty()) FAIL((where + before).c_str());
      if (!after.empty()) FAIL((where + after).c_str());
      if (!was_cut) break;
    }
  }
}

// It has to be looked for: what the writer takes for not written it may never write, though it is there.
TEST(DiskFault, commit_is_in_the_log_although_the_index_cannot_grow) {
  disk.limit_index(1);
  const DatabaseOptions options{.vfs = disk.name()};
  const std::string payload(100'000, 'p');
  MessageRow message;
  message.topic = "t";
  message.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  Store store;
  STRCMP_EQUAL("", store.open("mqloop.db", options).text().c_str());
  Progress progress;
  Outcome outcome;
  while (outcome.ok()) {
    message.number = ++progress.batch;
    CHECK(progress.batch < 1000);
    STRCMP_EQUAL("", store.begin().text().c_str());
    STRCMP_EQUAL("", store.insert_message(message).text().c_str());
    STRCMP_EQUAL("", store.set_progress(progress).text().c_str());
    outcome = store.commit();
  }
  CHECK(outcome.cause() == Cause::kIo);
  store.close();
  disk.limit_index(SIZE_MAX);
  STRCMP_EQUAL("", store.open("mqloop.db", options).text().c_str());
  Progress found;
  STRCMP_EQUAL("", store.progress(found).text().c_str());
  LONGS_EQUAL(progress.batch, found.batch);
}

// Between the fault and the moment at which somebody acts on it nothing is built on the log either, by closing it.
TEST(DiskFault, power_may_go_after_a_failed_sync) {
  for (std::uint64_t operation = 1;; ++operation) {
    for (std::uint64_t cut = 1;; ++cut) {
      disk.wipe();
      Life life(disk);
      disk.plan(Fault::kOnce, operation);
      disk.then_cut_after(cut);
      const Outcome outcome = life.live();
      if (!disk.has_struck()) return;
      const bool was_cut = disk.is_cut();
      if (outcome.cause() != Cause::kSync || !was_cut) break;
      std::mt19937_64 random(operation * 1000 + cut);
      disk.power_cycle(random);
      const std::string after = life.recover();
      if (!after.empty()) {
        FAIL(("operation " + std::to_string(operation) + ", cut " + std::to_string(cut) + ": " + after).c_str());
      }
    }
  }
}

TEST(DiskFault, any_operation_may_fail_once) { fail_each(Fault::kOnce, false, false); }

TEST(DiskFault, any_operation_may_be_the_first_of_all_that_fail) { fail_each(Fault::kForGood, false, false); }

TEST(DiskFault, disk_may_be_full_from_any_write_on) { fail_each(Fault::kForGood, true, false); }

TEST(DiskFault, any_operation_may_fail_for_good_and_then_the_power) { fail_each(Fault::kForGood, false, true); }

TEST(DiskFault, disk_may_be_full_from_any_write_on_and_then_the_power_goes) { fail_each(Fault::kForGood, true, true); }
