#include "core/broker/retained_replay.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// Nodes of the store that one replay looks at in a turn.
constexpr std::size_t kSlice = 256;
// Nodes that all replays look at in a turn, and what a look at one replay counts for.
constexpr std::size_t kNodesPerTurn = 4096;
constexpr std::size_t kOneLook = 4;
// Deliveries that may wait in the session's queue before the replay rests.
constexpr std::size_t kMostQueued = 64;

}  // namespace

void RetainedReplays::start(Session& session, std::string_view filter, const Subscribed& subscription) {
  RetainedStore& store = shard_.retained_for(filter);
  const std::uint64_t last_sequence = store.last_sequence();
  if (last_sequence == 0) return;
  // Boxes on their way may hold live copies of what is about to be replayed. A subscription that was there before had a
  // right to them; a new one gets the value once.
  if (!subscription.existed && shard_.reactors() > 1) session.note_replay(subscription.filter, last_sequence);
  last_number_ = last_number_ == 0xFFFFFF ? 1 : last_number_ + 1;
  // One that is under way to the same subscription ends when it finds another number there.
  shard_.subscribers().find(subscription.filter, session.slot())->set_replay(last_number_);
  Replay replay{};
  replay.slot = session.slot();
  replay.session = session.number();
  replay.filter = subscription.filter;
  replay.granted = subscription.granted;
  replay.identifier = subscription.identifier;
  replay.number = last_number_;
  replay.last_sequence = last_sequence;
  replays_.push_back(std::move(replay));
  again_ = true;
  shard_.loop().request_turn();
}

void RetainedReplays::run() {
  if (replays_.empty()) return;
  if (to_visit_ == 0) {
    to_visit_ = replays_.size();
    again_ = false;
  }
  for (std::size_t budget = kNodesPerTurn; to_visit_ != 0 && budget != 0; --to_visit_) {
    Replay replay = std::move(replays_.front());
    replays_.pop_front();
    const Step step = advance(replay, budget);
    again_ |= step == Step::kMoved;
    if (step != Step::kDone) replays_.push_back(std::move(replay));
  }
  if (to_visit_ != 0 || again_) shard_.loop().request_turn();
}

void RetainedReplays::output_shrank() {
  if (replays_.empty()) return;
  again_ = true;
  shard_.loop().request_turn();
}

RetainedReplays::Step RetainedReplays::advance(Replay& replay, std::size_t& budget) {
  budget -= std::min(budget, kOneLook);
  Session* session = shard_.sessions().at(replay.slot, replay.session);
  if (session == nullptr) return Step::kDone;
  const Subscriber* subscriber = shard_.subscribers().find(replay.filter, replay.slot);
  if (subscriber == nullptr || subscriber->replay() != replay.number) return Step::kDone;
  const std::uint8_t access = subscriber->access();
  const auto may_go_on = [&] {
    return session->connection() != nullptr && session->connection()->may_send_now() &&
           (session->outbound() == nullptr || session->outbound()->queued() < kMostQueued);
  };
  if (!may_go_on()) return Step::kRests;
  if (replay.next == replay.found.size()) {
    if (replay.at_end) return Step::kDone;
    if (!replay.cursor) {
      const std::string filter = shard_.routes().filter_text(replay.filter, shard_.index());
      replay.cursor = std::make_unique<RetainedCursor>(shard_.retained_for(filter), filter, shard_.index());
    }
    replay.found.clear();
    replay.next = 0;
    replay.at_end = !replay.cursor->next(kSlice, replay.found);
    budget -= std::min(budget, replay.at_end ? replay.found.size() : kSlice);
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
