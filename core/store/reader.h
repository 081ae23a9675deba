// Streams a database into the broker's Recovery, at the start and before anything else writes. Memory: the messages
// themselves, once each, and 24 bytes for each of them; all else is read row by row.
//
// Rows are not believed: what the broker could not have written (a topic that is none, properties that are none, a
// delivery whose message is not there) is left out and counted.
// What has expired by the wall clock is left out as well. That clock may have jumped: time is never before the moment
// at which the broker is known to have lived last, what is left of an interval is never more than the interval, and
// what lies in the future counts as just now. Of a session whose client had gone, the Will Delay Interval that is given
// is what is left of it; one that has expired and still has a will is given nevertheless, with nothing remaining.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
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

struct DeliveryKey {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
};
struct SharedDeliveryKey {
  std::string group;
  std::uint64_t message = 0;
};

// What the publisher has to know after a recovery, besides what the broker was given.
struct Recovered {
  Progress progress;                        // of the earlier run; batch 0: there was none
  std::vector<MessageReferences> messages;  // by number
  bool ended_left = false;                  // Store::sweep_ended() has something to do
  // What the broker was not told of and must not find again; tidy() removes it.
  std::vector<std::uint64_t> dead_sessions;
  std::vector<DeliveryKey> dead_deliveries;
  std::vector<SharedDeliveryKey> dead_shared_deliveries;
  std::vector<std::string> dead_retained;
  ReadCounts counts;
};

struct ReaderOptions {
  WallTime now{};
  // Called now and then with rows read and rows in all.
  std::function<void(std::uint64_t done, std::uint64_t all)> progress;
};

// `store` is open; nothing is written. A fault ends the reading in the middle: the Recovery has had a part then.
Outcome read_all(Store& store, Recovery& recovery, const ReaderOptions& options, Recovered& out);

// After read_all(): removes what is dead, and messages that nobody wants, from the store and from `recovered`; in
// several transactions, each of which may be the last.
Outcome tidy(Store& store, Recovered& recovered);

}  // namespace mqloop::store
