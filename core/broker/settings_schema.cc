#include "core/broker/settings_schema.h"

#include <cstdint>

#include "core/config/schema.h"

namespace mqloop::broker {
namespace {

constexpr const char* kLargestPacket = "268435460B";  // Remaining Length of 268 435 455 and its header of five bytes
constexpr const char* kTheMqttMaximum = "the MQTT maximum";
constexpr const char* kMostCount = "4294967295";

void describe_node(Schema& s) {
  s.string("name", "what this broker calls itself, in logs and towards other nodes")
      .defaults_to("${HOSTNAME:-mqloop}")
      .not_empty();
  s.path("data_dir",
         "folder for what must outlive the broker; \"\" = the installed place, lib/mqloop under localstatedir");
  s.string("user", "user to become once the listeners are bound; \"\" = stay");
  s.path("pid_file", "file that holds the process number while the broker runs; \"\" = none");
  s.integer("threads", "reactors, each a thread with its own event loop; auto = one per core")
      .or_word("auto")
      .defaults_to("auto")
      .at_least("1")
      .at_most("256");
  s.path("plugin_dir", "folder of the plugins; \"\" = found relative to the program");
}

void describe_plugins(Schema& s) {
  Schema& plugin = s.list_of_sections("plugins", "instances of plugins, each a shared object with a configuration");
  plugin.string("plugin", "the shared object <plugin_dir>/<plugin>.so");
  plugin.path("path", "the shared object at any other place; instead of `plugin`");
  plugin.duration("timeout", "how long an answer may take").defaults_to("2s").at_least("1ms").at_most("1h");
  plugin.enumeration("on_timeout", "what counts as the answer then: pass asks the next of the chain", {"deny", "pass"});
  plugin.anything("config", "the plugin's own options").defaults_to("{}");
}

void describe_auth(Schema& s) {
  Schema& auth = s.section("auth", "who may enter and do what");
  auth.enumeration("anonymous",
                   "who may enter without an identity, asked after the last `pass` of a chain or when it is empty",
                   {"never", "loopback", "always"})
      .defaults_to("loopback");
  auth.boolean("i_accept_the_risk", "needed for anonymous: always on a listener that is not loopback");
  Schema& chain = auth.map_of_sections("chains", "names of plugin instances, asked in order", "{default: {}}");
  chain.list_of_string("authenticate", "the first accept or reject wins, pass asks the next");
  chain.list_of_string("authorize", "empty allows; otherwise any deny wins and one allow is needed");
  auth.enumeration("subscribe", "refuse a filter unless some topic of it is allowed (overlap), or every one (subset)",
                   {"overlap", "subset"});
  auth.enumeration("on_denied_publish", "tell it in the acknowledgement (3.x: acknowledge and drop), or disconnect",
                   {"reason", "disconnect"});
}

void describe_publisher(Schema& s) {
  Schema& publisher = s.section("publisher", "who keeps and spreads messages");
  publisher.string("plugin", "the shared object <plugin_dir>/<plugin>.so").defaults_to("publisher_memory").not_empty();
  publisher.anything("config", "the publisher's own options").defaults_to("{}");
}

void describe_session_limits(Schema& limits) {
  Schema& session = limits.section("session", "what is kept for a client that is away");
  session.duration("max_expiry_interval", "the longest Session Expiry Interval granted").defaults_to("infinite");
  session.integer("max_queued_messages", "messages that wait for one client")
      .defaults_to("10000")
      .at_least("1")
      .at_most(kMostCount);
  session.size("max_queued_bytes", "bytes of them").defaults_to("16MiB").at_least("1KiB");
  session.enumeration("overflow", "what happens beyond", {"drop_oldest", "drop_new", "disconnect"});
  session.boolean("queue_qos0", "whether QoS 0 waits too");
}

// For whom limits hold: all clients, and the broker as a whole; or those who come by one listener.
enum class LimitsOf : std::uint8_t { kBroker, kListener };

void describe_limits(Schema& limits, LimitsOf whom) {
  const bool all = whom == LimitsOf::kBroker;
  if (all) {
    limits.integer("max_connections", "connections at a time on all listeners; never more than descriptors allow")
        .defaults_to("100000")
        .at_least("1")
        .at_most(kMostCount);
  }
  limits
      .duration(
          "connect_timeout",
          "from accept to a whole CONNECT, whatever the transport does first included, and for each AUTH asked for")
      .defaults_to("10s")
      .at_least("100ms")
      .at_most("1h");
  limits.size("maximum_packet_size", "the largest packet a client may send")
      .defaults_to("1MiB")
      .at_least("64B")
      .at_most(kLargestPacket, kTheMqttMaximum);
  limits.size("packet_size_before_connect", "the largest CONNECT")
      .defaults_to("64KiB")
      .at_least("64B")
      .at_most(kLargestPacket, kTheMqttMaximum);
  limits.integer("receive_maximum", "QoS 1 and 2 messages in flight from a client")
      .defaults_to("100")
      .at_least("1")
      .at_most("65535", kTheMqttMaximum);
  limits.integer("max_in_flight", "QoS 1 and 2 messages in flight to a client that asks for more")
      .defaults_to("512")
      .at_least("1")
      .at_most("65535", kTheMqttMaximum);
  limits.integer("topic_alias_maximum", "topic aliases a client may use")
      .defaults_to("16")
      .at_least("0")
      .at_most("65535", kTheMqttMaximum);
  limits.integer("max_qos", "the highest QoS a client may publish with").defaults_to("2").at_least("0").at_most("2");

  Schema& retain = limits.section("retain", "retained messages");
  retain.boolean("enabled", "whether there are any").defaults_to("true");
  if (all) {
    retain.integer("max_messages", "of all topics").defaults_to("1000000").at_least("1").at_most(kMostCount);
    retain.size("max_bytes", "of all topics").defaults_to("1GiB").at_least("1KiB");
  }

  Schema& topics = limits.section("topics", "Topic Names and Topic Filters");
  topics.integer("max_levels", "levels between slashes").defaults_to("200").at_least("1").at_most("65535");
  topics.size("max_length", "bytes").defaults_to("65535B").at_least("1B").at_most("65535B", kTheMqttMaximum);

  Schema& subscriptions = limits.section("subscriptions", "what clients may subscribe to");
  subscriptions.integer("max_per_client", "subscriptions of one session; 0 = no limit")
      .at_least("0")
      .at_most(kMostCount);
  subscriptions.boolean("wildcard", "whether filters with + and # are allowed").defaults_to("true");
  subscriptions.boolean("shared", "whether $share/NAME/FILTER is allowed").defaults_to("true");

  describe_session_limits(limits);

  Schema& output = limits.section("output", "bytes that one connection does not read");
  output.size("soft", "above it QoS 0 is dropped").defaults_to("1MiB").at_least("4KiB");
  output.size("hard", "above it the connection is closed").defaults_to("8MiB").at_least("4KiB");
  output.duration("stall", "without progress for this long too").defaults_to("15s").at_least("1s");

  Schema& keep_alive = limits.section("keep_alive", "clients that fall silent");
  keep_alive.duration("max", "the longest Keep Alive granted, in whole seconds")
      .defaults_to("65535s")
      .at_least("1s")
      .at_most("65535s", kTheMqttMaximum);
  keep_alive.number("grace", "times Keep Alive without a packet until the client is disconnected")
      .defaults_to("1.5")
      .at_least("1")
      .at_most("10");

  Schema& rates = limits.section("rates", "above them reading pauses, and nobody is cut off; 0 = no limit");
  if (all) rates.rate("connect", "connections that are accepted, on all listeners");
  rates.rate("publish_per_client", "PUBLISH packets of one client");
  rates.byte_rate("bytes_per_client", "bytes of one client");

  if (!all) return;
  limits
      .size(
          "reactor_backlog",
          "messages one reactor may have sent to another that has not handled them; above it who publishes is not read")
      .defaults_to("4MiB")
      .at_least("64KiB");
  limits.size("memory", "what the whole broker may hold; 0B = no limit").defaults_to("0B");
}

void describe_listeners(Schema& s) {
  Schema& listener = s.list_of_sections("listeners", "where clients connect; a transport adds keys of its own", "name",
                                        "[{name: local, transport: tcp, bind: '127.0.0.1:1883'}]");
  config::leave_open(listener);
  listener.string("transport", "loads the plugin transport_<transport>").defaults_to("tcp").not_empty();
  listener.string("chain", "a name under auth.chains; none lets anyone in and is refused unless the bind is loopback")
      .defaults_to("default")
      .not_empty();
  listener.enumeration("protocol_levels", "3 = MQTT 3.1, 4 = 3.1.1, 5 = 5.0", {"3", "4", "5"})
      .list()
      .defaults_to("[3, 4, 5]")
      .not_empty();
  listener.integer("max_connections", "connections at a time").defaults_to("10000").at_least("1").at_most(kMostCount);
  listener.integer("max_connections_per_address", "connections at a time from one IP address or IPv6 /64; 0 = no limit")
      .at_least("0")
      .at_most(kMostCount);
  listener.rate("connect_rate", "connections that are accepted; above it accepting pauses; 0 = no limit");
  listener.list_of_string("allow_from", "addresses and networks of clients; [] = all that deny_from does not have");
  listener.list_of_string("deny_from", "addresses and networks of clients that are refused");
  listener.enumeration("anonymous", "in place of auth.anonymous, which is its default", {"never", "loopback", "always"})
      .defaults_to("loopback");
  Schema& limits = listener.section("limits", "in place of what the block `limits` says, key by key");
  describe_limits(limits, LimitsOf::kListener);
  config::leave_sparse(limits);
}

void describe_shared_subscriptions(Schema& s) {
  Schema& shared = s.section("shared_subscriptions", "$share/NAME/FILTER: each message to one member of the group");
  shared.enumeration("strategy", "which one", {"round_robin", "least_inflight", "sticky", "hash_topic"})
      .defaults_to("round_robin");
}

void describe_logging(Schema& s) {
  const auto level = [](Schema& schema, const char* name, const char* help) -> Option& {
    return schema.enumeration(name, help, {"error", "warn", "info", "debug", "trace"});
  };
  Schema& logging = s.section("logging", "what the broker tells its operator");
  level(logging, "level", "how much").defaults_to("info");
  level(logging, "levels", "how much of single modules: {auth: debug}").map();
  logging.enumeration("format", "how a line looks; json is one object a line", {"text", "json"});
  logging.enumeration("output", "stderr, syslog, or {file: PATH}, which SIGUSR1 reopens", {"stderr", "syslog"})
      .or_section()
      .path("file", "the log file")
      .required()
      .not_empty();
}

void describe_sys(Schema& s) {
  Schema& sys = s.section("sys", "the broker's figures, as retained messages under $SYS");
  sys.boolean("enabled", "whether there are any").defaults_to("true");
  sys.duration("interval", "how often those that changed are published")
      .defaults_to("10s")
      .at_least("1s")
      .at_most("1h");
}

void describe_shutdown(Schema& s) {
  Schema& shutdown = s.section("shutdown", "a planned end");
  shutdown.duration("drain", "how long clients may finish what is in flight").defaults_to("5s").at_most("1h");
  shutdown.boolean("send_disconnect", "tell 5.0 clients: Server shutting down (0x8B)").defaults_to("true");
  shutdown.boolean("publish_wills", "publish every will when the broker stops, those that wait included")
      .defaults_to("true");
}

// What it takes for a change to have its effect. A plugin's own options go by the entry that they stand in; the keys
// that a transport adds to a listener open it again.
void describe_reload(Schema& s) {
  using config::Reload;
  for (const char* key : {"version", "node", "publisher"}) config::set_reload(s, key, Reload::kRestart);
  for (const char* key :
       {"include", "plugins", "auth", "limits", "shared_subscriptions", "logging", "sys", "shutdown"}) {
    config::set_reload(s, key, Reload::kLive);
  }
  config::set_reload(s, "listeners", Reload::kListener);
  Schema& listener = *config::find_option(s, "listeners")->section;
  for (const auto& option : config::Access::rules(listener).options) {
    const std::string& key = config::Access::rule(*option).name;
    if (key != "name" && key != "transport") config::set_reload(listener, key, Reload::kLive);
  }
}

}  // namespace

void describe_core(Schema& s) {
  s.integer("version", "version of this schema; required, so that old files fail loudly")
      .required()
      .at_least("1")
      .at_most("1", "the newest version known here,");
  s.list_of_string("include", "more files, sorted; their lists are appended, a value set twice is a mistake")
      .defaults_to("[conf.d/*.yaml]");
  describe_node(s.section("node", "this broker as a process"));
  describe_plugins(s);
  describe_auth(s);
  describe_publisher(s);
  describe_listeners(s);
  describe_limits(s.section("limits", "what one client, and all together, may ask for"), LimitsOf::kBroker);
  describe_shared_subscriptions(s);
  describe_logging(s);
  describe_sys(s);
  describe_shutdown(s);
  describe_reload(s);
}

const Schema& listener_schema(const Schema& core) { return *config::find_option(core, "listeners")->section; }

}  // namespace mqloop::broker
