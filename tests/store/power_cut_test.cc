#include <map>
#include <random>

#include "core/store/store.h"
#include "tests/store/rounds.h"
#include "tests/support/sample_store.h"
#include "tests/support/simulated_disk.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::first_seed;
using store_test::rounds;
using store_test::rows_of;
using store_test::SimulatedDisk;

namespace {

using Rows = std::set<std::string>;

// A writer that never stops writing until the power does, and what it was promised.
class Writer {
 public:
  Writer(SimulatedDisk& disk, Synchronous synchronous, std::uint64_t seed)
      : disk_(disk), random_(seed), options_{.synchronous = synchronous, .vfs = disk.name()} {
    states_[0] = {};
  }

  std::mt19937_64& random() { return random_; }

  // Until the power goes, at an operation that the seed chooses. What was committed and what may have been is noted.
  void write() {
    disk_.plan(SimulatedDisk::Fault::kPowerCut, 1 + random_() % 400);
    Store store;
    if (!store.open("mqloop.db", options_).ok()) return;
    while (!disk_.has_struck()) {
      if (!batch(store).ok()) break;
      committed_ = batch_;
      const unsigned next = random_() % 12;
      if (next == 0) (void)store.checkpoint(CheckpointKind::kTruncate);
      if (next <= 2) (void)store.checkpoint(CheckpointKind::kPassive);
      if (next == 3) (void)store.incremental_vacuum(3);
    }
  }

  // With the power back: empty when everything promised is there.
  std::string look(bool may_lose, std::uint64_t& lost) {
    Store store;
    Outcome outcome = store.open("mqloop.db", options_);
    if (outcome.ok()) outcome = store.quick_check();
    Progress progress;
    if (outcome.ok()) outcome = store.progress(progress);
    if (!outcome.ok()) return outcome.text();
    const std::string found = "batch " + std::to_string(progress.batch) + " of " + std::to_string(committed_);
    if (!states_.contains(progress.batch)) return found + ", which never was";
    if (rows_of(store) != states_[progress.batch]) return found + ", but not its rows";
    if (progress.batch < committed_) {
      if (!may_lose) return found;
      ++lost;
    }
    // What comes after builds on what is there.
    batch_ = committed_ = progress.batch;
    return {};
  }

 private:
  Outcome batch(Store& store) {
    Outcome outcome = store.begin();
    const std::uint64_t changes = 1 + random_() % 8;
    for (std::uint64_t i = 0; outcome.ok() && i < changes; ++i) outcome = change(store);
    Progress progress;
    progress.batch = batch_ + 1;
    if (outcome.ok()) outcome = store.set_progress(progress);
    if (!outcome.ok()) return outcome;
    states_[++batch_] = rows_of(store);
    return store.commit();
  }

  Outcome change(Store& store) {
    const std::uint64_t number = 1 + random_() % 40;
    const std::string payload(random_() % 9 == 0 ? random_() % 9000 : random_() % 60,
                              static_cast<char>('a' + number % 26));
    MessageRow message;
    message.number = number;
    message.topic = "t";
    message.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    DeliveryRow delivery;
    delivery.session = 1 + number % 3;
    delivery.number = number;
    delivery.message = number;
    SessionRow session;
    session.number = number;
    session.client_id = payload;
    switch (random_() % 7) {
      case 0:
        return store.insert_message(message);
      case 1:
        return store.remove_message(number);
      case 2:
        return store.insert_delivery(delivery);
      case 3:
        return store.remove_delivery(delivery.session, number);
      case 4:
        return store.put_session(session);
      case 5:
        return store.put_retained({.message = message});
      default:
        return store.end_session(number);
    }
  }

  SimulatedDisk& disk_;
  std::mt19937_64 random_;
  DatabaseOptions options_;
  std::uint64_t batch_ = 0;
  std::uint64_t committed_ = 0;
  std::map<std::uint64_t, Rows> states_;
};

}  // namespace

TEST_GROUP(PowerCut) {
  SimulatedDisk disk;
  std::uint64_t lost = 0;

  void cut(Synchronous synchronous, std::uint64_t usual) {
    const std::uint64_t end = first_seed() + rounds(usual);
    for (std::uint64_t seed = first_seed(); seed < end; ++seed) {
      disk.wipe();
      Writer writer(disk, synchronous, seed);
      // It comes back and goes again: what an earlier cut left must not do harm later.
      const std::uint64_t cuts = 1 + writer.random()() % 3;
      for (std::uint64_t i = 0; i < cuts; ++i) {
        writer.write();
        disk.power_cycle(writer.random());
        const std::string fault = writer.look(synchronous == Synchronous::kNormal, lost);
        if (!fault.empty())
          FAIL(("seed " + std::to_string(seed) + ", cut " + std::to_string(i + 1) + ": " + fault).c_str());
      }
    }
  }
};

TEST(PowerCut, full_loses_nothing_that_was_committed) {
  cut(Synchronous::kFull, 2000);
  LONGS_EQUAL(0, lost);
}

// Else the rig proves nothing.
TEST(PowerCut, normal_is_seen_to_lose_and_what_is_left_is_whole) {
  cut(Synchronous::kNormal, 500);
  if (rounds(500) >= 100) CHECK(lost > 0);
}
