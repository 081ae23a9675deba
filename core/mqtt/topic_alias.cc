#include "core/mqtt/topic_alias.h"

#include <functional>

namespace mqloop::mqtt {
namespace {

// How often a topic must be passed over before it loses its alias, at most.
constexpr std::uint8_t kMaximumUses = 3;

std::uint32_t hash_of(std::string_view topic) noexcept {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(topic));
}

}  // namespace

Fault InboundTopicAliases::resolve(std::uint16_t alias, std::string_view& topic) {
  if (alias == 0) return Fault::kTopicAliasZero;
  if (alias > maximum_) return Fault::kTopicAliasTooLarge;
  if (topic.empty()) {
    if (alias > topics_.size() || topics_[alias - 1U].empty()) return Fault::kTopicAliasUnknown;
    topic = topics_[alias - 1U];
    return Fault::kNone;
  }
  if (alias > topics_.size()) topics_.resize(alias);
  topics_[alias - 1U].assign(topic);
  return Fault::kNone;
}

OutboundTopicAliases::Choice OutboundTopicAliases::choose(std::string_view topic) {
  if (maximum_ == 0 || topic.empty()) return {};
  const std::uint32_t hash = hash_of(topic);
  for (std::size_t i = 0; i < hashes_.size(); ++i) {
    if (hashes_[i] != hash || slots_[i].topic != topic) continue;
    if (slots_[i].uses < kMaximumUses) ++slots_[i].uses;
    return {static_cast<std::uint16_t>(i + 1), false};
  }
  std::size_t slot = slots_.size();
  if (slot < maximum_) {
    hashes_.emplace_back();
    slots_.emplace_back();
  } else {
    slot = hand_;
    hand_ = static_cast<std::uint16_t>((hand_ + 1U) % maximum_);
    // One step of the clock for each topic without an alias: those in use wear down, and only a worn one is replaced.
    if (slots_[slot].uses > 0) {
      --slots_[slot].uses;
      return {};
    }
  }
  hashes_[slot] = hash;
  slots_[slot].topic.assign(topic);
  slots_[slot].uses = 1;
  return {static_cast<std::uint16_t>(slot + 1), true};
}

void OutboundTopicAliases::forget(std::uint16_t alias) noexcept {
  Slot& slot = slots_[alias - 1U];
  slot.topic.clear();
  slot.uses = 0;
}

}  // namespace mqloop::mqtt
