// Opening a database that may be damaged. One that is, is moved aside (NAME.corrupt-TIME, with its log) and never
// touched again; what its pages still hold is read page by page, without SQLite and without believing anything that
// they say, and becomes a new database under the old name.
//
// Only damage is treated so. A database of another program, of a later mqloop, of another user or on a full or failing
// disk is left alone, and the Outcome says what it is.
#pragma once

#include <cstdint>
#include <string>

#include <mqloop/clock.h>

#include "core/store/store.h"

namespace mqloop::store {

enum class OnCorrupt : std::uint8_t { kQuarantine, kRefuse };

struct SalvageCounts {
  std::uint64_t sessions = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t messages = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t received = 0;
  std::uint64_t shared_deliveries = 0;
  std::uint64_t retained = 0;
  std::uint64_t bad_pages = 0;  // that hold something, and not what they should
  std::uint64_t dropped = 0;    // rows that were read and are of no use: a delivery whose message is gone, and the like
};

struct SalvageReport {
  bool damaged = false;
  std::string quarantined;  // where the damaged file is now; empty: nothing was moved
  std::string fault;        // what was found
  SalvageCounts saved;
};

// Store::open() for a broker: looks the whole file over first. `now` names the file that is moved aside.
Outcome open_or_salvage(const std::string& path, const DatabaseOptions& options, OnCorrupt on_corrupt, WallTime now,
                        Store& store, SalvageReport& report);

}  // namespace mqloop::store
