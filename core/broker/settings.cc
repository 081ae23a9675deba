#include "core/broker/settings.h"

#include <algorithm>
#include <string>
#include <type_traits>
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

// Sets what the tree says; in a listener's block that may be little.
void set_integer(const ConfigNode& in, auto& to) {
  if (in.exists()) to = integer<std::remove_reference_t<decltype(to)>>(in);
}
void set_size(const ConfigNode& in, auto& to) {
  if (in.exists()) to = static_cast<std::remove_reference_t<decltype(to)>>(in.as_size());
}
void set_duration(const ConfigNode& in, std::chrono::milliseconds& to) {
  if (in.exists()) to = in.as_duration();
}
void set_bool(const ConfigNode& in, bool& to) {
  if (in.exists()) to = in.as_bool();
}
void set_rate(const ConfigNode& in, double& to) {
  if (in.exists()) to = in.as_rate();
}

// What `in` says, and of the rest what `limits` did.
LimitsSettings limits_from(const ConfigNode& in, LimitsSettings limits) {
  set_integer(in["max_connections"], limits.max_connections);
  set_duration(in["connect_timeout"], limits.connect_timeout);
  set_size(in["maximum_packet_size"], limits.maximum_packet_size);
  set_size(in["packet_size_before_connect"], limits.packet_size_before_connect);
  set_integer(in["receive_maximum"], limits.receive_maximum);
  set_integer(in["max_in_flight"], limits.max_in_flight);
  set_integer(in["topic_alias_maximum"], limits.topic_alias_maximum);
  set_integer(in["max_qos"], limits.max_qos);
  set_bool(in["retain"]["enabled"], limits.retain.enabled);
  set_integer(in["retain"]["max_messages"], limits.retain.max_messages);
  set_size(in["retain"]["max_bytes"], limits.retain.max_bytes);
  set_integer(in["topics"]["max_levels"], limits.topics.max_levels);
  set_size(in["topics"]["max_length"], limits.topics.max_length);
  set_integer(in["subscriptions"]["max_per_client"], limits.subscriptions.max_per_client);
  set_bool(in["subscriptions"]["wildcard"], limits.subscriptions.wildcard);
  set_bool(in["subscriptions"]["shared"], limits.subscriptions.shared);
  const ConfigNode session = in["session"];
  set_duration(session["max_expiry_interval"], limits.session.max_expiry_interval);
  set_integer(session["max_queued_messages"], limits.session.max_queued_messages);
  set_size(session["max_queued_bytes"], limits.session.max_queued_bytes);
  if (const ConfigNode overflow = session["overflow"]; overflow.exists()) {
    limits.session.overflow =
        static_cast<QueueOverflow>(word_index(overflow, {"drop_oldest", "drop_new", "disconnect"}));
  }
  set_bool(session["queue_qos0"], limits.session.queue_qos0);
  set_size(in["output"]["soft"], limits.output.soft);
  set_size(in["output"]["hard"], limits.output.hard);
  set_duration(in["output"]["stall"], limits.output.stall);
  set_duration(in["keep_alive"]["max"], limits.keep_alive.max);
  if (const ConfigNode grace = in["keep_alive"]["grace"]; grace.exists()) limits.keep_alive.grace = grace.as_double();
  set_size(in["reactor_backlog"], limits.reactor_backlog);
  set_size(in["memory"], limits.memory);
  set_rate(in["rates"]["connect"], limits.rates.connect);
  set_rate(in["rates"]["publish_per_client"], limits.rates.publish_per_client);
  set_rate(in["rates"]["bytes_per_client"], limits.rates.bytes_per_client);
  return limits;
}

ListenerSettings listener_from(const ConfigNode& in, const LimitsSettings& common) {
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
  listener.connect_rate = in["connect_rate"].as_rate();
  listener.anonymous = anonymous_of(in["anonymous"]);
  if (in["limits"].size() != 0) listener.limits = limits_from(in["limits"], common);
  listener.config = in;
  return listener;
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

event::AddressSet addresses_in(const ConfigNode& list, const std::string& path, Errors& errors) {
  event::AddressSet addresses;
  for (const ConfigNode text : list) {
    if (const Status status = addresses.add(text.text()); !status.ok()) {
      errors.add(text, path + ": " + std::string(status.message()));
    }
  }
  return addresses;
}

// Whether only who is on this machine can come by the listener, as far as its address tells. What has no address that
// is understood here counts as open, and so does what hands on the clients of a proxy or stands on a socket that
// somebody else has opened.
bool is_local(const ListenerSettings& listener) {
  const auto says = [&listener](const char* key, std::string_view nothing) {
    const ConfigNode value = listener.config[key];
    return value.exists() && !(value.is_scalar() && value.text() == nothing);
  };
  if (says("proxy_protocol", "none") || says("systemd_socket", "")) return false;
  if (listener.transport == "unix") return true;
  std::string complaint;
  const auto endpoint = config::parse_endpoint(listener.config["bind"].text(), complaint);
  return endpoint && config::is_loopback(endpoint->host);
}

void check_listener(ListenerSettings& listener, const AuthSettings& auth, Errors& errors) {
  const std::string path = "listeners." + listener.name;
  listener.allow_from = addresses_in(listener.config["allow_from"], path + ".allow_from", errors);
  listener.deny_from = addresses_in(listener.config["deny_from"], path + ".deny_from", errors);
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

// A limit of a listener with the name under which it stands, or that of all where the listener says nothing.
struct Limit {
  Limit(const ConfigNode& listener, const ConfigNode& common, std::string_view path, std::string_view section,
        std::string_view key)
      : own(listener[section][key].exists()),
        node(own ? listener[section][key] : common[section][key]),
        name((own ? std::string(path) : "limits") + "." + std::string(section) + "." + std::string(key)) {}
  bool own;
  ConfigNode node;
  std::string name;
};

// Of those in `limits`, which lacks what `common` says; the two are the same for the limits of all.
void check_limits(const ConfigNode& limits, const ConfigNode& common, const std::string& path, Errors& errors) {
  const Limit soft(limits, common, path, "output", "soft");
  const Limit hard(limits, common, path, "output", "hard");
  if ((soft.own || hard.own) && soft.node.as_size() > hard.node.as_size()) {
    errors.add(soft.own ? soft.node : hard.node,
               soft.name + ": " + soft.node.as_string() + " is above " + hard.name + " " + hard.node.as_string());
  }
  const ConfigNode keep_alive = limits["keep_alive"]["max"];
  if (keep_alive.as_duration().count() % 1000 != 0) {
    errors.add(keep_alive, path + ".keep_alive.max: " + keep_alive.as_string() + " is not a whole number of seconds");
  }
  const ConfigNode retain = limits["retain"]["enabled"];
  if (retain.as_bool() && !common["retain"]["enabled"].as_bool()) {
    errors.add(retain, path + ".retain.enabled: there are no retained messages with limits.retain.enabled: false");
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
  settings.limits = limits_from(root["limits"], {});
  settings.listeners.clear();
  for (const ConfigNode listener : root["listeners"]) {
    settings.listeners.push_back(listener_from(listener, settings.limits));
  }
  settings.logging = logging_from(root["logging"]);
  settings.sys = {root["sys"]["enabled"].as_bool(), root["sys"]["interval"].as_duration()};
  settings.shared_subscriptions.strategy = static_cast<SharedStrategy>(
      word_index(root["shared_subscriptions"]["strategy"], {"round_robin", "least_inflight", "sticky", "hash_topic"}));
  const ConfigNode shutdown = root["shutdown"];
  settings.shutdown = {shutdown["drain"].as_duration(), shutdown["send_disconnect"].as_bool(),
                       shutdown["publish_wills"].as_bool()};
  check_plugins_and_chains(root["auth"]["chains"], settings, errors);
  for (ListenerSettings& listener : settings.listeners) check_listener(listener, settings.auth, errors);
  check_limits(root["limits"], root["limits"], "limits", errors);
  for (const ListenerSettings& listener : settings.listeners) {
    check_limits(listener.config["limits"], root["limits"], "listeners." + listener.name + ".limits", errors);
  }
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
