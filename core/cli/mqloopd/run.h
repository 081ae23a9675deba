// Serving: loads the plugins, opens the listeners, turns the reactors, and ends in good order.
#pragma once

#include "core/broker/settings.h"
#include "core/plugin/host.h"

namespace mqloop::cli {

// Serves until a signal ends it. The host has loaded what the settings name. Returns an ExitCode; what went wrong has
// been said on stderr.
int run(const broker::BrokerSettings& settings, plugin::PluginHost& host);

}  // namespace mqloop::cli
