// EnhancedAuth: what is known of a client that named an Authentication Method in CONNECT (4.12): the exchange of AUTH
// packets between it and one plugin, before it is let in and each time it authenticates anew. Owned by its Connection,
// whose thread alone uses it, from CONNECT to the end; it travels with the connection to the session's home.
// handle_auth.cc moves it. Invariant: one exchange at a time, and with the one plugin that has challenged.
//
//   stage        what happens                                          then
//   before CONNACK, while AUTH and DISCONNECT alone may come [MQTT-3.1.2-30]
//   kIdle        CONNECT, no plugin knows the method                   CONNACK 0x8C, the end [MQTT-4.12.0-1]
//                CONNECT or AUTH is handed to the plugin               kAsked
//   kAsked       (nothing is read) challenge                           AUTH 0x18 [MQTT-4.12.0-2], kChallenged
//                accept                                                CONNACK 0x00, kIdle
//                reject, no answer in time, pass of the last           CONNACK with the code, the end [MQTT-4.12.0-4]
//   kChallenged  AUTH 0x18                                             kAsked [MQTT-4.12.0-3]
//                AUTH 0x19, AUTH with another method, another packet   CONNACK 0x82, the end
//                limits.connect_timeout passes                         CONNACK 0x87, the end
//                DISCONNECT, or the client has gone                    the end
//   after CONNACK, while all else goes on under the old identity (4.12.1)
//   kIdle        AUTH 0x19                                             kAsked [MQTT-4.12.1-1]
//                AUTH 0x18                                             DISCONNECT 0x82, the end
//   kAsked       challenge                                             AUTH 0x18, kChallenged
//                accept                                                AUTH 0x00, kIdle
//                accept under another name                             DISCONNECT 0x87, the end
//                reject, no answer in time, pass of the last           DISCONNECT with the code, the end
//                AUTH                                                  DISCONNECT 0x82, the end
//   kChallenged  AUTH 0x18                                             kAsked
//                AUTH 0x19                                             DISCONNECT 0x82, the end
//                limits.connect_timeout passes                         DISCONNECT 0x87, the end
//   any          AUTH with another method                              DISCONNECT 0x82, the end
//   any          an AUTH or CONNACK that the client cannot take        0x95, the end
//
// Whoever named no method and sends AUTH has broken the protocol [MQTT-4.12.0-7]: the decoder sees to that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/ref.h>

#include "core/broker/components.h"
#include "core/broker/hook_chain.h"

namespace mqloop::broker {

struct EnhancedAuth {
  enum class Stage : std::uint8_t { kIdle, kAsked, kChallenged };

  explicit EnhancedAuth(std::string_view named) : method(named) {}

  std::string method;  // of CONNECT, and so of every AUTH and of CONNACK [MQTT-4.12.0-5]
  Stage stage = Stage::kIdle;

  // Of the exchange under way. By these it was begun, and by these it goes on, whatever a reload brings: while the
  // stage is not kIdle the connection keeps their configuration (Connection::is_being_judged).
  HookChains* hooks = nullptr;
  const Chain* chain = nullptr;
  // Once the client has been challenged.
  const PluginInstance* challenger = nullptr;
  Ref<AuthState> state;

  // Until the client is let in: its CONNECT, when that has left the input, and the plugin's last data, for CONNACK.
  std::vector<std::uint8_t> connect;
  std::string data;

  // For re-authentication; the connection's own place belongs to the packet under way.
  PendingRun run;

  void begin(HookChains& by, const Chain& judged_by) noexcept {
    hooks = &by;
    chain = &judged_by;
  }
  // The exchange is over.
  void finish() noexcept {
    stage = Stage::kIdle;
    hooks = nullptr;
    chain = nullptr;
    challenger = nullptr;
    state = nullptr;
  }
};

}  // namespace mqloop::broker
