#include "core/broker/shared_group.h"

#include <algorithm>

namespace mqloop::broker {

namespace {

// How much a topic prefers a member (rendezvous hashing): a mix of both that changes in every bit.
std::uint64_t preference(std::uint64_t topic_hash, std::uint64_t member) noexcept {
  std::uint64_t x = topic_hash ^ (member * 0x9e3779b97f4a7c15U);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

void SharedGroup::put(const SharedMember& member) {
  if (SharedMember* present = find(member.number); present != nullptr) {
    durable_ += (member.durable ? 1U : 0U) - (present->durable ? 1U : 0U);
    const std::uint32_t in_flight = present->in_flight;
    *present = member;
    present->in_flight = in_flight;
    return;
  }
  places_.emplace(member.number, static_cast<std::uint32_t>(members_.size()));
  members_.push_back(member);
  members_.back().in_flight = 0;
  if (member.durable) ++durable_;
}

bool SharedGroup::remove(std::uint64_t number) {
  const auto found = places_.find(number);
  if (found == places_.end()) return false;
  const std::uint32_t place = found->second;
  places_.erase(found);
  if (members_[place].durable) --durable_;
  if (place + 1 != members_.size()) {
    members_[place] = members_.back();
    places_[members_[place].number] = place;
  }
  members_.pop_back();
  return true;
}

SharedMember* SharedGroup::find(std::uint64_t number) noexcept {
  const auto found = places_.find(number);
  return found == places_.end() ? nullptr : &members_[found->second];
}

// The first from next_ on, one with room in its window before one without.
template <typename MayBe>
SharedMember* SharedGroup::next_in_turn(MayBe may_be) noexcept {
  const std::size_t size = members_.size();
  std::size_t without_credit = size;
  for (std::size_t i = 0; i != size; ++i) {
    const std::size_t place = (next_ + i) % size;
    if (!may_be(members_[place])) continue;
    if (members_[place].has_credit()) {
      next_ = static_cast<std::uint32_t>(place + 1);
      return &members_[place];
    }
    if (without_credit == size) without_credit = place;
  }
  if (without_credit == size) return nullptr;
  next_ = static_cast<std::uint32_t>(without_credit + 1);
  return &members_[without_credit];
}

template <typename MayBe>
SharedMember* SharedGroup::least_in_flight(MayBe may_be) noexcept {
  std::uint32_t fewest = ~std::uint32_t{0};
  for (const SharedMember& member : members_) {
    if (may_be(member)) fewest = std::min(fewest, member.in_flight);
  }
  return next_in_turn([&](const SharedMember& member) { return may_be(member) && member.in_flight == fewest; });
}

template <typename MayBe>
SharedMember* SharedGroup::preferred(std::uint64_t topic_hash, MayBe may_be) noexcept {
  SharedMember* best = nullptr;
  std::uint64_t most = 0;
  for (SharedMember& member : members_) {
    if (!may_be(member)) continue;
    const std::uint64_t how_much = preference(topic_hash, member.number);
    if (best != nullptr && how_much <= most) continue;
    best = &member;
    most = how_much;
  }
  return best;
}

template <typename MayBe>
SharedMember* SharedGroup::by_strategy(SharedStrategy strategy, std::uint64_t topic_hash, MayBe may_be) noexcept {
  switch (strategy) {
    case SharedStrategy::kLeastInflight:
      return least_in_flight(may_be);
    case SharedStrategy::kSticky:
      if (SharedMember* same = find(stuck_to_); same != nullptr && may_be(*same) && same->has_credit()) return same;
      break;
    case SharedStrategy::kHashTopic:
      return preferred(topic_hash, may_be);
    case SharedStrategy::kRoundRobin:
      break;
  }
  SharedMember* next = next_in_turn(may_be);
  if (next != nullptr) stuck_to_ = next->number;
  return next;
}

SharedMember* SharedGroup::choose(SharedStrategy strategy, For purpose, std::uint64_t topic_hash,
                                  std::span<const std::uint64_t> tried) noexcept {
  const auto untried = [&](const SharedMember& member) {
    return std::find(tried.begin(), tried.end(), member.number) == tried.end();
  };
  const auto online = [&](const SharedMember& member) { return member.online && untried(member); };
  if (purpose == For::kSending) return by_strategy(strategy, topic_hash, online);
  SharedMember* away = by_strategy(strategy, topic_hash, [&](const SharedMember& member) {
    return !member.online && member.durable && untried(member);
  });
  return away != nullptr ? away : by_strategy(strategy, topic_hash, online);
}

}  // namespace mqloop::broker
