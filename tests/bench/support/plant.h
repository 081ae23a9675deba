// The topics of a plant: five levels, each filter with a last two of its own; one in ten with a wildcard.
#pragma once

#include <cstddef>
#include <string>

namespace mqloop::bench {

inline std::string filter_of(std::size_t i) {
  const std::string site = "site" + std::to_string(i % 100);
  const std::string device = "device" + std::to_string(i);
  if (i % 20 == 0) return "plant/" + site + "/+/" + device + "/state";
  if (i % 20 == 10) return "plant/" + site + "/line/" + device + "/#";
  return "plant/" + site + "/line/" + device + "/state";
}

// One that filter_of(i) matches, and no other.
inline std::string topic_of(std::size_t i) {
  return "plant/site" + std::to_string(i % 100) + "/line/device" + std::to_string(i) + "/state";
}

}  // namespace mqloop::bench
