// Streams a database into the broker's Recovery, at the start and before anything else writes. Memory: the messages
// themselves, once each, and 24 bytes for each of them; all else is read row by row.
//
// Rows are not believed: one that the broker could not have written (a topic that is none, properties that are none, a
// delivery without its message) is left out and counted. What has expired by the wall clock is left out as well; the
// clock may have jumped, so what is left of an expiry interval is never more than the interval, and what lies in the
// future counts as just now.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/publisher.h>

#include "core/store/store.h"

namespace mqloop::store {

// A row of `message`, and how many deliveries and groups name it: those of sessions that are ended and not swept yet
// are counted, expired ones too.
struct MessageReferences {
  std::uint64_t number = 0;
  std::uint32_t references = 0;  // 0: nobody wants it, the row is to be removed
};

// What has been read, and what of it was left out.
struct ReadCounts {
  std::uint64_t sessions = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t messages = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t received = 0;
  std::uint64_t group_messages = 0;
  std::uint64_t retained = 0;
  std::uint64_t expired_sessions = 0;
  std::uint64_t expired_messages = 0;
  std::uint64_t bad_rows = 0;
};

// A delivery or a group's share of a message that is not given to the broker: its message has expired or is no good.
struct DeadDelivery {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
};
struct DeadSharedDelivery {
  std::string group;
  std::uint64_t message = 0;
};

// What the publisher has to know and to do after a recovery, besides what the broker was given.
struct Recovered {
  Progress progress;                            // of the earlier run; batch 0: there was none
  std::vector<MessageReferences> messages;      // by number
  std::vector<std::uint64_t> expired_sessions;  // to be ended: the broker was not told of them
  std::vector<DeadDelivery> dead_deliveries;    // to be removed, each releases nothing but itself
  std::vector<DeadSharedDelivery> dead_shared_deliveries;
  std::vector<std::string> dead_retained;  // topics of retained messages to be cleared
  bool ended_left = false;                 // sweep_ended() has something to do
  ReadCounts counts;
};

struct ReaderOptions {
  WallTime now{};
  // Called now and then with rows read and rows in all.
  std::function<void(std::uint64_t done, std::uint64_t all)> progress;
};

// `store` is open; nothing is written. A fault ends the reading in the middle: the Recovery has had a part then.
Outcome read_all(Store& store, Recovery& recovery, const ReaderOptions& options, Recovered& out);

}  // namespace mqloop::store
