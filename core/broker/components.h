// What a broker is assembled from: the plugin instances, the chains that they form, the listeners and the publisher.
// Filled by the plugin host from the configuration, or by a test or an embedding program by hand; handed to the broker
// before any reactor runs and unchanged from then on, so that every reactor may read it. Plugins are borrowed: whoever
// filled this in keeps them until the broker is gone. Pointers into the vectors stay valid when the struct is moved.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/publisher.h>
#include <mqloop/transport.h>

#include "core/broker/settings.h"

namespace mqloop::broker {

struct PluginInstance {
  std::string name;  // as chains and the log call it
  Plugin* plugin = nullptr;
  const Authenticator* authenticator = nullptr;  // null: it has no opinion on who may enter
  const Authorizer* authorizer = nullptr;
  std::chrono::milliseconds timeout{2000};  // for each answer; kInfinite: none
  OnTimeout on_timeout = OnTimeout::kDeny;
  std::uint32_t index = 0;  // its place in Components::instances
};

// In the order of asking. Each has the interface that its list needs.
struct Chain {
  std::string name;
  std::vector<const PluginInstance*> authenticate;
  std::vector<const PluginInstance*> authorize;
};

struct ListenerComponent {
  const ListenerSettings* settings = nullptr;
  const Chain* chain = nullptr;  // null (`chain: none`): whoever comes may enter and do everything
  std::unique_ptr<TransportListener> listener;
};

struct Components {
  std::vector<PluginInstance> instances;
  std::vector<Chain> chains;
  std::vector<ListenerComponent> listeners;
  Publisher* publisher = nullptr;
};

}  // namespace mqloop::broker
