// Topic Filters (4.7), for whoever writes access rules: what a filter matches, and how two filters relate, decided
// exactly. Filters and topics are well-formed ones: what hooks are given always is, what is read from a file passes
// check_topic_filter() first. Shared subscriptions ($share/NAME/FILTER) are none here: look at FILTER alone.
// Pure functions, any thread; nothing allocates; the time is that of reading both texts once.
#pragma once

#include <cstdint>
#include <string_view>

#include <mqloop/export.h>

namespace mqloop {

struct TopicFilterFault {
  // Of the byte that is wrong, from 1; 0 when it is about the whole.
  std::uint32_t column = 0;
  // A sentence for people without a full stop; empty when the filter is well-formed. Static text.
  std::string_view explanation = {};

  [[nodiscard]] bool ok() const noexcept { return explanation.empty(); }
};

[[nodiscard]] MQLOOP_API TopicFilterFault check_topic_filter(std::string_view filter) noexcept;

// Does `topic`, a Topic Name, match? `sport/#` matches `sport` too; a leading wildcard matches no topic that begins
// with `$` [MQTT-4.7.2-1].
[[nodiscard]] MQLOOP_API bool topic_matches(std::string_view filter, std::string_view topic) noexcept;

// Is there a topic that both match?
[[nodiscard]] MQLOOP_API bool filters_overlap(std::string_view a, std::string_view b) noexcept;

// Does `outer` match every topic that `inner` matches? `+/#` covers `#`; nothing that begins with a wildcard covers
// `$SYS/#`.
[[nodiscard]] MQLOOP_API bool filter_covers(std::string_view outer, std::string_view inner) noexcept;

}  // namespace mqloop
