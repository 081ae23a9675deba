#include "core/broker/retained_replay.h"

#include <utility>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// Nodes of the store that one replay looks at in a turn.
constexpr std::size_t kSlice = 256;
// Deliveries that may wait in the session's queue before the replay rests.
constexpr std::size_t kMostQueued = 64;

}  // namespace

void RetainedReplays::start(Session& session, std::string_view filter, const Subscribed& subscription) {
  std::erase_if(replays_, [&](const Replay& replay) {
    return replay.session == session.number() && replay.filter == subscription.filter;
  });
  RetainedStore& store = shard_.retained_for(filter);
  const std::uint64_t last_sequence = store.last_sequence();
  if (last_sequence == 0) return;
  // Boxes on their way may hold live copies of what is about to be replayed. A subscription that was there before had a
  // right to them; a new one gets the value once.
  if (!subscription.existed && shard_.reactors() > 1) session.note_replay(subscription.filter, last_sequence);
  Replay& replay = replays_.emplace_back();
  replay.slot = session.slot();
  replay.session = session.number();
  replay.filter = subscription.filter;
  replay.granted = subscription.granted;
  replay.identifier = subscription.identifier;
  replay.last_sequence = last_sequence;
  replay.cursor = std::make_unique<RetainedCursor>(store, filter, shard_.index());
  shard_.loop().request_turn();
}

void RetainedReplays::run() {
  bool moved = false;
  std::erase_if(replays_, [&](Replay& replay) {
    const Step step = advance(replay);
    moved |= step == Step::kMoved;
    return step == Step::kDone;
  });
  if (moved) shard_.loop().request_turn();
}

void RetainedReplays::output_shrank() {
  if (!replays_.empty()) shard_.loop().request_turn();
}

RetainedReplays::Step RetainedReplays::advance(Replay& replay) {
  Session* session = shard_.sessions().at(replay.slot, replay.session);
  if (session == nullptr) return Step::kDone;
  const Subscriber* subscriber = shard_.subscribers().find(replay.filter, replay.slot);
  if (subscriber == nullptr) return Step::kDone;
  const std::uint8_t access = subscriber->access();
  const auto may_go_on = [&] {
    return session->connection() != nullptr && session->connection()->may_send_now() &&
           (session->outbound() == nullptr || session->outbound()->queued() < kMostQueued);
  };
  if (!may_go_on()) return Step::kRests;
  if (replay.next == replay.found.size()) {
    if (replay.at_end) return Step::kDone;
    replay.found.clear();
    replay.next = 0;
    replay.at_end = !replay.cursor->next(kSlice, replay.found);
  }
  const MonotonicTime now = shard_.loop().now();
  for (; replay.next != replay.found.size() && may_go_on(); ++replay.next) {
    Retained& found = replay.found[replay.next];
    if (found.sequence > replay.last_sequence || has_expired(*found.message, now)) continue;
    if (!shard_.delivery_access().publisher_may_still(*found.message)) continue;
    RoutedMessage message(std::move(found.message));
    if (access != 0 && !shard_.delivery_access().may_receive(*session, access, message)) continue;
    shard_.delivery().deliver_retained(*session, message, replay.granted, replay.identifier, access);
  }
  return Step::kMoved;
}

}  // namespace mqloop::broker
