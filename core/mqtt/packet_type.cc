#include "core/mqtt/packet_type.h"

#include <array>

namespace mqloop::mqtt {

std::string_view name_of(PacketType type) noexcept {
  static constexpr std::array<std::string_view, 16> kNames = {
      "reserved",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
      "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};
  return kNames[static_cast<std::size_t>(type) & 15U];
}

}  // namespace mqloop::mqtt
