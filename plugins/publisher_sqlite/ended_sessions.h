// EndedSessions: which sessions have ended lately, so that what other turns still hold of them is not written. Owned by
// the ledger, the writer's thread. Numbers of sessions are never used twice, so nothing has to be forgotten in time,
// only in the end: when there are very many the older half goes, after its owner has looked for what is left of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>

namespace mqloop::publisher_sqlite {

class EndedSessions {
 public:
  explicit EndedSessions(std::size_t most = 65536) noexcept : most_(most) {}

  [[nodiscard]] bool has(std::uint64_t session) const noexcept {
    return (!recent_.empty() && recent_.contains(session)) || (!older_.empty() && older_.contains(session));
  }
  void add(std::uint64_t session) { recent_.insert(session); }
  // forget() is due, after a search for what those of older() have left.
  [[nodiscard]] bool is_full() const noexcept { return recent_.size() >= most_; }
  [[nodiscard]] bool has_older(std::uint64_t session) const noexcept { return older_.contains(session); }
  void forget() { older_ = std::exchange(recent_, {}); }

 private:
  const std::size_t most_;
  std::unordered_set<std::uint64_t> recent_;
  std::unordered_set<std::uint64_t> older_;
};

}  // namespace mqloop::publisher_sqlite
