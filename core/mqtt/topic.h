// Topic Names and Topic Filters (4.7, 4.8.2): the one validator that topics, will topics, response topics and filters
// pass, the levels of a topic, shared subscriptions, and the plain matcher that faster ones are held against. Nothing
// here recurses or allocates. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/mqtt/fault.h"

namespace mqloop::mqtt {

// What a broker takes of what the standard allows. The defaults are the standard's own limits.
struct TopicLimits {
  std::uint32_t maximum_levels = 65535 + 1;
  std::uint32_t maximum_length = 65535;  // bytes
};

struct TopicCheck {
  Fault fault = Fault::kNone;
  std::uint32_t column = 0;  // of the byte that the fault is about, from 1; 0 when it is about the whole

  [[nodiscard]] bool ok() const noexcept { return fault == Fault::kNone; }
};

// Well-formed and within the limits. Broken rules of 4.7 come before a limit that is passed; kTopicNameBeyondLimits and
// kTopicFilterBeyondLimits do not mean that the peer broke the protocol. The decoder has checked all but the limits.
[[nodiscard]] TopicCheck validate_topic_name(std::string_view name, const TopicLimits& limits = {}) noexcept;
// Judges `$share/NAME/FILTER` too; levels and length are counted in all of it.
[[nodiscard]] TopicCheck validate_topic_filter(std::string_view filter, const TopicLimits& limits = {}) noexcept;

// The limits alone, for a topic or filter that the decoder has found well-formed.
[[nodiscard]] bool within_limits(std::string_view topic, const TopicLimits& limits) noexcept;

// "a//b" has three levels, "" has one.
[[nodiscard]] std::size_t level_count(std::string_view topic) noexcept;

// The levels of a topic in order: for (std::string_view level : Levels(topic)).
class Levels {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    Iterator() noexcept = default;
    explicit Iterator(std::string_view rest) noexcept : rest_(rest), done_(false) { cut(); }
    std::string_view operator*() const noexcept { return level_; }
    Iterator& operator++() noexcept {
      if (level_.size() == rest_.size()) {
        done_ = true;
      } else {
        rest_.remove_prefix(level_.size() + 1);
        cut();
      }
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    // True when this is the last level.
    [[nodiscard]] bool last() const noexcept { return level_.size() == rest_.size(); }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
      return a.done_ == b.done_ && (a.done_ || a.rest_.size() == b.rest_.size());
    }

   private:
    void cut() noexcept { level_ = rest_.substr(0, rest_.find('/')); }
    std::string_view rest_;
    std::string_view level_;
    bool done_ = true;
  };

  explicit Levels(std::string_view topic) noexcept : topic_(topic) {}
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(topic_); }
  [[nodiscard]] Iterator end() const noexcept { return {}; }

 private:
  std::string_view topic_;
};

[[nodiscard]] bool has_wildcard(std::string_view filter) noexcept;

// Does a valid topic name match a valid filter that is not shared? The reference, O(length).
[[nodiscard]] bool matches(std::string_view filter, std::string_view topic) noexcept;

struct SharedSubscription {
  std::string_view share_name;
  std::string_view filter;
};
// "$share" alone is an ordinary filter [MQTT-4.8.2-1].
[[nodiscard]] constexpr bool is_shared(std::string_view filter) noexcept { return filter.starts_with("$share/"); }
// The parts of a valid shared filter; nothing for a filter that is not shared or whose sharing is not well-formed.
[[nodiscard]] std::optional<SharedSubscription> parse_shared(std::string_view filter) noexcept;

}  // namespace mqloop::mqtt
