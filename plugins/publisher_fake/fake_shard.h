// FakeShard: one reactor's side of publisher_fake. It decides the fate of every message of its reactor, and completes
// the reactor's turns, late when there is a delay, always in their order:
//
//   a turn of this reactor     until
//   given                      flush(), and a RecipientBlock of every target
//   late                       its delay has passed
//   complete                   said to the sink here at once, to those of the targets by mail
//
// Everything in it is touched on its own reactor's thread; between shards letters travel by ReactorApi::post(). The
// Post owns the letters, so that one that is never read is freed with the publisher.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <span>
#include <vector>

#include <mqloop/publisher.h>

#include "plugins/publisher_fake/faults.h"

namespace publisher_fake {

class FakeShard;

// What shards send to each other, and to themselves for later.
class Post {
 public:
  using Task = void (FakeShard::*)(mqloop::TurnId turn, std::uint32_t from);

  void enter(std::uint32_t index, mqloop::ReactorApi& reactor, FakeShard& shard) noexcept;
  void leave(std::uint32_t index) noexcept;
  // Any shard's thread. Runs on the reactor `to`, unless its shard has gone by then.
  void send(std::uint32_t to, std::uint32_t from, Task task, mqloop::TurnId turn);
  void send_later(std::uint32_t to, std::chrono::milliseconds delay, Task task, mqloop::TurnId turn);

 private:
  struct Letter {
    Post* post;
    std::uint32_t to;
    std::uint32_t from;
    Task task;
    mqloop::TurnId turn;
    std::list<Letter>::iterator self;
  };
  struct Seat {
    std::atomic<mqloop::ReactorApi*> reactor{nullptr};
    FakeShard* shard = nullptr;  // touched on its reactor's thread
  };
  Letter* write(std::uint32_t to, std::uint32_t from, Task task, mqloop::TurnId turn);
  static void read(void* letter) noexcept;

  Seat seats_[mqloop::kMostReactors];
  std::mutex mutex_;  // guards the list, whose letters are their reader's
  std::list<Letter> letters_;
};

class FakeShard final : public mqloop::PublisherShard {
 public:
  FakeShard(const Options& options, Post& post, mqloop::ReactorApi& reactor, mqloop::PublishSink& sink);
  ~FakeShard() override;

  void admit(mqloop::PublishOp& request) override;
  void published(const mqloop::SourceBlock& block) override;
  void recipients(const mqloop::RecipientBlock& block) override;
  void subscribe(mqloop::SubscribeOp& subscription) override;
  void unsubscribe(mqloop::UnsubscribeOp& subscription) override;
  void session_event(mqloop::SessionEvent& /*event*/) override {}
  void delivery_event(mqloop::DeliveryEvent& /*event*/) override {}
  void retained_event(const mqloop::RetainedEvent& /*event*/) override {}
  void flush(std::uint64_t number) override;
  void end_turn() override {}
  void drain(std::chrono::milliseconds deadline) override;

 private:
  using Duplicates = std::vector<mqloop::Ref<const mqloop::Message>>;
  struct Turn {
    std::uint64_t number = 0;
    std::uint64_t targets = 0;
    std::uint64_t given = 0;
    bool flushed = false;
    bool timed = false;  // its delay runs
    mqloop::MonotonicTime due{};
    Duplicates duplicates;
  };

  [[nodiscard]] bool is_late() const noexcept { return options_.delay_most.count() != 0; }
  void take_block(mqloop::TurnId turn, std::uint32_t target);
  void delay_passed(mqloop::TurnId turn, std::uint32_t from);
  void turn_complete(mqloop::TurnId turn, std::uint32_t from);
  void deliver_duplicates(mqloop::TurnId turn, std::uint32_t from);
  // Completes what is at the front and may be.
  void advance();
  void complete(Turn& turn);
  void note(std::string_view what, std::string_view topic);

  const Options& options_;
  Post& post_;
  mqloop::ReactorApi& reactor_;
  mqloop::PublishSink& sink_;
  Faults faults_;
  std::size_t admitted_ = 0;               // in the turn under way
  std::vector<std::size_t> to_duplicate_;  // of them
  Duplicates due_duplicates_;              // of complete turns
  std::deque<Turn> turns_;                 // of this reactor, the oldest first
  bool full_ = false;
};

}  // namespace publisher_fake
