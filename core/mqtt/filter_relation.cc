// How two Topic Filters relate. A filter is a row of levels, each a text or `+`, and may end with `#`, which stands for
// any number of further levels, none included. So the topics that it matches are told by how many levels they have and
// by what single levels must be; a relation of two filters is one of their lengths and of their levels in pairs.
// Levels can be anything, so that there is always a text that no filter names.
#include <algorithm>
#include <cstddef>
#include <limits>

#include <mqloop/topic.h>

#include "core/mqtt/topic.h"

namespace mqloop {

namespace {

using mqtt::Levels;

struct Lengths {
  std::size_t levels;    // before `#`
  std::size_t shortest;  // of a topic that matches; a topic has at least one level
  std::size_t longest;
};

Lengths lengths_of(std::string_view filter) noexcept {
  const std::size_t count = mqtt::level_count(filter);
  if (!filter.ends_with('#')) return {count, count, count};
  return {count - 1, std::max<std::size_t>(count - 1, 1), std::numeric_limits<std::size_t>::max()};
}

bool begins_with_wildcard(std::string_view filter) noexcept {
  return filter.starts_with('+') || filter.starts_with('#');
}

// One names topics that begin with `$`, the other cannot.
bool are_apart_by_dollar(std::string_view a, std::string_view b) noexcept {
  return (a.starts_with('$') && begins_with_wildcard(b)) || (b.starts_with('$') && begins_with_wildcard(a));
}

}  // namespace

TopicFilterFault check_topic_filter(std::string_view filter) noexcept {
  const mqtt::TopicCheck check = mqtt::validate_topic_filter(filter);
  if (check.ok()) return {};
  return {check.column, mqtt::verdict_on(check.fault).explanation};
}

bool topic_matches(std::string_view filter, std::string_view topic) noexcept { return mqtt::matches(filter, topic); }

bool filters_overlap(std::string_view a, std::string_view b) noexcept {
  if (are_apart_by_dollar(a, b)) return false;
  const Lengths length_a = lengths_of(a);
  const Lengths length_b = lengths_of(b);
  if (std::max(length_a.shortest, length_b.shortest) > std::min(length_a.longest, length_b.longest)) return false;
  auto level_a = Levels(a).begin();
  auto level_b = Levels(b).begin();
  for (std::size_t i = std::min(length_a.levels, length_b.levels); i != 0; --i, ++level_a, ++level_b) {
    if (*level_a != "+" && *level_b != "+" && *level_a != *level_b) return false;
  }
  return true;
}

bool filter_covers(std::string_view outer, std::string_view inner) noexcept {
  if (are_apart_by_dollar(outer, inner)) return false;
  const Lengths length_outer = lengths_of(outer);
  const Lengths length_inner = lengths_of(inner);
  if (length_outer.shortest > length_inner.shortest || length_outer.longest < length_inner.longest) return false;
  auto level_outer = Levels(outer).begin();
  auto level_inner = Levels(inner).begin();
  for (std::size_t i = 0; i != length_outer.levels; ++i, ++level_outer) {
    if (i == length_inner.levels) return *level_outer == "+";  // `+/#` and `#`: any first level
    if (*level_outer != "+" && *level_outer != *level_inner) return false;
    ++level_inner;
  }
  return true;
}

}  // namespace mqloop
