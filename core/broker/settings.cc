#include "core/broker/settings.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/broker/settings_schema.h"
#include "core/config/check.h"
#include "core/config/schema.h"
#include "core/config/suggest.h"
#include "core/config/units.h"

namespace mqloop::broker {
namespace {

using config::Errors;
using config::in_quotes;

// Values are within the bounds of the schema, so they fit.
template <typename T>
T integer(const ConfigNode& node) {
  return static_cast<T>(node.as_int());
}

std::size_t word_index(const ConfigNode& node, std::initializer_list<std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), node.text());
  return found == words.end() ? 0 : static_cast<std::size_t>(found - words.begin());
}

LogLevel log_level(const ConfigNode& node) {
  return static_cast<LogLevel>(word_index(node, {"error", "warn", "info", "debug", "trace"}));
}

Anonymous anonymous_of(const ConfigNode& node) {
  return static_cast<Anonymous>(word_index(node, {"never", "loopback", "always"}));
}

NodeSettings node_from(const ConfigNode& in) {
  NodeSettings node;
  node.name = in["name"].as_string();
  node.data_dir = in["data_dir"].as_string();
  node.user = in["user"].as_string();
  node.pid_file = in["pid_file"].as_string();
  node.threads = integer<std::uint32_t>(in["threads"]);  // `auto` is no integer: 0
  node.plugin_dir = in["plugin_dir"].as_string();
  return node;
}

PluginInstanceSettings plugin_from(const ConfigNode& in) {
  PluginInstanceSettings plugin;
  plugin.name = in["name"].as_string();
  plugin.plugin = in["plugin"].as_string();
  plugin.path = in["path"].as_string();
  plugin.timeout = in["timeout"].as_duration();
  plugin.on_timeout = static_cast<OnTimeout>(word_index(in["on_timeout"], {"deny", "pass"}));
  plugin.config = in["config"];
  plugin.position = in;
  return plugin;
}

// Whether it is clear which shared object is meant.
bool check_plugin(const PluginInstanceSettings& plugin, Errors& errors) {
  const ConfigNode in = plugin.position;
  const std::string path = "plugins." + plugin.name;
  if (plugin.plugin.empty() && plugin.path.empty()) {
    errors.add(in, path + ": needs plugin: NAME (of a plugin in the plugin folder) or path: FILE");
  } else if (!plugin.plugin.empty() && !plugin.path.empty()) {
    errors.add(in["path"], path + ": has both plugin and path: keep one");
  } else if (plugin.plugin.find('/') != std::string::npos) {
    errors.add(in["plugin"], path + ".plugin: " + in_quotes(plugin.plugin) + " is a file, not a name: write path:");
  } else {
    return true;
  }
  return false;
}

AuthSettings auth_from(const ConfigNode& in) {
  AuthSettings auth;
  auth.anonymous = anonymous_of(in["anonymous"]);
  auth.i_accept_the_risk = in["i_accept_the_risk"].as_bool();
  auth.subscribe = static_cast<SubscribeRule>(word_index(in["subscribe"], {"overlap", "subset"}));
  auth.on_denied_publish = static_cast<OnDeniedPublish>(word_index(in["on_denied_publish"], {"reason", "disconnect"}));
  for (const ConfigNode chain : in["chains"]) {
    auth.chains[std::string(chain.key())] = {chain["authenticate"].as_list(), chain["authorize"].as_list()};
  }
  return auth;
}

ListenerSettings listener_from(const ConfigNode& in) {
  ListenerSettings listener;
  listener.name = in["name"].as_string();
  listener.transport = in["transport"].as_string();
  if (in["chain"].text() == "none") {
    listener.chain.reset();
  } else {
    listener.chain = in["chain"].as_string();
  }
  const auto levels = in["protocol_levels"].as_list();
  const auto speaks = [&levels](std::string_view level) {
    return std::find(levels.begin(), levels.end(), level) != levels.end();
  };
  listener.level_3 = speaks("3");
  listener.level_4 = speaks("4");
  listener.level_5 = speaks("5");
  listener.max_connections = integer<std::uint32_t>(in["max_connections"]);
  listener.max_connections_per_address = integer<std::uint32_t>(in["max_connections_per_address"]);
  listener.anonymous = anonymous_of(in["anonymous"]);
  listener.config = in;
  return listener;
}

LimitsSettings limits_from(const ConfigNode& in) {
  LimitsSettings limits;
  limits.max_connections = integer<std::uint32_t>(in["max_connections"]);
  limits.connect_timeout = in["connect_timeout"].as_duration();
  limits.maximum_packet_size = static_cast<std::uint32_t>(in["maximum_packet_size"].as_size());
  limits.packet_size_before_connect = static_cast<std::uint32_t>(in["packet_size_before_connect"].as_size());
  limits.receive_maximum = integer<std::uint16_t>(in["receive_maximum"]);
  limits.max_in_flight = integer<std::uint16_t>(in["max_in_flight"]);
  limits.topic_alias_maximum = integer<std::uint16_t>(in["topic_alias_maximum"]);
  limits.max_qos = integer<std::uint8_t>(in["max_qos"]);
  limits.retain.enabled = in["retain"]["enabled"].as_bool();
  limits.retain.max_messages = in["retain"]["max_messages"].as_uint();
  limits.retain.max_bytes = in["retain"]["max_bytes"].as_size();
  limits.topics.max_levels = integer<std::uint32_t>(in["topics"]["max_levels"]);
  limits.topics.max_length = static_cast<std::uint32_t>(in["topics"]["max_length"].as_size());
  limits.subscriptions.max_per_client = integer<std::uint32_t>(in["subscriptions"]["max_per_client"]);
  limits.subscriptions.wildcard = in["subscriptions"]["wildcard"].as_bool();
  limits.subscriptions.shared = in["subscriptions"]["shared"].as_bool();
  const ConfigNode session = in["session"];
  limits.session.max_expiry_interval = session["max_expiry_interval"].as_duration();
  limits.session.max_queued_messages = integer<std::uint32_t>(session["max_queued_messages"]);
  limits.session.max_queued_bytes = session["max_queued_bytes"].as_size();
  limits.session.overflow =
      static_cast<QueueOverflow>(word_index(session["overflow"], {"drop_oldest", "drop_new", "disconnect"}));
  limits.session.queue_qos0 = session["queue_qos0"].as_bool();
  limits.output.soft = in["output"]["soft"].as_size();
  limits.output.hard = in["output"]["hard"].as_size();
  limits.output.stall = in["output"]["stall"].as_duration();
  limits.keep_alive.max = in["keep_alive"]["max"].as_duration();
  limits.keep_alive.grace = in["keep_alive"]["grace"].as_double();
  limits.reactor_backlog = in["reactor_backlog"].as_size();
  limits.memory = in["memory"].as_size();
  limits.rates.connect = in["rates"]["connect"].as_rate();
  limits.rates.publish_per_client = in["rates"]["publish_per_client"].as_rate();
  limits.rates.bytes_per_client = in["rates"]["bytes_per_client"].as_rate();
  return limits;
}

LoggingSettings logging_from(const ConfigNode& in) {
  LoggingSettings logging;
  logging.level = log_level(in["level"]);
  for (const ConfigNode level : in["levels"]) logging.levels.emplace(level.key(), log_level(level));
  logging.format = static_cast<LogFormat>(word_index(in["format"], {"text", "json"}));
  logging.file = in["output"]["file"].as_string();
  logging.syslog = in["output"].is_scalar() && in["output"].text() == "syslog";
  return logging;
}

// A listener that does not say `anonymous` has that of `auth`.
void inherit_anonymous(const config::Node& root) {
  const config::Node* auth = config::find(root, "auth");
  const config::Node* common = auth == nullptr ? nullptr : config::find(*auth, "anonymous");
  const config::Node* listeners = config::find(root, "listeners");
  if (common == nullptr || listeners == nullptr) return;
  for (const config::Node* listener : listeners->children) {
    config::Node* own = config::find(*listener, "anonymous");
    if (own != nullptr && own->is_default) own->text = common->text;
  }
}

// ---- what only several values together show ----
// What is complained about here is also taken out of the settings, so that whoever loads the plugins in order to find
// their mistakes too does not stumble over the same ones.

// Complains of every name that no plugin has.
void check_step_names(const ConfigNode& names, const std::vector<std::string>& plugins, const std::string& path,
                      Errors& errors) {
  for (const ConfigNode name : names) {
    if (std::find(plugins.begin(), plugins.end(), name.text()) != plugins.end()) continue;
    std::string message = path + ": there is no plugin named " + in_quotes(name.text());
    if (const std::string_view near = config::nearest(name.text(), plugins); !near.empty()) {
      message += "; did you mean " + in_quotes(near) + "?";
    }
    errors.add(name, message);
  }
}

void check_plugins_and_chains(const ConfigNode& chains, BrokerSettings& settings, Errors& errors) {
  std::vector<std::string> named;
  for (const PluginInstanceSettings& plugin : settings.plugins) named.push_back(plugin.name);
  std::erase_if(settings.plugins, [&errors](const auto& plugin) { return !check_plugin(plugin, errors); });
  std::vector<std::string> usable;
  for (const PluginInstanceSettings& plugin : settings.plugins) usable.push_back(plugin.name);
  const auto is_lost = [&usable](const std::string& name) {
    return std::find(usable.begin(), usable.end(), name) == usable.end();
  };
  for (const ConfigNode chain : chains) {
    const std::string path = "auth.chains." + std::string(chain.key());
    if (chain.key() == "none") errors.add(chain, path + ": 'none' means that there is no chain; choose another name");
    check_step_names(chain["authenticate"], named, path + ".authenticate", errors);
    check_step_names(chain["authorize"], named, path + ".authorize", errors);
    ChainSettings& steps = settings.auth.chains.find(chain.key())->second;
    std::erase_if(steps.authenticate, is_lost);
    std::erase_if(steps.authorize, is_lost);
  }
}

// Whether only this machine can reach the listener, as far as its address tells. What has no address that is understood
// here counts as open.
bool is_local(const ListenerSettings& listener) {
  std::string complaint;
  const auto endpoint = config::parse_endpoint(listener.config["bind"].text(), complaint);
  return endpoint && config::is_loopback(endpoint->host);
}

void check_listener(ListenerSettings& listener, const AuthSettings& auth, Errors& errors) {
  const std::string path = "listeners." + listener.name;
  if (!listener.chain) {
    if (!is_local(listener)) {
      errors.add(listener.config["chain"],
                 path + ".chain: none lets anyone in; it is for a bind that is loopback, e.g. 127.0.0.1:1883");
    }
  } else if (!auth.chains.contains(*listener.chain)) {
    std::vector<std::string> names;
    for (const auto& [name, chain] : auth.chains) names.push_back(name);
    std::string message = path + ".chain: there is no chain named " + in_quotes(*listener.chain) + " in auth.chains";
    if (const std::string_view near = config::nearest(*listener.chain, names); !near.empty()) {
      message += "; did you mean " + in_quotes(near) + "?";
    }
    errors.add(listener.config["chain"], message);
    listener.chain = "default";
  }
  if (listener.anonymous == Anonymous::kAlways && !auth.i_accept_the_risk && !is_local(listener)) {
    errors.add(listener.config["anonymous"],
               path +
                   ".anonymous: 'always' lets anyone in from the network; if that is meant, set "
                   "auth.i_accept_the_risk: true");
  }
}

void check_limits(const ConfigNode& limits, Errors& errors) {
  const ConfigNode output = limits["output"];
  if (output["hard"].as_size() != 0 && output["soft"].as_size() > output["hard"].as_size()) {
    errors.add(output["soft"], "limits.output.soft: " + output["soft"].as_string() + " is above limits.output.hard " +
                                   output["hard"].as_string());
  }
  const ConfigNode keep_alive = limits["keep_alive"]["max"];
  if (keep_alive.as_duration().count() % 1000 != 0) {
    errors.add(keep_alive, "limits.keep_alive.max: " + keep_alive.as_string() + " is not a whole number of seconds");
  }
}

}  // namespace

BrokerSettings settings_from(config::Document checked, Errors& errors) {
  inherit_anonymous(*checked.root_node());
  const ConfigNode root = checked.root();
  BrokerSettings settings;
  settings.node = node_from(root["node"]);
  for (const ConfigNode plugin : root["plugins"]) settings.plugins.push_back(plugin_from(plugin));
  settings.auth = auth_from(root["auth"]);
  settings.publisher = {root["publisher"]["plugin"].as_string(), root["publisher"]["config"], root["publisher"]};
  settings.listeners.clear();
  for (const ConfigNode listener : root["listeners"]) {
    settings.listeners.push_back(listener_from(listener));
  }
  settings.limits = limits_from(root["limits"]);
  settings.logging = logging_from(root["logging"]);
  settings.sys = {root["sys"]["enabled"].as_bool(), root["sys"]["interval"].as_duration()};
  settings.shared_subscriptions.strategy = static_cast<SharedStrategy>(
      word_index(root["shared_subscriptions"]["strategy"], {"round_robin", "least_inflight", "sticky", "hash_topic"}));
  const ConfigNode shutdown = root["shutdown"];
  settings.shutdown = {shutdown["drain"].as_duration(), shutdown["send_disconnect"].as_bool(),
                       shutdown["publish_wills"].as_bool()};
  check_plugins_and_chains(root["auth"]["chains"], settings, errors);
  for (ListenerSettings& listener : settings.listeners) check_listener(listener, settings.auth, errors);
  check_limits(root["limits"], errors);
  settings.document = std::move(checked);
  return settings;
}

BrokerSettings load_settings(const config::Input& input, Errors& errors) {
  Schema schema;
  describe_core(schema);
  const config::Document raw = config::load(input, schema, errors);
  if (!raw.root().exists()) return {};
  const bool complete = errors.empty();
  config::CheckOptions options;
  options.environment = input.environment;
  config::Document checked = config::check(schema, raw.root(), errors, options);
  // Without one of its files, what the rest refers to is not there: nothing to compare.
  return complete ? settings_from(std::move(checked), errors) : BrokerSettings{};
}

}  // namespace mqloop::broker
