#include "core/broker/topic_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

namespace mqloop::broker {

static_assert(std::is_trivially_copyable_v<RouteMatch>, "an entry's block holds copies of them");

std::span<const RouteMatch> TopicCache::Entry::matches() const noexcept {
  return {reinterpret_cast<const RouteMatch*>(block.get()), match_count};
}

std::string_view TopicCache::Entry::topic() const noexcept {
  return {reinterpret_cast<const char*>(block.get()) + match_room * sizeof(RouteMatch), topic_size};
}

TopicCache::TopicCache(RouteTable& routes, unsigned reader, std::size_t capacity)
    : routes_(routes), reader_(reader), capacity_(capacity == 0 ? 0 : std::bit_ceil(std::max(capacity, kWays))) {}

TopicCache::~TopicCache() = default;

TopicCache::Match TopicCache::match(std::string_view topic) {
  if (capacity_ == 0 || topic.size() > kMaxTopicSize) {
    ++counters_.misses;
    ++counters_.uncachable;
    return walk(topic);
  }
  if (tags_.empty()) {
    tags_.resize(capacity_);
    seen_once_.resize(capacity_);
  }
  const std::uint64_t hash = routes_.hash()(topic);
  const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32) | 1;
  const std::size_t set = (hash & (capacity_ - 1)) & ~(kWays - 1);
  const std::size_t place = find(topic, set, tag);
  if (place != kNone) {
    Entry& entry = entries_[place];
    entry.last_use = ++uses_;
    if (routes_.version(entry.version_slot) == entry.version) {
      ++counters_.hits;
      return answer(entry);
    }
    ++counters_.stale;
    const Match fresh = walk(topic);
    if (fresh.matches.size() > kMaxMatches) {
      drop(place);
      return fresh;
    }
    keep(place, topic, tag);
    return answer(entry);
  }

  ++counters_.misses;
  const Match fresh = walk(topic);
  std::uint32_t& seen = seen_once_[hash & (capacity_ - 1)];
  if (fresh.matches.size() > kMaxMatches) {
    ++counters_.uncachable;
  } else if (seen != tag) {
    seen = tag;
  } else {
    if (entries_ == nullptr) entries_ = std::make_unique<Entry[]>(capacity_);
    keep(longest_unused(set), topic, tag);
  }
  return fresh;
}

std::size_t TopicCache::find(std::string_view topic, std::size_t set, std::uint32_t tag) const noexcept {
  for (std::size_t place = set; place < set + kWays; ++place) {
    if (tags_[place] == tag && entries_[place].topic() == topic) return place;
  }
  return kNone;
}

std::size_t TopicCache::longest_unused(std::size_t set) const noexcept {
  std::size_t oldest = set;
  for (std::size_t place = set; place < set + kWays; ++place) {
    if (tags_[place] == 0) return place;
    if (entries_[place].last_use < entries_[oldest].last_use) oldest = place;
  }
  return oldest;
}

TopicCache::Match TopicCache::walk(std::string_view topic) {
  routes_.match(topic, reader_, walked_);
  return {walked_.matches, walked_.reactors, walked_.durable};
}

// Makes the entry at `place` what was walked last, in its old block when that is the same topic's and has room.
void TopicCache::keep(std::size_t place, std::string_view topic, std::uint32_t tag) {
  Entry& entry = entries_[place];
  const std::size_t count = walked_.matches.size();
  const bool same_topic = tags_[place] == tag && entry.topic() == topic;
  if (!same_topic || entry.match_room < count) {
    drop(place);
    const std::size_t bytes = count * sizeof(RouteMatch) + topic.size();
    entry.block = std::make_unique_for_overwrite<std::byte[]>(bytes);
    std::memcpy(entry.block.get() + count * sizeof(RouteMatch), topic.data(), topic.size());
    entry.topic_size = static_cast<std::uint16_t>(topic.size());
    entry.match_room = static_cast<std::uint16_t>(count);
    tags_[place] = tag;
    ++size_;
    block_bytes_ += bytes;
  }
  if (count != 0) std::memcpy(entry.block.get(), walked_.matches.data(), count * sizeof(RouteMatch));
  entry.match_count = static_cast<std::uint16_t>(count);
  entry.version = walked_.version;
  entry.version_slot = walked_.version_slot;
  entry.reactors = walked_.reactors;
  entry.durable = walked_.durable;
  entry.last_use = ++uses_;
}

void TopicCache::drop(std::size_t place) noexcept {
  if (tags_[place] == 0) return;
  Entry& entry = entries_[place];
  tags_[place] = 0;
  block_bytes_ -= entry.match_room * sizeof(RouteMatch) + entry.topic_size;
  entry.block.reset();
  --size_;
}

void TopicCache::clear() noexcept {
  for (std::size_t place = 0; place < tags_.size(); ++place) drop(place);
}

std::size_t TopicCache::footprint() const noexcept {
  return (tags_.capacity() + seen_once_.capacity()) * sizeof(std::uint32_t) +
         (entries_ == nullptr ? 0 : capacity_ * sizeof(Entry)) + block_bytes_ +
         walked_.matches.capacity() * sizeof(RouteMatch);
}

}  // namespace mqloop::broker
