// TurnQueue: the turns of one reactor that are not complete, in their order. Owned by the ledger, the writer's thread.
//
//   a turn is        when
//   gathering        its SourceBlock, its flush or a RecipientBlock of one of its targets is missing
//   writable         nothing of it is missing, nor of any before it: it may go into a batch
//   complete         it is on disk, or nobody waits for what is not, and so are those that its events wait for
//
// Blocks may come in any order of turns, so a turn exists from the first that names it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace mqloop::publisher_sqlite {

struct Turn {
  std::uint64_t targets = 0;  // bit i: a RecipientBlock of reactor i is part of it
  std::uint64_t given = 0;
  bool flushed = false;
  bool waits = false;                     // somebody waits until it is on disk
  std::uint32_t acknowledged_early = 0;   // publishes of it
  std::vector<std::uint32_t> deliveries;  // places in the table of pending deliveries
  std::vector<std::uint32_t> received;    // and of received packet identifiers

  [[nodiscard]] bool is_whole() const noexcept { return flushed && (given & targets) == targets; }
  void clear() noexcept {
    targets = given = 0;
    flushed = waits = false;
    acknowledged_early = 0;
    deliveries.clear();
    received.clear();
  }
};

class TurnQueue {
 public:
  // An event of turn `turn` changed what turn `number` of reactor `source` is still gathering: the first is not
  // complete before the second may be written.
  struct Dependency {
    std::uint64_t turn;
    std::uint32_t source;
    std::uint64_t number;
  };

  [[nodiscard]] bool is_past(std::uint64_t number) const noexcept { return number <= writable_; }
  // Of a turn that is not past. Until the next at().
  [[nodiscard]] Turn& at(std::uint64_t number) {
    while (writable_ + size_ < number) push();
    return ring_[(head_ + static_cast<std::size_t>(number - writable_ - 1)) & (ring_.size() - 1)];
  }
  // The front, when it is whole; null otherwise.
  [[nodiscard]] Turn* front() noexcept { return size_ != 0 && ring_[head_].is_whole() ? &ring_[head_] : nullptr; }
  void pop() noexcept {
    ring_[head_].clear();
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
    ++writable_;
  }

  // Everything up to this turn may be written.
  [[nodiscard]] std::uint64_t writable() const noexcept { return writable_; }
  [[nodiscard]] std::size_t gathering() const noexcept { return size_; }
  [[nodiscard]] std::deque<Dependency>& dependencies() noexcept { return dependencies_; }
  // The turn that events belong to: the one after the last that was flushed.
  [[nodiscard]] std::uint64_t under_way() const noexcept { return flushed_ + 1; }
  void flush(std::uint64_t number) noexcept { flushed_ = std::max(flushed_, number); }

 private:
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
  std::uint64_t writable_ = 0;
  std::uint64_t flushed_ = 0;
  std::deque<Dependency> dependencies_;  // by rising turn
};

}  // namespace mqloop::publisher_sqlite
