#include "plugins/publisher_sqlite/retained_changes.h"

#include <utility>

namespace mqloop::publisher_sqlite {

bool RetainedChanges::is_newer(std::uint64_t hash, std::uint64_t sequence) const {
  if (const auto found = recent_.find(hash); found != recent_.end()) return sequence > found->second;
  const auto found = older_.find(hash);
  return found == older_.end() || sequence > found->second;
}

bool RetainedChanges::put(std::string_view topic, Ref<const Message> message, std::uint64_t sequence) {
  const std::uint64_t long_hash = seeded_hash(seed_, topic);
  const auto hash = static_cast<std::uint32_t>(long_hash);
  const std::uint32_t found = index_.find(hash, [&](std::uint32_t i) { return changes_[i].topic() == topic; });
  if (found == FlatIndex::kNone && !is_newer(long_hash, sequence)) return false;
  if (found == FlatIndex::kNone) {
    index_.insert(hash, static_cast<std::uint32_t>(changes_.size()));
    changes_.emplace_back().hash = hash;
  }
  Change& change = found == FlatIndex::kNone ? changes_.back() : changes_[found];
  if (found != FlatIndex::kNone) ++coalesced_;
  if (sequence < change.sequence) return true;
  if (!message) change.cleared_topic = topic;  // which may live in the message that goes now
  if (change.message) bytes_ -= change.message->footprint();
  change.message = std::move(message);
  if (change.message) bytes_ += change.message->footprint();
  change.sequence = sequence;
  return true;
}

void RetainedChanges::written() {
  for (Change& change : changes_) {
    index_.erase(change.hash, static_cast<std::uint32_t>(&change - changes_.data()));
    recent_[seeded_hash(seed_, change.topic())] = change.sequence;
  }
  changes_.clear();
  bytes_ = 0;
  if (recent_.size() >= kRemembered) older_ = std::exchange(recent_, {});
}

}  // namespace mqloop::publisher_sqlite
