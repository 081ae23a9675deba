// A whole broker on one thread whose time stands still, with the plugins of the test, and its clients' transcripts.
#pragma once

#include <string>

#include <mqloop/plugin.h>

#include "core/broker/components.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/transcript_client.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::broker::test {

// The settings may be changed, and plugins added, until start().
struct World {
  explicit World(std::uint64_t seed = 1, std::uint32_t reactors = 1) : random(seed), broker(random, reactors, false) {
    broker.components().instances.reserve(4);
    broker.components().chains.push_back({"default", {}, {}});
  }
  ~World() {
    if (!stopped) stop();
  }
  void stop() {
    stopped = true;
    CHECK(broker.stop());
  }

  PluginInstance& add(Plugin& plugin) {
    Components& components = broker.components();
    PluginInstance& instance = components.instances.emplace_back();
    instance.name = "p" + std::to_string(components.instances.size());
    instance.plugin = &plugin;
    instance.authenticator = plugin.authenticator();
    instance.authorizer = plugin.authorizer();
    instance.index = static_cast<std::uint32_t>(components.instances.size() - 1);
    if (instance.authenticator != nullptr) components.chains[0].authenticate.push_back(&instance);
    if (instance.authorizer != nullptr) components.chains[0].authorize.push_back(&instance);
    return instance;
  }
  void start() { broker.start(publisher); }
  void start(Publisher& other) {
    broker.listener_settings().anonymous = Anonymous::kAlways;
    broker.start(other);
  }
  // What the client has heard when all is quiet.
  std::string heard(sim::TranscriptClient& client) {
    CHECK(broker.settle());
    return client.take();
  }

  sim::SimulatedRandom random;
  sim::PassthroughPublisher publisher;
  sim::SimulatedBroker broker;
  bool stopped = false;
};

}  // namespace mqloop::broker::test

// `world` is the World of the test.
#define HEARS(client, expected) STRCMP_EQUAL(expected, world.heard(client).c_str())
