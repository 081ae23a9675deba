#include "core/broker/shared_memberships.h"

#include <utility>

namespace mqloop::broker {

std::uint32_t SharedMemberships::find(std::string_view text) const noexcept {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? size() : found->second;
}

std::uint32_t SharedMemberships::add(Membership membership) {
  std::uint32_t place = size();
  if (free_.empty()) {
    memberships_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
  memberships_[place] = std::move(membership);
  by_text_.emplace(memberships_[place].name->text(), place);
  return place;
}

void SharedMemberships::leave(std::uint32_t place) {
  by_text_.erase(memberships_[place].name->text());
  memberships_[place].number = 0;
  ++left_;
}

void SharedMemberships::check_deliveries(std::uint8_t access) noexcept {
  for (Membership& membership : memberships_) membership.access |= access;
}

void SharedMemberships::free_places(Outbound* outbound) {
  if (left_ == 0) return;
  std::vector<bool> in_use(memberships_.size());
  for (std::size_t i = 0; outbound != nullptr && i != outbound->in_flight(); ++i) {
    if (const std::uint32_t share = outbound->window_at(i).share; share != 0) in_use[share - 1] = true;
  }
  for (std::uint32_t place = 0; place != size(); ++place) {
    Membership& membership = memberships_[place];
    if (!membership.name || membership.active() || in_use[place]) continue;
    membership = {};
    free_.push_back(place);
    --left_;
  }
}

}  // namespace mqloop::broker
