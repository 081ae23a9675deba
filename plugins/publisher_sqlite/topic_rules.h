// TopicRules: how durable the messages of a topic are. Made from the configuration, never changed; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mqloop/topic.h>

namespace mqloop::publisher_sqlite {

enum class Durability : std::uint8_t {
  kFull,     // acknowledged when it is on disk
  kBatched,  // acknowledged at once, on disk a little later
  kMemory,   // never on disk
};

class TopicRules {
 public:
  explicit TopicRules(Durability otherwise = Durability::kFull) noexcept : otherwise_(otherwise) {}

  void add(std::string filter, Durability durability) { rules_.emplace_back(std::move(filter), durability); }
  // The first rule whose filter matches decides.
  [[nodiscard]] Durability of(std::string_view topic) const noexcept {
    for (const auto& [filter, durability] : rules_) {
      if (topic_matches(filter, topic)) return durability;
    }
    return otherwise_;
  }
  [[nodiscard]] Durability otherwise() const noexcept { return otherwise_; }
  [[nodiscard]] bool has_rules() const noexcept { return !rules_.empty(); }

 private:
  std::vector<std::pair<std::string, Durability>> rules_;
  Durability otherwise_;
};

}  // namespace mqloop::publisher_sqlite
