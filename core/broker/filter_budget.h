// FilterBudget: how much of one turn of a reactor goes into adding and removing subscriptions. A SUBSCRIBE of a hundred
// thousand filters, or the end of a session that had them, is therefore spread over turns, and other clients have
// theirs in between. Counted in edges of the RouteTable, because that is what takes the time: some microseconds for a
// filter, 5 to 10 ms for all of it. Owned by a Shard, its reactor's thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace mqloop::broker {

class FilterBudget {
 public:
  static constexpr std::size_t kEdges = 8192;
  // What a filter costs besides its levels: the subscriber, the session's list, the answer.
  static constexpr std::size_t kBase = 2;
  // For one whose text is not at hand, as at the end of a session.
  static constexpr std::size_t kOneToRemove = 8;

  [[nodiscard]] static std::size_t cost_of(std::string_view filter) noexcept {
    return kBase + 1 + static_cast<std::size_t>(std::count(filter.begin(), filter.end(), '/'));
  }

  void renew() noexcept { left_ = kEdges; }
  [[nodiscard]] bool spent() const noexcept { return left_ == 0; }
  // False: nothing is left for this turn. The last one may go beyond the budget, so that none is too large for it.
  [[nodiscard]] bool take(std::size_t cost) noexcept {
    if (left_ == 0) return false;
    left_ -= std::min(left_, cost);
    return true;
  }

 private:
  std::size_t left_ = kEdges;
};

}  // namespace mqloop::broker
