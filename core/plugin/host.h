// The plugin host: takes what the configuration names, loads, checks and configures it, and hands the broker the parts
// it is assembled from. Used by one thread, before the reactors run and after they have ended.
//
//   PluginHost host;
//   host.load(settings, errors);            // reports every mistake, not the first alone
//   if (errors.empty()) run(Broker(settings, host.components()));
//   host.stop();
#pragma once

#include <memory>

#include <mqloop/export.h>

#include "core/broker/components.h"
#include "core/broker/settings.h"
#include "core/config/errors.h"
#include "core/config/print.h"

namespace mqloop::plugin {

class MQLOOP_API PluginHost {
 public:
  PluginHost();
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;
  // Stops, when nobody did.
  ~PluginHost();

  // Once. Nothing is opened or started yet: `mqloopd --check` ends here. `settings` outlives the host.
  void load(const broker::BrokerSettings& settings, config::Errors& errors);

  // The plugins' own blocks as their schemas checked them, for printing; as long as the host lives.
  [[nodiscard]] const config::CheckedBlocks& checked_blocks() const noexcept;

  // To be used only when load() added no errors. The host keeps the plugins until stop().
  [[nodiscard]] broker::Components& components() noexcept;

  // After the last hook: destroys the listeners, then stops and destroys the plugins, the last loaded first. Their code
  // stays in memory: what a thread of theirs still runs must not vanish.
  void stop() noexcept;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace mqloop::plugin
