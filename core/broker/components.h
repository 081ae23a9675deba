// What a broker is assembled from: the plugin instances, the chains that they form, the listeners and the publisher.
// Filled by the plugin host from the configuration, or by a test or an embedding program by hand; handed to the broker
// as part of a BrokerConfiguration (configuration.h) and unchanged from then on, so that every reactor may read it.
//
// A plugin object lives as long as somebody holds its `keeper`: every configuration that it is part of, and the
// listeners that it made. Without a keeper it is borrowed, and whoever filled this in keeps it until the broker is
// gone. Pointers into the vectors stay valid when the struct is moved.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/publisher.h>
#include <mqloop/ref.h>
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
  Ref<const SharedObject> keeper;
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
  // Taken over by the broker. In a later configuration null: the listener of this name that the broker has goes on.
  std::unique_ptr<TransportListener> listener;
  // With none above: what TransportListener::renew() of the one that goes on is given. May be null.
  std::unique_ptr<TransportListener> renewal;
  const Plugin* transport = nullptr;  // that makes it; null: nobody knows
  Ref<const SharedObject> keeper;     // of what the listener was made by and of
};

struct Components {
  std::vector<PluginInstance> instances;
  std::vector<Chain> chains;
  std::vector<ListenerComponent> listeners;
  Publisher* publisher = nullptr;
};

}  // namespace mqloop::broker
