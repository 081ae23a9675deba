// BrokerConfiguration: what the broker runs by, whole: the settings and the components made of them. Filled once, by
// the plugin host, a test or an embedding program, then handed to the Broker and never changed again; a reload makes
// another one (Broker::reconfigure).
//
// Shared by the broker and its reactors, each of which may still work by the one before for a while: a Ref is taken for
// that, never a pointer. The reactors give their references back by mail, so that the last one that the broker holds is
// let go of on loop 0's thread, or by the thread that destroys the broker; see Environment::retired.
#pragma once

#include <mqloop/export.h>
#include <mqloop/ref.h>

#include "core/broker/components.h"
#include "core/broker/settings.h"
#include "core/config/print.h"

namespace mqloop::broker {

class MQLOOP_API BrokerConfiguration final : public SharedObject {
 public:
  static Ref<BrokerConfiguration> create() { return Ref<BrokerConfiguration>::adopt(new BrokerConfiguration); }

  BrokerSettings settings;
  // The plugins' own blocks as their schemas checked them, for printing and comparing.
  config::CheckedBlocks checked_blocks;
  Ref<const SharedObject> checked_only;  // what a checked block is part of that no component is made of
  Components components;                 // points into the settings

 private:
  BrokerConfiguration() = default;
  // The plugins last made are the first to go, after what they made.
  ~BrokerConfiguration() override {
    components.listeners.clear();
    while (!components.instances.empty()) components.instances.pop_back();
  }
};

// What a configuration says of an open listener, found by its ListenerGate's slot.
struct ListenerView {
  const ListenerSettings* settings = nullptr;  // null: there is no such listener any more
  const Chain* chain = nullptr;                // null: whoever comes may enter and do everything
  const LimitsSettings* limits = nullptr;      // never null: those of all for who came by one that is gone
};

}  // namespace mqloop::broker
