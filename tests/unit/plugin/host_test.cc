#include <memory>
#include <string>
#include <thread>
#include <vector>

// Before CppUTest, whose macros rename `new`.
#include "core/plugin/host.h"
#include "core/plugin/loader.h"
#include "tests/unit/broker/hook_fixture.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::plugin;
using namespace mqloop::plugin_test;

TEST_GROUP(PluginHost) {
  Folder folder;
  config::Errors errors;
  PluginHost host;
  Ref<BrokerConfiguration> configuration;

  // Loads a file that begins with `version: 1`; what is about plugins starts in line 2.
  Components& load(const std::string& yaml) {
    config::Input input;
    input.file = folder.write("mqloop.yaml", "version: 1\n" + yaml);
    BrokerSettings settings = load_settings(input, errors);
    STRCMP_EQUAL("", errors.text().c_str());
    configuration = host.load(std::move(settings), errors, configuration.get());
    return configuration->components;
  }
  // Messages name the file as it was given.
  void complains(std::string expected) {
    const std::string file = folder.path() + "/mqloop.yaml:";
    for (std::size_t at = 0; (at = expected.find("@:", at)) != std::string::npos; at += file.size()) {
      expected.replace(at, 2, file);
    }
    STRCMP_EQUAL(expected.c_str(), errors.text().c_str());
  }
  static std::string sample(const std::string& name, const std::string& rest) {
    return "  - {name: " + name + ", path: " + samples() + '/' + name + ".so" + rest + "}\n";
  }
};

TEST(PluginHost, empty_configuration_is_one_tcp_listener_and_the_memory_publisher) {
  Components& components = load("");
  complains("");
  LONGS_EQUAL(2, components.instances.size());
  LONGS_EQUAL(1, components.listeners.size());
  STRCMP_EQUAL("local", components.listeners[0].settings->name.c_str());
  CHECK(components.listeners[0].listener != nullptr);
  STRCMP_EQUAL("default", components.listeners[0].chain->name.c_str());
  LONGS_EQUAL(0, components.listeners[0].chain->authenticate.size());
  CHECK(components.publisher != nullptr);
  CHECK_TRUE(components.publisher->capabilities().passthrough);
}

TEST(PluginHost, chains_are_made_of_instances_in_their_order) {
  Components& components = load("plugins:\n" + sample("answers", ", timeout: 250ms, on_timeout: pass") +
                                "  - {name: second, path: " + samples() +
                                "/answers.so, config: {at: access}}\n"
                                "auth: {chains: {default: {authenticate: [second, answers], authorize: [answers]}}}\n");
  complains("");
  const Chain& chain = *components.listeners[0].chain;
  LONGS_EQUAL(2, chain.authenticate.size());
  LONGS_EQUAL(1, chain.authorize.size());
  STRCMP_EQUAL("second", chain.authenticate[0]->name.c_str());
  const PluginInstance& answers = *chain.authenticate[1];
  POINTERS_EQUAL(&answers, chain.authorize[0]);
  LONGS_EQUAL(250, answers.timeout.count());
  CHECK(answers.on_timeout == OnTimeout::kPass);
  CHECK(answers.authenticator != nullptr);
  CHECK(answers.authorizer != nullptr);
  for (std::size_t i = 0; i < components.instances.size(); ++i) LONGS_EQUAL(i, components.instances[i].index);
}

TEST(PluginHost, listener_without_chain_has_none) {
  Components& components = load("listeners:\n  - {name: a, bind: 127.0.0.1:0, chain: none}\n");
  complains("");
  POINTERS_EQUAL(nullptr, components.listeners[0].chain);
}

TEST(PluginHost, two_listeners_share_one_transport) {
  Components& components = load("listeners:\n  - {name: a, bind: 127.0.0.1:0}\n  - {name: b, bind: 127.0.0.1:0}\n");
  complains("");
  LONGS_EQUAL(2, components.instances.size());
  LONGS_EQUAL(2, components.listeners.size());
}

TEST(PluginHost, every_mistake_is_told_with_its_place) {
  load("plugins:\n" + sample("no_symbol", "") + "  - name: throws\n    path: " + samples() +
       "/throws.so\n    config: {in: nowhere, cod: 5}\n" +
       "  - {name: third, plugin: no_such_plugin}\n"
       "listeners:\n  - {name: local, bnd: 127.0.0.1:0}\n"
       "publisher: {plugin: transport_tcp}\n");
  const std::vector<std::string> folders = plugin_folders("");
  complains("@:3:5: " + samples() +
            "/no_symbol.so: not an mqloop plugin (no symbol mqloop_plugin_info). Was it built with `pkg-config "
            "mqloop`?\n"
            "@:6:27: plugins.throws.config: unknown key 'cod'; did you mean 'code'?\n"
            "@:7:5: there is no plugin 'no_such_plugin' (looked for no_such_plugin.so in " +
            folders[0] + " and " + folders[1] +
            ")\n"
            "@:9:19: listeners.local: unknown key 'bnd'; did you mean 'bind'?\n"
            "@:10:12: publisher.plugin: 'transport_tcp' is no publisher\n");
  CHECK_TRUE(errors.has(config::ErrorKind::kPlugin));
}

TEST(PluginHost, value_that_configure_refuses_keeps_its_own_place) {
  load("plugins:\n  - name: throws\n    path: " + samples() +
       "/throws.so\n    config: {in: nowhere,\n      code: 3}\n");
  complains("@:6:13: 3 is an unlucky number\n");
}

TEST(PluginHost, refusal_of_configure_without_a_place_gets_the_entrys) {
  load("plugins:\n" + sample("throws", ", config: {in: nowhere, code: 4}"));
  complains("@:3:5: plugin 'throws': 4 is not to be had\n");
}

TEST(PluginHost, mistakes_in_a_file_of_the_plugins_own_keep_their_places) {
  load("plugins:\n" + sample("throws", ", config: {in: nowhere, code: 5}"));
  complains("badges.txt:2:14: 'x' is no code: it is short\nbadges.txt:3:1: no badge\n");
  LONGS_EQUAL(2, errors.size());
  CHECK_TRUE(errors.has(config::ErrorKind::kConfig));
}

TEST(PluginHost, exception_in_configure_is_a_message) {
  load("plugins:\n" + sample("throws", ", config: {in: configure}"));
  complains("@:3:5: plugin 'throws' failed in configure(): unknown exception\n");
  CHECK_TRUE(errors.has(config::ErrorKind::kPlugin));
}

TEST(PluginHost, exception_in_describe_is_a_message) {
  const Variable variable("MQLOOP_SAMPLE_THROWS_IN", "describe");
  load("plugins:\n" + sample("throws", ""));
  complains("@:3:5: plugin 'throws' failed in describe(): beyond description\n");
}

TEST(PluginHost, exception_in_the_constructor_is_a_message) {
  const Variable variable("MQLOOP_SAMPLE_THROWS_IN", "constructor");
  load("plugins:\n" + sample("throws", ""));
  complains("@:3:5: plugin 'throws' failed in its constructor: no memory of that\n");
}

TEST(PluginHost, plugin_that_makes_no_object_is_a_message) {
  load("plugins:\n" + sample("makes_nothing", ""));
  complains("@:3:5: plugin 'makes_nothing' made no object\n");
}

TEST(PluginHost, chain_may_only_ask_who_has_the_interface) {
  load("plugins:\n" + sample("throws", ", config: {in: nowhere}") +
       "auth:\n  chains:\n    default: {authorize: [throws]}\n");
  complains("@:6:27: the plugin 'throws' is not an authorizer\n");
}

TEST(PluginHost, what_failed_to_load_is_complained_about_once) {
  load("plugins:\n" + sample("no_symbol", "") + "auth: {chains: {default: {authenticate: [no_symbol]}}}\n");
  LONGS_EQUAL(1, errors.size());
}

TEST(PluginHost, transport_that_nobody_has_is_told_once) {
  load("listeners:\n  - {name: a, transport: pigeon}\n  - {name: b, transport: pigeon}\n");
  LONGS_EQUAL(1, errors.size());
  CHECK(errors.text().starts_with(folder.path() + "/mqloop.yaml:3:5: there is no plugin 'transport_pigeon' (looked"));
}

TEST(PluginHost, plugin_folder_of_the_configuration_is_the_only_one) {
  load("node: {plugin_dir: " + samples() + "}\nplugins:\n  - {name: a, plugin: answers}\n");
  LONGS_EQUAL(2, errors.size());  // no transport and no publisher there
  CHECK(errors.text().find("there is no plugin 'transport_tcp' (looked for transport_tcp.so in " + samples() + ")") !=
        std::string::npos);
}

// ---- a configuration to follow ----

TEST(PluginHost, a_reload_makes_plugins_anew_and_goes_on_with_transports_and_the_publisher) {
  const std::string yaml = "plugins:\n" + sample("answers", "") +
                           "auth: {chains: {default: {authenticate: [answers]}}}\n"
                           "publisher: {config: {}}\n";
  load(yaml);
  const Ref<BrokerConfiguration> before = configuration;
  Components& components = load(yaml);
  complains("");
  CHECK(before->components.instances[0].plugin != components.instances[0].plugin);
  POINTERS_EQUAL(&components.instances[0], components.listeners[0].chain->authenticate[0]);
  POINTERS_EQUAL(before->components.publisher, components.publisher);
  POINTERS_EQUAL(before->components.listeners[0].transport, components.listeners[0].transport);
  LONGS_EQUAL(3, components.instances.size());
  for (std::size_t i = 0; i < components.instances.size(); ++i) LONGS_EQUAL(i, components.instances[i].index);
}

TEST(PluginHost, a_transport_of_ones_own_goes_on_as_long_as_its_options_are_the_same) {
  const std::string rest = "\nlisteners: [{name: a, transport: wire, bind: 127.0.0.1:0}]\n";
  load("plugins: [{name: wire, plugin: transport_tcp}]" + rest);
  const Ref<BrokerConfiguration> first = configuration;
  load("plugins: [{name: wire, plugin: transport_tcp, timeout: 3s}]" + rest);
  const Ref<BrokerConfiguration> second = configuration;
  complains("");
  POINTERS_EQUAL(first->components.listeners[0].transport, second->components.listeners[0].transport);
  load("plugins: [{name: wire, plugin: transport_tcp, config: {}}]" + rest);
  POINTERS_EQUAL(second->components.listeners[0].transport, configuration->components.listeners[0].transport);
  load(
      "plugins: [{name: other, plugin: transport_tcp}]\nlisteners: [{name: a, transport: other, bind: 127.0.0.1:0}]\n");
  complains("");
  CHECK(second->components.listeners[0].transport != configuration->components.listeners[0].transport);
}

TEST(PluginHost, a_reload_checks_the_options_of_a_publisher_that_it_does_not_take) {
  load("");
  load("publisher: {config: {size: 3}}\n");
  complains("@:2:22: publisher.config: unknown key 'size'\n");
}

TEST(PluginHost, a_file_that_is_replaced_on_disk_is_told) {
  const std::string copy = folder.path() + "/copy.so";
  std::filesystem::copy_file(samples() + "/answers.so", copy);
  load("plugins: [{name: a, path: " + copy + "}]\n");
  LONGS_EQUAL(0, host.changed_files().size());
  std::filesystem::copy_file(samples() + "/answers.so", copy + ".new");
  std::filesystem::rename(copy + ".new", copy);
  LONGS_EQUAL(1, host.changed_files().size());
  STRCMP_EQUAL(copy.c_str(), host.changed_files()[0].c_str());
}

// The whole way: from a file to an answer of the plugin's own thread.
TEST(PluginHost, loaded_plugin_answers_in_a_chain) {
  Components& components = load("plugins:\n" + sample("answers", ", config: {delay: 300ms}") +
                                "auth: {chains: {default: {authenticate: [answers]}}}\n");
  complains("");
  hook_test::ManualClock clock;
  hook_test::RememberingLog log;
  hook_test::FakeLoop loop(clock, log);
  HookChains hooks(loop, components);
  CHECK_TRUE(hooks.start().ok());
  hook_test::Client client;
  const auto connect = [&](std::string_view client_id) {
    ConnectRequest request(hooks.context({}));
    request.client_id = client_id;
    return hooks.authenticate(*components.listeners[0].chain, request, client, client.run);
  };
  CHECK(connect("accept")->outcome == AuthOutcome::kAccepted);
  CHECK(connect("reject")->outcome == AuthOutcome::kRejected);
  CHECK(connect("somebody")->outcome == AuthOutcome::kPassed);
  CHECK(connect("throw")->outcome == AuthOutcome::kRejected);
  CHECK_FALSE(connect("late").has_value());
  while (!loop.take_wake()) std::this_thread::yield();
  loop.turn();
  LONGS_EQUAL(1, client.calls);
  CHECK(client.auth->outcome == AuthOutcome::kAccepted);
  CHECK_FALSE(connect("never").has_value());
  client.run.cancel();
  hooks.stop();
}
