// Generation: a configuration while one reactor works by it. The shard has one that is current; one that is prepared,
// while the whole broker changes over; and those that were current before, each for as long as a connection waits for
// an answer of its plugins, holds a verdict of theirs, or came by a listener that it was the last to have.
// Owned by the Shard, its reactor's thread only.
//
//   prepared   prepare(): its plugins are started             goes to current, or away when another reactor failed
//   current    new questions go to its plugins                goes to draining
//   draining   old questions are answered, no new ones asked  goes away when none of `users` needs it any more
#pragma once

#include <utility>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/ref.h>

#include "core/broker/configuration.h"
#include "core/broker/hook_chain.h"

namespace mqloop::broker {

struct Generation {
  Generation(event::Loop& loop, Ref<const BrokerConfiguration> by, const Generation* before)
      : configuration(std::move(by)),
        hooks(loop, configuration->components, before == nullptr ? nullptr : &before->hooks) {}

  const Ref<const BrokerConfiguration> configuration;
  HookChains hooks;
  std::vector<ConnectionHandle> users;  // while draining
};

}  // namespace mqloop::broker
