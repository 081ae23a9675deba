// The plugin host: takes what a configuration names, loads, checks and configures it, and makes of it what the broker
// works by. One thread at a time, any: mqloopd loads the first configuration on its main thread and later ones on a
// thread of their own, so that no reactor waits for a plugin that reads its files.
//
//   PluginHost host;
//   Ref<BrokerConfiguration> first = host.load(settings, errors);     // reports every mistake, not the first alone
//   if (errors.empty()) Broker broker(first, environment);
//   Ref<BrokerConfiguration> next = host.load(changed_settings, errors, first.get());
//   if (errors.empty()) broker.reconfigure(next, told);
//
// Plugin objects belong to the configurations that hold them: each is stopped and destroyed when the last one is let go
// of, and with it the listeners and streams that it made. Their code stays in memory for good: what a thread of theirs
// still runs must not vanish. So a plugin's file that changes on disk is not loaded again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <mqloop/export.h>
#include <mqloop/ref.h>

#include "core/broker/configuration.h"
#include "core/config/errors.h"

namespace mqloop::plugin {

class Loader;

class MQLOOP_API PluginHost {
 public:
  PluginHost();
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;
  ~PluginHost();

  // Nothing is opened or started yet: `mqloopd --check` ends here. To be used only when no errors were added.
  //
  // With `running`, what the broker works by now, this makes the configuration to follow: the publisher that runs goes
  // on, and so do transports whose options are the same; every other plugin is made anew.
  [[nodiscard]] Ref<broker::BrokerConfiguration> load(broker::BrokerSettings settings, config::Errors& errors,
                                                      const broker::BrokerConfiguration* running = nullptr);

  // Files of loaded plugins that are not on disk any more as they were loaded.
  [[nodiscard]] std::vector<std::string> changed_files() const;

 private:
  std::unique_ptr<Loader> loader_;
};

}  // namespace mqloop::plugin
