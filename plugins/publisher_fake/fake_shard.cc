#include "plugins/publisher_fake/fake_shard.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include <mqloop/log.h>

namespace publisher_fake {

using mqloop::Admission;
using mqloop::Backlog;
using mqloop::Hold;
using mqloop::LogLevel;
using mqloop::Message;
using mqloop::PublishRequest;
using mqloop::PublishSink;
using mqloop::ReactorApi;
using mqloop::RecipientBlock;
using mqloop::Ref;
using mqloop::SourceBlock;
using mqloop::SubscribeOp;
using mqloop::TurnId;
using mqloop::UnsubscribeOp;

namespace {

// So many turns may wait for their delay before clients are read no more.
constexpr std::size_t kMostTurns = 1000;

// A second copy comes as a new message would: it is no retained one, which might be older than what is kept by then.
Ref<const Message> second_copy(const Message& message) {
  Message::Content content;
  content.topic = message.topic();
  content.payload = message.payload();
  content.properties = message.properties();
  content.qos = message.qos();
  content.expires_at = message.expires_at();
  content.publisher = message.publisher();
  return Message::create(content);
}

}  // namespace

// ---- between shards ----

void Post::enter(std::uint32_t index, ReactorApi& reactor, FakeShard& shard) noexcept {
  seats_[index].shard = &shard;
  seats_[index].reactor.store(&reactor, std::memory_order_release);
}

void Post::leave(std::uint32_t index) noexcept { seats_[index].shard = nullptr; }

Post::Letter* Post::write(std::uint32_t to, std::uint32_t from, Task task, TurnId turn) {
  const std::lock_guard lock(mutex_);
  letters_.push_back({this, to, from, task, turn, {}});
  letters_.back().self = std::prev(letters_.end());
  return &letters_.back();
}

void Post::read(void* letter) noexcept {
  Letter open = *static_cast<Letter*>(letter);
  {
    const std::lock_guard lock(open.post->mutex_);
    open.post->letters_.erase(open.self);
  }
  if (FakeShard* shard = open.post->seats_[open.to].shard; shard != nullptr) (shard->*open.task)(open.turn, open.from);
}

void Post::send(std::uint32_t to, std::uint32_t from, Task task, TurnId turn) {
  ReactorApi* reactor = seats_[to].reactor.load(std::memory_order_acquire);
  if (reactor != nullptr) reactor->post(&Post::read, write(to, from, task, turn));
}

void Post::send_later(std::uint32_t to, std::chrono::milliseconds delay, Task task, TurnId turn) {
  seats_[to].reactor.load(std::memory_order_acquire)->call_after(delay, &Post::read, write(to, to, task, turn));
}

// ---- one shard ----

FakeShard::FakeShard(const Options& options, Post& post, ReactorApi& reactor, PublishSink& sink)
    : options_(options), post_(post), reactor_(reactor), sink_(sink), faults_(options, reactor.index()) {
  post_.enter(reactor.index(), reactor, *this);
}

FakeShard::~FakeShard() { post_.leave(reactor_.index()); }

void FakeShard::note(std::string_view what, std::string_view topic) {
  reactor_.log().write(LogLevel::kDebug, "publisher_fake", what, {{"topic", topic}});
}

void FakeShard::admit(PublishRequest& request) {
  switch (faults_.of_message()) {
    case Faults::Fate::kRefused:
      request.admission = Admission::kDiscard;
      request.reason = options_.publish_reason;
      note("refused", request.topic);
      return;
    case Faults::Fate::kLost:
      request.admission = Admission::kDiscard;
      if (options_.deliver) note("lost", request.topic);
      return;
    case Faults::Fate::kArrivesTwice:
      to_duplicate_.push_back(admitted_);
      note("duplicated", request.topic);
      break;
    case Faults::Fate::kArrives:
      break;
  }
  ++admitted_;
  request.ack_later = is_late();
  request.hold = is_late() ? Hold::kEverything : Hold::kNothing;
}

void FakeShard::published(const SourceBlock& block) {
  Turn& turn = turns_.emplace_back();
  turn.number = block.turn.number;
  turn.targets = block.targets;
  for (const std::size_t place : to_duplicate_) {
    turn.duplicates.push_back(second_copy(*block.publishes[place].message));
  }
  to_duplicate_.clear();
  admitted_ = 0;
}

void FakeShard::recipients(const RecipientBlock& block) {
  if (block.turn.source == reactor_.index()) {
    take_block(block.turn, block.target);
  } else {
    post_.send(block.turn.source, reactor_.index(), &FakeShard::take_block, block.turn);
  }
}

void FakeShard::take_block(TurnId turn, std::uint32_t target) {
  const auto found = std::find_if(turns_.begin(), turns_.end(), [&](const Turn& t) { return t.number == turn.number; });
  if (found == turns_.end()) return;
  found->given |= std::uint64_t{1} << target;
  advance();
}

void FakeShard::subscribe(SubscribeOp& subscription) {
  if (faults_.refuses_subscription()) {
    subscription.verdict = options_.subscribe_reason;
    note("subscription refused", subscription.filter);
    return;
  }
  subscription.ack_later = is_late();
}

void FakeShard::unsubscribe(UnsubscribeOp& subscription) { subscription.ack_later = is_late(); }

void FakeShard::flush(std::uint64_t number) {
  for (Turn& turn : turns_) {
    if (turn.number != number) continue;
    turn.flushed = true;
    turn.due = reactor_.now() + faults_.delay();
  }
  if (!full_ && turns_.size() > kMostTurns) {
    full_ = true;
    sink_.set_backlog(Backlog::kFull);
  }
  advance();
}

void FakeShard::advance() {
  while (!turns_.empty() && turns_.front().flushed && turns_.front().given == turns_.front().targets) {
    Turn& turn = turns_.front();
    if (is_late() && turn.due > reactor_.now()) {
      if (std::exchange(turn.timed, true)) return;
      const TurnId id{reactor_.index(), turn.number};
      post_.send_later(reactor_.index(), turn.due - reactor_.now(), &FakeShard::delay_passed, id);
      return;
    }
    complete(turn);
    turns_.pop_front();
  }
  if (full_ && turns_.size() < kMostTurns / 2) {
    full_ = false;
    sink_.set_backlog(Backlog::kNone);
  }
}

void FakeShard::delay_passed(TurnId turn, std::uint32_t /*from*/) {
  // The timer is what counts, whatever the clock of this turn says.
  if (turns_.empty() || turns_.front().number != turn.number) return;
  turns_.front().due = reactor_.now();
  advance();
}

void FakeShard::complete(Turn& turn) {
  const TurnId id{reactor_.index(), turn.number};
  for (std::uint64_t rest = turn.targets; rest != 0; rest &= rest - 1) {
    const auto target = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (target != reactor_.index()) post_.send(target, reactor_.index(), &FakeShard::turn_complete, id);
  }
  sink_.complete_through(reactor_.index(), turn.number);
  if (turn.duplicates.empty()) return;
  std::move(turn.duplicates.begin(), turn.duplicates.end(), std::back_inserter(due_duplicates_));
  post_.send(reactor_.index(), reactor_.index(), &FakeShard::deliver_duplicates, id);
}

void FakeShard::turn_complete(TurnId turn, std::uint32_t /*from*/) { sink_.complete_through(turn.source, turn.number); }

void FakeShard::deliver_duplicates(TurnId /*turn*/, std::uint32_t /*from*/) {
  for (Ref<const Message>& message : std::exchange(due_duplicates_, {})) sink_.deliver(std::move(message));
}

void FakeShard::drain(std::chrono::milliseconds /*deadline*/) {
  // What other reactors have not given yet cannot be completed any more; what can be, is now, its delay or not.
  for (Turn& turn : turns_) turn.due = reactor_.now();
  advance();
  post_.leave(reactor_.index());
}

}  // namespace publisher_fake
