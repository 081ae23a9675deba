// How topics and their levels are hashed: keyed by a seed that peers do not know, so that nobody can make topics that
// collide. One per broker, shared by the matching structures; immutable, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/seeded_hash.h"

namespace mqloop::broker {

class TopicHash {
 public:
  // `kept` are the bits of an edge's hash that survive: tests leave few or none, so that everything collides.
  TopicHash(HashSeed seed, std::uint32_t kept = UINT32_MAX) noexcept  // NOLINT(google-explicit-constructor)
      : seed_(seed), kept_(kept) {}

  // Of one level, or of a whole topic.
  [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept { return seeded_hash(seed_, text); }

  // Of the edge that leaves `parent` by a level. The level's hash is secret already; this only spreads the parents.
  [[nodiscard]] std::uint32_t edge(std::uint32_t parent, std::uint64_t level_hash) const noexcept {
    std::uint64_t mixed = (level_hash + parent) * 0x9e3779b97f4a7c15U;
    mixed ^= mixed >> 32;
    mixed *= 0xd6e8feb86659fd93U;
    return static_cast<std::uint32_t>(mixed >> 32) & kept_;
  }

 private:
  HashSeed seed_;
  std::uint32_t kept_;
};

}  // namespace mqloop::broker
