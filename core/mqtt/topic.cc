#include "core/mqtt/topic.h"

#include <algorithm>
#include <cstring>

#include "core/base/utf8.h"

namespace mqloop::mqtt {
namespace {

constexpr std::size_t kMaximumTopic = 65'535;
constexpr std::string_view kSharePrefix = "$share/";

constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighs = 0x8080808080808080U;

// Eight bytes at once: is one of them U+0000, a wildcard or no ASCII? '+' and '#' differ in one bit, so one comparison
// finds both. Taking 1 from a byte below 0x80 sets its high bit only when it is 0; where a byte is not, or where a
// borrow comes from below, the answer is "yes" already.
constexpr bool has_special(std::uint64_t word) noexcept {
  static_assert(('+' ^ '#') == 0x08);
  const std::uint64_t wildcard = (word & ~(kOnes * 0x08)) ^ (kOnes * '#');
  return ((word | (word - kOnes) | (wildcard - kOnes)) & kHighs) != 0;
}

constexpr bool is_plain(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x80 && c != '\0' && c != '+' && c != '#';
}

// ASCII without U+0000, '+' and '#': what nearly every topic is, told without looking at single bytes.
bool is_plain(std::string_view text) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= sizeof(std::uint64_t); at += sizeof(std::uint64_t), left -= sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    if (has_special(word)) return false;
  }
  return std::all_of(at, at + left, [](char c) { return is_plain(c); });
}

std::uint32_t column(std::size_t offset) noexcept { return static_cast<std::uint32_t>(offset + 1); }

// The column of the first byte that is no part of an MQTT string, or 0.
std::uint32_t bad_byte(std::string_view text) noexcept {
  const std::size_t sound = utf8_prefix_length(text);
  const std::size_t nul = text.substr(0, sound).find('\0');
  if (nul != std::string_view::npos) return column(nul);
  return sound == text.size() ? 0 : column(sound);
}

TopicCheck check_limits(std::string_view topic, const TopicLimits& limits, Fault beyond) noexcept {
  return within_limits(topic, limits) ? TopicCheck{} : TopicCheck{beyond, 0};
}

// The wildcards of a filter that is not empty [MQTT-4.7.1-1] [MQTT-4.7.1-2].
TopicCheck check_wildcards(std::string_view filter) noexcept {
  for (std::size_t at = filter.find_first_of("+#"); at != std::string_view::npos;
       at = filter.find_first_of("+#", at + 1)) {
    const bool hash = filter[at] == '#';
    const bool begins_level = at == 0 || filter[at - 1] == '/';
    const bool ends_level = at + 1 == filter.size() || filter[at + 1] == '/';
    if (!begins_level || !ends_level) return {hash ? Fault::kHashNotAlone : Fault::kPlusNotAlone, column(at)};
    if (hash && at + 1 != filter.size()) return {Fault::kHashNotLast, column(at)};
  }
  return {};
}

// The sharing of a filter that begins with "$share/" [MQTT-4.8.2-1] [MQTT-4.8.2-2].
TopicCheck check_share(std::string_view filter) noexcept {
  const std::string_view rest = filter.substr(kSharePrefix.size());
  const std::size_t name_size = rest.find('/');
  const std::string_view name = rest.substr(0, name_size);
  if (name.empty()) return {Fault::kShareNameEmpty, column(kSharePrefix.size())};
  if (const std::size_t wildcard = name.find_first_of("+#"); wildcard != std::string_view::npos) {
    return {Fault::kShareNameWildcard, column(kSharePrefix.size() + wildcard)};
  }
  if (name_size == std::string_view::npos || name_size + 1 == rest.size()) return {Fault::kShareWithoutFilter, 0};
  return {};
}

}  // namespace

TopicCheck validate_topic_name(std::string_view name, const TopicLimits& limits) noexcept {
  if (name.empty()) return {Fault::kEmptyTopicName, 0};
  if (!is_plain(name)) {
    if (const std::uint32_t bad = bad_byte(name); bad != 0) return {Fault::kNotUtf8, bad};
    const std::size_t wildcard = name.find_first_of("+#");
    if (wildcard != std::string_view::npos) return {Fault::kWildcardInTopicName, column(wildcard)};
  }
  return check_limits(name, limits, Fault::kTopicNameBeyondLimits);
}

TopicCheck validate_topic_filter(std::string_view filter, const TopicLimits& limits) noexcept {
  if (filter.empty()) return {Fault::kEmptyTopicFilter, 0};
  if (!is_plain(filter)) {
    if (const std::uint32_t bad = bad_byte(filter); bad != 0) return {Fault::kNotUtf8, bad};
    if (const TopicCheck check = check_wildcards(filter); !check.ok()) return check;
  }
  if (is_shared(filter)) {
    if (const TopicCheck check = check_share(filter); !check.ok()) return check;
  }
  return check_limits(filter, limits, Fault::kTopicFilterBeyondLimits);
}

bool within_limits(std::string_view topic, const TopicLimits& limits) noexcept {
  if (topic.size() > std::min<std::size_t>(limits.maximum_length, kMaximumTopic)) return false;
  // A topic of n bytes has at most n + 1 levels.
  return topic.size() < limits.maximum_levels || level_count(topic) <= limits.maximum_levels;
}

std::size_t level_count(std::string_view topic) noexcept {
  return static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/')) + 1;
}

bool has_wildcard(std::string_view filter) noexcept { return filter.find_first_of("+#") != std::string_view::npos; }

bool matches(std::string_view filter, std::string_view topic) noexcept {
  const bool leading_wildcard = filter.starts_with('#') || filter.starts_with('+');
  if (leading_wildcard && topic.starts_with('$')) return false;  // [MQTT-4.7.2-1]
  const Levels filter_levels(filter);
  const Levels topic_levels(topic);
  auto wanted = filter_levels.begin();
  auto given = topic_levels.begin();
  for (; wanted != filter_levels.end(); ++wanted, ++given) {
    if (*wanted == "#") return true;  // the parent too: "sport/#" matches "sport" (4.7.1.2)
    if (given == topic_levels.end()) return false;
    if (*wanted != "+" && *wanted != *given) return false;
  }
  return given == topic_levels.end();
}

std::optional<SharedSubscription> parse_shared(std::string_view filter) noexcept {
  if (!is_shared(filter) || !check_share(filter).ok()) return std::nullopt;
  const std::string_view rest = filter.substr(kSharePrefix.size());
  const std::size_t name_size = rest.find('/');
  return SharedSubscription{rest.substr(0, name_size), rest.substr(name_size + 1)};
}

}  // namespace mqloop::mqtt
