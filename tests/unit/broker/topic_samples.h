// Random topics and filters for the tests of the matching structures: few different levels, so that they meet; empty,
// long and $ levels, wildcards, and now and then a deep one. Always valid (4.7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace mqloop::broker {

class TopicSamples {
 public:
  explicit TopicSamples(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  std::string topic() {
    std::string topic = below(6) == 0 ? "$SYS" : level();
    for (std::size_t levels = depth(); levels > 1; --levels) topic += '/' + level();
    return topic.empty() ? "/" : topic;
  }

  std::string filter() {
    std::string filter = below(6) == 0 ? "$SYS" : filter_level();
    for (std::size_t levels = depth(); levels > 1; --levels) filter += '/' + filter_level();
    if (below(4) == 0) filter = below(4) == 0 ? "#" : filter + "/#";
    return filter.empty() ? "/" : filter;
  }

 private:
  std::size_t depth() { return below(64) == 0 ? 1 + below(200) : 1 + below(5); }
  std::string level() {
    static constexpr const char* kLevels[] = {
        "a", "b", "", "c", "sensor", "a level that is longer than fourteen bytes", "exactly14bytes", "$SYS"};
    return kLevels[below(std::size(kLevels))];
  }
  std::string filter_level() { return below(3) == 0 ? "+" : level(); }

  std::mt19937_64 random_;
};

}  // namespace mqloop::broker
