// TurnQueue: the turns of one reactor that are not complete, in their order. Owned by the ledger, the writer's thread.
//
//   a turn is        when
//   gathering        its SourceBlock, its flush or a RecipientBlock of one of its targets is missing, or a message that
//                    it needs, or it is not the first of its reactor's for which that is so
//   writable         nothing of it is missing, nor of any before it: what it holds is in the batch
//   complete         whatever of it somebody waits for is on disk or not wanted any more; those before it are complete,
//                    and what its events changed of other turns is on disk as well
//
// Blocks may come in any order of turns, so a turn exists from the first that names it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <mqloop/message.h>

namespace mqloop::publisher_sqlite {

// A change of a retained message, while its turn gathers.
struct GatheredRetained {
  Ref<const Message> message;  // null: cleared
  std::string cleared_topic;
  std::uint64_t sequence = 0;
  bool waits = false;  // somebody
};

struct Turn {
  std::uint64_t targets = 0;  // bit i: a RecipientBlock of reactor i is part of it
  std::uint64_t given = 0;
  bool flushed = false;
  bool waits = false;                             // somebody waits until its deliveries are on disk
  std::uint32_t open = 0;                         // things in the batch for which it waits
  std::uint32_t acknowledged_early = 0;           // publishes of it
  std::chrono::steady_clock::time_point since{};  // that it is writable
  std::vector<std::uint32_t> deliveries;          // while it gathers: places in the table of pending deliveries,
  std::vector<std::uint32_t> received;            // and of received packet identifiers;
  std::vector<GatheredRetained> retained;
  std::uint64_t last_message = 0;    // the highest number of those that were published in it; 0: none was
  std::vector<std::uint64_t> needs;  // messages of other reactors: their turns are not written after this one

  [[nodiscard]] bool is_whole() const noexcept { return flushed && (given & targets) == targets; }
  void clear() noexcept {
    targets = given = 0;
    flushed = waits = false;
    open = acknowledged_early = 0;
    last_message = 0;
    deliveries.clear();
    received.clear();
    retained.clear();
    needs.clear();
  }
};

class TurnQueue {
 public:
  // An event of turn `turn` changed what turn `number` of reactor `source` holds: the first is not complete before that
  // is on disk.
  struct Dependency {
    std::uint64_t turn;
    std::uint32_t source;
    std::uint64_t number;
  };

  // It is writable, or complete: nothing of it is missing.
  [[nodiscard]] bool is_past(std::uint64_t number) const noexcept { return number <= writable_; }
  // Of a turn that is not complete. Until the next at().
  [[nodiscard]] Turn& at(std::uint64_t number) {
    while (complete_ + size_ < number) push();
    return (*this)[number];
  }
  // The first that gathers, when it is whole; null otherwise.
  [[nodiscard]] Turn* whole() noexcept {
    if (complete_ + size_ <= writable_) return nullptr;
    Turn& turn = (*this)[writable_ + 1];
    return turn.is_whole() ? &turn : nullptr;
  }
  // The last of the whole ones that follow each other from the first that gathers; writable() when that is not whole.
  [[nodiscard]] std::uint64_t last_whole() noexcept {
    std::uint64_t last = writable_;
    while (last != complete_ + size_ && (*this)[last + 1].is_whole()) ++last;
    return last;
  }
  [[nodiscard]] std::uint64_t writable() const noexcept { return writable_; }
  void is_writable_now() noexcept { ++writable_; }
  // The first that is writable and not complete; null: there is none.
  [[nodiscard]] Turn* first() noexcept { return complete_ < writable_ ? &ring_[head_] : nullptr; }
  void is_complete_now() noexcept {
    ring_[head_].clear();
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
    ++complete_;
  }
  // Nobody has to wait for anything of it any more, but for other turns.
  [[nodiscard]] bool is_written(std::uint64_t number) noexcept {
    return number <= complete_ || (number <= writable_ && (*this)[number].open == 0);
  }
  // The batch is on disk.
  void all_written() noexcept {
    for (std::uint64_t number = complete_ + 1; number <= complete_ + size_; ++number) (*this)[number].open = 0;
  }

  [[nodiscard]] std::uint64_t complete() const noexcept { return complete_; }
  [[nodiscard]] std::size_t gathering() const noexcept {
    return size_ - static_cast<std::size_t>(writable_ - complete_);
  }
  [[nodiscard]] std::deque<Dependency>& dependencies() noexcept { return dependencies_; }
  // The turn that events belong to: the one after the last that was flushed.
  [[nodiscard]] std::uint64_t under_way() const noexcept { return flushed_ + 1; }
  void flush(std::uint64_t number) noexcept { flushed_ = std::max(flushed_, number); }

 private:
  [[nodiscard]] Turn& operator[](std::uint64_t number) noexcept {
    return ring_[(head_ + static_cast<std::size_t>(number - complete_ - 1)) & (ring_.size() - 1)];
  }
  void push() {
    if (size_ == ring_.size()) {
      std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(head_), ring_.end());
      head_ = 0;
      ring_.resize(ring_.empty() ? 8 : ring_.size() * 2);
    }
    ++size_;
  }

  std::vector<Turn> ring_;  // a power of two of them; unused ones keep the memory of their vectors
  std::size_t head_ = 0;
  std::size_t size_ = 0;
  std::uint64_t complete_ = 0;
  std::uint64_t writable_ = 0;
  std::uint64_t flushed_ = 0;
  std::deque<Dependency> dependencies_;  // by rising turn
};

}  // namespace mqloop::publisher_sqlite
