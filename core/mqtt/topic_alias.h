// Topic Aliases (3.3.2.3.4): one table for each direction of one connection, gone with it [MQTT-3.3.2-7]. Both cost
// nothing until the first alias. They belong to the connection and its thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/mqtt/fault.h"

namespace mqloop::mqtt {

// What the peer's aliases stand for.
class InboundTopicAliases {
 public:
  // `maximum` is the Topic Alias Maximum that we announced; 0: no alias is taken.
  explicit InboundTopicAliases(std::uint16_t maximum = 0) noexcept : maximum_(maximum) {}

  // For a PUBLISH with an alias: notes `topic` for it, or, when `topic` is empty, puts the noted one there (a view that
  // lasts until the next call). kTopicAliasTooLarge, kTopicAliasZero or kTopicAliasUnknown else.
  [[nodiscard]] Fault resolve(std::uint16_t alias, std::string_view& topic);

  [[nodiscard]] std::uint16_t maximum() const noexcept { return maximum_; }

 private:
  std::vector<std::string> topics_;  // alias n at n - 1; as long as the highest alias used so far
  std::uint16_t maximum_;
};

// Our aliases for the peer. At most kMaximumAliases are used, so a lookup is a scan of that many hashes. When all are
// taken a topic that comes often keeps its alias and one that does not loses it (the clock algorithm with counters).
class OutboundTopicAliases {
 public:
  static constexpr std::uint16_t kMaximumAliases = 64;

  // `peer_maximum` is the peer's Topic Alias Maximum; 0: no alias may be sent [MQTT-3.1.2-27] [MQTT-3.2.2-18].
  explicit OutboundTopicAliases(std::uint16_t peer_maximum = 0) noexcept
      : maximum_(peer_maximum < kMaximumAliases ? peer_maximum : kMaximumAliases) {}

  struct Choice {
    std::uint16_t alias = 0;  // 0: send the topic without an alias
    bool send_topic = true;   // with an alias: the peer does not know it yet
  };
  // What to send for the next PUBLISH to `topic`. The caller then sends it, or calls forget().
  [[nodiscard]] Choice choose(std::string_view topic);
  // The PUBLISH that was to bring the alias with its topic was not sent after all.
  void forget(std::uint16_t alias) noexcept;

  [[nodiscard]] std::uint16_t maximum() const noexcept { return maximum_; }

 private:
  struct Slot {
    std::string topic;  // empty: free
    std::uint8_t uses = 0;
  };
  std::vector<std::uint32_t> hashes_;  // beside slots_, for a scan that touches few cache lines
  std::vector<Slot> slots_;            // alias n at n - 1
  std::uint16_t maximum_;
  std::uint16_t hand_ = 0;
};

}  // namespace mqloop::mqtt
