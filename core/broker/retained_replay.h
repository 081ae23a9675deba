// Sends the retained messages that match a new subscription (3.8.4), a slice a turn and only as fast as the client
// takes them: a filter that matches a million topics neither holds up the reactor nor overruns the session's queue.
// While the client is away a replay rests. All of them share the budget of a turn, so that a hundred thousand new
// subscriptions hold up nobody either. Part of a Shard; its thread only.
//
// What is published meanwhile is neither lost nor sent twice: a replay sends the values that were visible when the
// subscription's route was in (their sequence is at most last_sequence), live delivery sends the later ones.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <mqloop/protocol.h>

#include "core/base/ring.h"
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
  // A slice of each, or of as many as a turn has room for; once a turn.
  void run();
  // A connection has written what it had: a replay that rests because of that goes on in the next turn.
  void output_shrank();
  void clear() noexcept {
    replays_.clear();
    to_visit_ = 0;
  }
  [[nodiscard]] std::size_t size() const noexcept { return replays_.size(); }

 private:
  struct Replay {
    std::uint32_t slot;
    std::uint64_t session;
    FilterId filter;
    QoS granted;
    std::uint32_t identifier;
    std::uint32_t number;  // its Subscriber's replay(), unless another one took its place
    std::uint64_t last_sequence;
    std::unique_ptr<RetainedCursor> cursor;  // from its first slice on
    std::vector<Retained> found;
    std::size_t next = 0;
    bool at_end = false;
  };
  enum class Step : std::uint8_t { kRests, kMoved, kDone };
  // Takes of `budget`, nodes that may be looked at, what it used.
  Step advance(Replay& replay, std::size_t& budget);

  Shard& shard_;
  Ring<Replay> replays_;      // those that were looked at longest ago come first
  std::size_t to_visit_ = 0;  // in this round, which may take several turns
  bool again_ = false;        // another round is worth it
  std::uint32_t last_number_ = 0;
};

}  // namespace mqloop::broker
