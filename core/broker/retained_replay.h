// Sends the retained messages that match a new subscription (3.8.4), a slice a turn and only as fast as the client
// takes them: a filter that matches a million topics neither holds up the reactor nor overruns the session's queue.
// While the client is away a replay rests. Part of a Shard; its thread only.
//
// What is published meanwhile is neither lost nor sent twice: a replay sends the values that were visible when the
// subscription's route was in (their sequence is at most last_sequence), live delivery sends the later ones.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <mqloop/protocol.h>

#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"

namespace mqloop::broker {

class Session;
class Shard;

class RetainedReplays {
 public:
  explicit RetainedReplays(Shard& shard) : shard_(shard) {}

  struct Subscribed {
    FilterId filter;
    QoS granted;
    std::uint32_t identifier;
    bool existed;
  };
  // The subscription stands in the tables already. A replay of the same subscription that is under way begins anew.
  void start(Session& session, std::string_view filter, const Subscribed& subscription);
  // One slice of each; once a turn.
  void run();
  // A connection has written what it had: a replay that rests because of that goes on in the next turn.
  void output_shrank();
  void clear() noexcept { replays_.clear(); }

 private:
  struct Replay {
    std::uint32_t slot;
    std::uint64_t session;
    FilterId filter;
    QoS granted;
    std::uint32_t identifier;
    std::uint64_t last_sequence;
    std::unique_ptr<RetainedCursor> cursor;
    std::vector<Retained> found;
    std::size_t next = 0;
    bool at_end = false;
  };
  enum class Step : std::uint8_t { kRests, kMoved, kDone };
  Step advance(Replay& replay);

  Shard& shard_;
  std::vector<Replay> replays_;
};

}  // namespace mqloop::broker
