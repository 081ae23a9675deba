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

// What a process that starts finds, it tells its clients: from then on it has to be there, whatever the process before
// had come to.
class Process {
 public:
  explicit Process(SimulatedDisk& disk) : options_{.vfs = disk.name()} {}
  ~Process() { store_.close(); }

  Outcome start() {
    Outcome outcome = store_.open("mqloop.db", options_);
    Progress progress;
    if (outcome.ok()) outcome = store_.progress(progress);
    batch_ = progress.batch;
    return outcome;
  }

  Outcome write(int batches) {
    Outcome outcome;
    for (int i = 0; outcome.ok() && i < batches; ++i) outcome = commit_one();
    return outcome;
  }

  Outcome checkpoint() { return store_.checkpoint(CheckpointKind::kPassive); }

  // Of the last batch that it has found or committed.
  [[nodiscard]] std::uint64_t batch() const { return batch_; }
  [[nodiscard]] std::set<std::string> rows() { return rows_of(store_); }

 private:
  Outcome commit_one() {
    const std::string payload(200 + 3000 * (batch_ % 3), 'p');
    Outcome outcome = store_.begin();
    MessageRow message;
    message.topic = "t";
    message.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    message.number = batch_ + 1;
    if (outcome.ok()) outcome = store_.insert_message(message);
    Progress progress;
    progress.batch = batch_ + 1;
    if (outcome.ok()) outcome = store_.set_progress(progress);
    if (outcome.ok()) outcome = store_.commit();
    if (outcome.ok()) ++batch_;
    return outcome;
  }

  DatabaseOptions options_;
  Store store_;
  std::uint64_t batch_ = 0;
};

}  // namespace

TEST_GROUP(Restart) {
  SimulatedDisk disk;

  Outcome first_life() {
    Process process(disk);
    Outcome outcome = process.start();
    if (outcome.ok()) outcome = process.write(2);
    if (outcome.ok()) outcome = process.checkpoint();
    if (outcome.ok()) outcome = process.write(3);
    return outcome;
  }

  // The first process gets as far as operation N, N = 1, 2, 3 ..., the second one starts and commits `batches` more,
  // and then the power goes.
  void end_at_each(Fault fault, int batches) {
    int ends = 0;
    for (std::uint64_t operation = 1;; ++operation) {
      disk.wipe();
      disk.plan(fault, operation);
      const Outcome end = first_life();
      if (!disk.has_struck()) break;
      if (end.ok()) continue;
      ++ends;
      disk.plan(Fault::kNone, 0);
      const std::string fault_text = power_goes_after(batches, operation);
      if (!fault_text.empty()) FAIL(("operation " + std::to_string(operation) + ": " + fault_text).c_str());
    }
    CHECK(ends > 20);
  }

  std::string power_goes_after(int batches, std::uint64_t seed) {
    std::uint64_t told = 0;
    std::set<std::string> rows;
    {
      Process second(disk);
      Outcome outcome = second.start();
      if (outcome.ok()) outcome = second.write(batches);
      if (!outcome.ok()) return outcome.text();
      told = second.batch();
      rows = second.rows();
    }
    std::mt19937_64 random(seed);
    disk.power_cycle(random);
    Process third(disk);
    if (Outcome outcome = third.start(); !outcome.ok()) return outcome.text();
    if (third.batch() != told) return "batch " + std::to_string(third.batch()) + " of " + std::to_string(told);
    return third.rows() == rows ? "" : "not its rows";
  }
};

// The log may hold a whole transaction that was written and not yet synced.
TEST(Restart, what_is_found_after_a_kill_is_there_when_the_power_goes) { end_at_each(Fault::kPowerCut, 0); }

TEST(Restart, what_is_committed_after_a_kill_is_there_when_the_power_goes) { end_at_each(Fault::kPowerCut, 2); }

// The system's cache holds what the disk does not, and takes it for written.
TEST(Restart, what_is_found_after_a_failed_operation_is_there_when_the_power_goes) { end_at_each(Fault::kOnce, 0); }

TEST(Restart, what_is_committed_after_a_failed_operation_is_there_when_the_power_goes) { end_at_each(Fault::kOnce, 2); }
