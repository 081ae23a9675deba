// Which packet may carry which reason code (5.0, table 2-6 and the packets' own tables), and how the codes of 5.0 and
// the return codes of 3.x correspond. Held against tables/reason-codes.tsv by a test. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>

#include <mqloop/protocol.h>
#include <mqloop/reason_code.h>

#include "core/mqtt/packet_type.h"

namespace mqloop::mqtt {

// May a packet of this type that `sender` sends carry `code` in MQTT 5.0?
[[nodiscard]] bool may_carry(PacketType type, ReasonCode code, Role sender) noexcept;

// The return code of a 3.x CONNACK (3.1.1: 3.2.2.3); nothing when none fits, and then the connection is closed without
// a CONNACK [MQTT-3.2.2-6 of 3.1.1].
[[nodiscard]] std::optional<std::uint8_t> connack_return_code(ReasonCode code) noexcept;
// The other way round; nothing for the reserved values 6 to 255.
[[nodiscard]] std::optional<ReasonCode> reason_of_return_code(std::uint8_t return_code) noexcept;

}  // namespace mqloop::mqtt
