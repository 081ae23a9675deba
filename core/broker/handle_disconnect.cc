// DISCONNECT (3.14) from a client.
#include <algorithm>

#include "core/broker/connection.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

Connection::Flow Connection::handle_disconnect(const mqtt::DisconnectPacket& packet) {
  if (!is_open()) {
    begin_close("DISCONNECT while authentication was under way", false);
    return Flow::kEnd;
  }
  if (const auto expiry = packet.properties.number(mqtt::PropertyId::kSessionExpiryInterval); expiry) {
    if (*expiry != 0 && session_->expiry_interval() == 0) {
      close(ReasonCode::kProtocolError, "a Session Expiry Interval of 0 cannot be raised by DISCONNECT");
      return Flow::kEnd;
    }
    session_->set_expiry_interval(std::min(*expiry, longest_session_expiry(limits())));
  }
  normal_disconnect_ = true;
  const bool keep_will = packet.reason_code != ReasonCode::kNormalDisconnection;  // [MQTT-3.14.4-3]
  begin_close(keep_will ? "DISCONNECT with a reason code" : "DISCONNECT", keep_will);
  return Flow::kEnd;
}

}  // namespace mqloop::broker
