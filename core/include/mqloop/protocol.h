// The small closed sets of the MQTT standard that both plugins and the core name.
#pragma once

#include <cstdint>

namespace mqloop {

// The Protocol Level byte of CONNECT (3.1.1: 3.1.2.2; 5.0: 3.1.2.2).
enum class ProtocolVersion : std::uint8_t { kV31 = 3, kV311 = 4, kV5 = 5 };

// Quality of Service (4.3).
enum class QoS : std::uint8_t { kAtMostOnce = 0, kAtLeastOnce = 1, kExactlyOnce = 2 };

}  // namespace mqloop
