#include "core/broker/settings.h"

#include <set>
#include <string>
#include <vector>

#include "core/broker/settings_schema.h"
#include "core/config/print.h"
#include "core/config/schema.h"
#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::broker {

using config::Errors;
using config::TestFolder;

TEST_GROUP(Settings) {
  TestFolder folder;
  Errors errors;
  std::vector<std::string> overrides;

  BrokerSettings load_text(std::string_view text) {
    folder.write("mqloop.yaml", text);
    config::Input input;
    input.file = "mqloop.yaml";
    input.overrides = overrides;
    input.environment = config::test_environment;
    return load_settings(input, errors);
  }
  // What is wrong with a text that is right otherwise.
  std::string mistakes_in(std::string_view text) {
    errors = {};
    (void)load_text("version: 1\n" + std::string(text));
    return errors.text();
  }
};

namespace {

// `name=value` lines.
class Dump {
 public:
  void operator()(std::string_view name, const auto& value) {
    text += name;
    text += '=';
    if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
      text += value;
    } else {
      text += std::to_string(value);
    }
    text += '\n';
  }
  std::string text;
};

std::string dump(const LimitsSettings& l) {
  Dump add;
  add("max_connections", l.max_connections);
  add("connect_timeout", l.connect_timeout.count());
  add("maximum_packet_size", l.maximum_packet_size);
  add("packet_size_before_connect", l.packet_size_before_connect);
  add("receive_maximum", l.receive_maximum);
  add("max_in_flight", l.max_in_flight);
  add("topic_alias_maximum", l.topic_alias_maximum);
  add("max_qos", l.max_qos);
  add("retain.enabled", static_cast<int>(l.retain.enabled));
  add("retain.max_messages", l.retain.max_messages);
  add("retain.max_bytes", l.retain.max_bytes);
  add("topics.max_levels", l.topics.max_levels);
  add("topics.max_length", l.topics.max_length);
  add("subscriptions.max_per_client", l.subscriptions.max_per_client);
  add("subscriptions.wildcard", static_cast<int>(l.subscriptions.wildcard));
  add("subscriptions.shared", static_cast<int>(l.subscriptions.shared));
  add("session.max_expiry_interval", l.session.max_expiry_interval.count());
  add("session.max_queued_messages", l.session.max_queued_messages);
  add("session.max_queued_bytes", l.session.max_queued_bytes);
  add("session.overflow", static_cast<int>(l.session.overflow));
  add("session.queue_qos0", static_cast<int>(l.session.queue_qos0));
  add("output.soft", l.output.soft);
  add("output.hard", l.output.hard);
  add("output.stall", l.output.stall.count());
  add("keep_alive.max", l.keep_alive.max.count());
  add("keep_alive.grace", l.keep_alive.grace);
  add("reactor_backlog", l.reactor_backlog);
  add("memory", l.memory);
  add("rates.connect", l.rates.connect);
  add("rates.publish_per_client", l.rates.publish_per_client);
  add("rates.bytes_per_client", l.rates.bytes_per_client);
  return add.text;
}

// Everything but the nodes and the document.
std::string dump(const BrokerSettings& s) {
  Dump add;
  add("name", s.node.name);
  add("data_dir", s.node.data_dir);
  add("user", s.node.user);
  add("pid_file", s.node.pid_file);
  add("threads", s.node.threads);
  add("plugin_dir", s.node.plugin_dir);
  add("plugins", s.plugins.size());
  add("anonymous", static_cast<int>(s.auth.anonymous));
  add("risk", static_cast<int>(s.auth.i_accept_the_risk));
  for (const auto& [name, chain] : s.auth.chains) {
    add("chain", name);
    add("authenticate", chain.authenticate.size());
    add("authorize", chain.authorize.size());
  }
  add("publisher", s.publisher.plugin);
  for (const ListenerSettings& listener : s.listeners) {
    add("listener", listener.name);
    add("transport", listener.transport);
    add("chain", listener.chain.value_or("(none)"));
    add("levels", (listener.level_3 ? 1 : 0) + (listener.level_4 ? 2 : 0) + (listener.level_5 ? 4 : 0));
    add("max_connections", listener.max_connections);
    add("per_address", listener.max_connections_per_address);
    add("connect_rate", listener.connect_rate);
    add("allows", static_cast<int>(listener.allow_from.contains(*event::parse_ip("10.0.0.1"))));
    add("denies", static_cast<int>(listener.deny_from.contains(*event::parse_ip("2001:db8::1"))));
    add("anonymous", static_cast<int>(listener.anonymous));
    if (listener.limits) add.text += dump(*listener.limits);
  }
  add.text += dump(s.limits);
  add("logging.level", static_cast<int>(s.logging.level));
  add("logging.levels", s.logging.levels.size());
  add("logging.format", static_cast<int>(s.logging.format));
  add("logging.file", s.logging.file);
  add("sys.enabled", static_cast<int>(s.sys.enabled));
  add("sys.interval", s.sys.interval.count());
  add("shutdown.drain", s.shutdown.drain.count());
  add("shutdown.send_disconnect", static_cast<int>(s.shutdown.send_disconnect));
  add("shutdown.publish_wills", static_cast<int>(s.shutdown.publish_wills));
  return add.text;
}

}  // namespace

TEST(Settings, an_embedding_program_starts_from_what_a_file_that_says_nothing_gives) {
  const BrokerSettings from_file = load_text("version: 1\n");
  STRCMP_EQUAL("", errors.text().c_str());
  STRCMP_EQUAL(dump(BrokerSettings()).c_str(), dump(from_file).c_str());
  STRCMP_EQUAL("127.0.0.1:1883", from_file.listeners.at(0).config["bind"].as_string().c_str());
}

TEST(Settings, every_key_arrives_in_its_place) {
  const BrokerSettings s = load_text(R"(version: 1
include: []
node: {name: edge, data_dir: data, user: mqloop, pid_file: /run/m.pid, threads: 3, plugin_dir: plugins}
plugins:
  - {name: users, plugin: auth_file, timeout: 500ms, on_timeout: pass, config: {file: users.pw}}
  - {name: badges, path: ./auth_badge.so}
auth:
  anonymous: never
  i_accept_the_risk: true
  chains: {office: {authenticate: [users, badges], authorize: [badges]}}
publisher: {plugin: publisher_fake, config: {faults: 3}}
listeners:
  - {name: a, transport: tcp, bind: "[::]:1", chain: office, protocol_levels: [5], max_connections: 7, max_connections_per_address: 8, connect_rate: 9/s, allow_from: [10.0.0.0/8], deny_from: [192.0.2.1, "2001:db8::/32"], anonymous: always}
  - {name: b, bind: "127.0.0.1:2", chain: none}
limits:
  max_connections: 11
  connect_timeout: 12s
  maximum_packet_size: 13KiB
  packet_size_before_connect: 14KiB
  receive_maximum: 15
  max_in_flight: 33
  topic_alias_maximum: 0
  max_qos: 1
  retain: {enabled: false, max_messages: 17, max_bytes: 18KiB}
  topics: {max_levels: 19, max_length: 20B}
  subscriptions: {max_per_client: 21, wildcard: false, shared: false}
  session: {max_expiry_interval: 7d, max_queued_messages: 22, max_queued_bytes: 23KiB, overflow: disconnect, queue_qos0: true}
  output: {soft: 24KiB, hard: 25KiB, stall: 26s}
  keep_alive: {max: 27s, grace: 2}
  reactor_backlog: 33MiB
  memory: 31MiB
  rates: {connect: 30/s, publish_per_client: 60/m, bytes_per_client: 32KiB/s}
logging: {level: warn, levels: {auth: trace}, format: json, output: {file: log/m.log}}
sys: {enabled: false, interval: 29s}
shutdown: {drain: 28s, send_disconnect: false, publish_wills: false}
)");
  STRCMP_EQUAL("", errors.text().c_str());
  const std::string path = folder.path();
  STRCMP_EQUAL(
      ("name=edge\ndata_dir=" + path + "/data\nuser=mqloop\npid_file=/run/m.pid\nthreads=3\nplugin_dir=" + path +
       "/plugins\nplugins=2\nanonymous=0\nrisk=1\n"
       "chain=default\nauthenticate=0\nauthorize=0\nchain=office\nauthenticate=2\nauthorize=1\n"
       "publisher=publisher_fake\n"
       "listener=a\ntransport=tcp\nchain=office\nlevels=4\nmax_connections=7\nper_address=8\nconnect_rate=9."
       "000000\nallows=1\ndenies=1\nanonymous=2\n"
       "listener=b\ntransport=tcp\nchain=(none)\nlevels=7\nmax_connections=10000\nper_address=0\nconnect_rate=0."
       "000000\nallows=0\ndenies=0\nanonymous=0\n"
       "max_connections=11\nconnect_timeout=12000\nmaximum_packet_size=13312\n"
       "packet_size_before_connect=14336\nreceive_maximum=15\nmax_in_flight=33\ntopic_alias_maximum=0\nmax_qos=1\n"
       "retain.enabled=0\nretain.max_messages=17\nretain.max_bytes=18432\n"
       "topics.max_levels=19\ntopics.max_length=20\n"
       "subscriptions.max_per_client=21\nsubscriptions.wildcard=0\nsubscriptions.shared=0\n"
       "session.max_expiry_interval=604800000\nsession.max_queued_messages=22\n"
       "session.max_queued_bytes=23552\nsession.overflow=2\nsession.queue_qos0=1\n"
       "output.soft=24576\noutput.hard=25600\noutput.stall=26000\n"
       "keep_alive.max=27000\nkeep_alive.grace=2.000000\n"
       "reactor_backlog=34603008\nmemory=32505856\nrates.connect=30.000000\nrates.publish_per_client=1.000000\nrates."
       "bytes_per_client=32768."
       "000000\n"
       "logging.level=1\nlogging.levels=1\nlogging.format=1\nlogging.file=" +
       path +
       "/log/"
       "m.log\nsys.enabled=0\nsys.interval=29000\nshutdown.drain=28000\nshutdown.send_disconnect=0\nshutdown.publish_"
       "wills=0\n")
          .c_str(),
      dump(s).c_str());
  STRCMP_EQUAL("auth_file", s.plugins[0].plugin.c_str());
  LONGS_EQUAL(500, s.plugins[0].timeout.count());
  CHECK(s.plugins[0].on_timeout == OnTimeout::kPass);
  STRCMP_EQUAL("users.pw", s.plugins[0].config["file"].as_string().c_str());
  STRCMP_EQUAL("mqloop.yaml:5:5", s.plugins[0].position.position().c_str());
  STRCMP_EQUAL((path + "/auth_badge.so").c_str(), s.plugins[1].path.c_str());
  LONGS_EQUAL(2000, s.plugins[1].timeout.count());
  STRCMP_EQUAL("users", s.auth.chains.at("office").authenticate[0].c_str());
  STRCMP_EQUAL("3", s.publisher.config["faults"].as_string().c_str());
  STRCMP_EQUAL("[::]:1", s.listeners[0].config["bind"].as_string().c_str());
  CHECK(s.logging.levels.at("auth") == LogLevel::kTrace);
}

TEST(Settings, nodes_stay_valid_when_settings_move) {
  BrokerSettings first = load_text("version: 1\npublisher: {config: {a: b}}\n");
  const BrokerSettings second = std::move(first);
  STRCMP_EQUAL("b", second.publisher.config["a"].as_string().c_str());
}

// ---- the messages for mistakes ----

TEST(Settings, an_unknown_key) {
  (void)load_text("version: 1\n\n# no\nlistner: []\n");
  STRCMP_EQUAL("mqloop.yaml:4:1: unknown key 'listner'; did you mean 'listeners'?\n", errors.text().c_str());
}

TEST(Settings, out_of_range) {
  STRCMP_EQUAL("mqloop.yaml:3:21: limits.keep_alive.max: 99999999s is above the MQTT maximum 65535s (18h12m15s)\n",
               mistakes_in("limits:\n  keep_alive: {max: 99999999s, grace: 1.5}\n").c_str());
}

TEST(Settings, the_same_key_twice) {
  STRCMP_EQUAL("mqloop.yaml:5:3: 'max_qos' is already set at line 3\n",
               mistakes_in("limits:\n  max_qos: 1\n  receive_maximum: 9\n  max_qos: 2\n").c_str());
}

TEST(Settings, no_file) {
  config::Input input;
  input.file = "nope.conf";
  (void)load_settings(input, errors);
  STRCMP_EQUAL(("nope.conf: No such file or directory (looked in " + folder.path() + ")\n").c_str(),
               errors.text().c_str());
}

TEST(Settings, bad_yaml) {
  STRCMP_EQUAL(
      "mqloop.yaml:3:2: this '{' is never closed\n"
      "     {max_qos: 1\n"
      "     ^\n",
      mistakes_in("limits:\n {max_qos: 1\n").c_str());
}

TEST(Settings, yes_is_a_string) {
  STRCMP_EQUAL("mqloop.yaml:2:28: limits.retain.enabled: 'yes' is not a boolean: write true or false\n",
               mistakes_in("limits: {retain: {enabled: yes}}\n").c_str());
}

TEST(Settings, megabytes) {
  STRCMP_EQUAL("mqloop.yaml:2:31: limits.maximum_packet_size: '1MB': write 1MiB (1 048 576 bytes)\n",
               mistakes_in("limits: {maximum_packet_size: 1MB}\n").c_str());
}

TEST(Settings, all_mistakes_at_once_in_the_order_of_the_file) {
  STRCMP_EQUAL(
      "mqloop.yaml:2:17: node.threads: 0 is below the minimum 1\n"
      "mqloop.yaml:3:28: auth.chains.default: unknown key 'autenticate'; did you mean 'authenticate'?\n"
      "mqloop.yaml:4:30: listeners.a.chain: there is no chain named 'defualt' in auth.chains; did you mean 'default'?\n"
      "mqloop.yaml:4:57: listeners.a.protocol_levels.0: '6' is not one of 3, 4, 5\n"
      "mqloop.yaml:5:10: limits: unknown key 'elephant'\n"
      "mqloop.yaml:6:18: logging.level: 'verbose' is not one of error, warn, info, debug, trace\n",
      mistakes_in("node: {threads: 0}\n"
                  "auth: {chains: {default: { autenticate: []}}}\n"
                  "listeners: [{name: a, chain: defualt, protocol_levels: [6], bind: '127.0.0.1:1'}]\n"
                  "limits: {elephant: 1}\n"
                  "logging: {level: verbose}\n")
          .c_str());
}

TEST(Settings, the_version_must_be_known) {
  (void)load_text("limits: {}\n");
  STRCMP_EQUAL("mqloop.yaml:1:1: version is missing\n", errors.text().c_str());
  errors = {};
  (void)load_text("version: 2\n");
  STRCMP_EQUAL("mqloop.yaml:1:10: version: 2 is above the newest version known here, 1\n", errors.text().c_str());
}

TEST(Settings, the_member_of_a_shared_subscription_is_chosen_by_a_known_strategy) {
  const std::pair<const char*, SharedStrategy> strategies[] = {{"round_robin", SharedStrategy::kRoundRobin},
                                                               {"least_inflight", SharedStrategy::kLeastInflight},
                                                               {"sticky", SharedStrategy::kSticky},
                                                               {"hash_topic", SharedStrategy::kHashTopic}};
  for (const auto& [word, strategy] : strategies) {
    const auto settings = load_text(std::string("version: 1\nshared_subscriptions: {strategy: ") + word + "}\n");
    STRCMP_EQUAL("", errors.text().c_str());
    LONGS_EQUAL(static_cast<int>(strategy), static_cast<int>(settings.shared_subscriptions.strategy));
  }
  STRCMP_CONTAINS("'random' is not one of round_robin, least_inflight, sticky, hash_topic",
                  mistakes_in("shared_subscriptions: {strategy: random}").c_str());
}

TEST(Settings, a_plugin_is_named_or_a_file) {
  STRCMP_EQUAL(
      "mqloop.yaml:3:3: plugins.a: needs plugin: NAME (of a plugin in the plugin folder) or path: FILE\n"
      "mqloop.yaml:4:30: plugins.b: has both plugin and path: keep one\n"
      "mqloop.yaml:5:21: plugins.c.plugin: './x.so' is a file, not a name: write path:\n",
      mistakes_in("plugins:\n- {name: a}\n- {name: b, plugin: x, path: ./x.so}\n- {name: c, plugin: ./x.so}\n")
          .c_str());
}

TEST(Settings, chains_name_plugins_that_are_there) {
  STRCMP_EQUAL(
      "mqloop.yaml:3:42: auth.chains.default.authenticate: there is no plugin named 'usrs'; did you mean 'users'?\n"
      "mqloop.yaml:3:61: auth.chains.default.authorize: there is no plugin named 'elephant'\n",
      mistakes_in("plugins: [{name: users, plugin: auth_file}]\n"
                  "auth: {chains: {default: {authenticate: [usrs], authorize: [elephant]}}}\n")
          .c_str());
}

TEST(Settings, none_is_no_name_for_a_chain) {
  STRCMP_EQUAL("mqloop.yaml:2:23: auth.chains.none: 'none' means that there is no chain; choose another name\n",
               mistakes_in("auth: {chains: {none: {}}}\n").c_str());
}

TEST(Settings, the_default_chain_is_there_beside_others) {
  STRCMP_EQUAL("", mistakes_in("auth: {chains: {office: {}}}\nlisteners: [{name: a, bind: 'x:1'}]\n").c_str());
}

TEST(Settings, an_open_door_needs_a_signature) {
  const std::string refused =
      "anonymous: 'always' lets anyone in from the network; if that is meant, set auth.i_accept_the_risk: true\n";
  STRCMP_EQUAL(("mqloop.yaml:3:43: listeners.a." + refused).c_str(),
               mistakes_in("listeners:\n- {name: a, bind: '0.0.0.0:1', anonymous: always}\n").c_str());
  for (const char* bind : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "a.example:1", "abc"}) {
    const std::string listener = "listeners: [{name: a, bind: '" + std::string(bind) + "'}]\n";
    STRCMP_CONTAINS(refused.c_str(), mistakes_in("auth: {anonymous: always}\n" + listener).c_str());
    STRCMP_EQUAL("", mistakes_in("auth: {anonymous: always, i_accept_the_risk: true}\n" + listener).c_str());
    STRCMP_EQUAL("", mistakes_in(listener).c_str());
  }
  STRCMP_CONTAINS(refused.c_str(),
                  mistakes_in("auth: {anonymous: always}\nlisteners: [{name: a, path: /x}]\n").c_str());
  STRCMP_EQUAL("", mistakes_in("auth: {anonymous: always}\n").c_str());
  STRCMP_EQUAL("", mistakes_in("auth: {anonymous: always}\nlisteners: [{name: a, bind: '[::1]:1'}]\n").c_str());
}

// The address tells that only this machine comes near; who comes by a proxy, or by a socket of somebody else's making,
// may be from anywhere.
TEST(Settings, a_loopback_listener_that_brings_in_others_is_an_open_door) {
  for (const char* const how : {"bind: '127.0.0.1:1', proxy_protocol: {from: [127.0.0.1]}",
                                "transport: unix, path: /x, proxy_protocol: {from: [root]}",
                                "bind: '127.0.0.1:1', systemd_socket: mqtt", "transport: unix, systemd_socket: mqtt"}) {
    const std::string listener = "listeners: [{name: a, " + std::string(how);
    STRCMP_CONTAINS("listeners.a.chain: none lets anyone in", mistakes_in(listener + ", chain: none}]\n").c_str());
    STRCMP_CONTAINS("listeners.a.anonymous: 'always' lets anyone in",
                    mistakes_in(listener + ", anonymous: always}]\n").c_str());
  }
  STRCMP_EQUAL("", mistakes_in("listeners: [{name: a, bind: '127.0.0.1:1', proxy_protocol: none, systemd_socket: '', "
                               "chain: none}]\n")
                       .c_str());
}

TEST(Settings, an_address_on_a_list_of_a_listener_that_is_none_is_a_mistake) {
  STRCMP_EQUAL(
      "mqloop.yaml:2:52: listeners.a.allow_from: '10.0.0.1/8' is an address in a network; write 10.0.0.0/8 for the "
      "network or 10.0.0.1 for the address\n"
      "mqloop.yaml:2:77: listeners.a.deny_from: 'home' is no IP address or network, such as 192.0.2.7, 10.0.0.0/8 or "
      "2001:db8::/32\n",
      mistakes_in("listeners: [{name: a, bind: '[::]:1', allow_from: [10.0.0.1/8], deny_from: [home]}]\n").c_str());
}

TEST(Settings, a_listener_that_does_not_say_has_the_anonymous_of_auth) {
  const BrokerSettings s =
      load_text("version: 1\nauth: {anonymous: never}\nlisteners:\n- {name: a}\n- {name: b, anonymous: loopback}\n");
  STRCMP_EQUAL("", errors.text().c_str());
  CHECK(s.listeners[0].anonymous == Anonymous::kNever);
  CHECK(s.listeners[1].anonymous == Anonymous::kLoopback);
  STRCMP_EQUAL("never", s.listeners[0].config["anonymous"].as_string().c_str());
}

TEST(Settings, no_chain_is_for_loopback_alone) {
  STRCMP_EQUAL(
      "mqloop.yaml:2:46: listeners.a.chain: none lets anyone in; it is for a bind that is loopback, e.g. "
      "127.0.0.1:1883\n",
      mistakes_in("listeners: [{name: a, bind: '[::]:1', chain: none}]\n").c_str());
  STRCMP_EQUAL("", mistakes_in("listeners: [{name: a, bind: 'localhost:1', chain: none}]\n").c_str());
  STRCMP_EQUAL("", mistakes_in("listeners: [{name: a, transport: unix, path: /x, chain: none}]\n").c_str());
}

TEST(Settings, limits_that_contradict_each_other) {
  STRCMP_EQUAL("mqloop.yaml:2:25: limits.output.soft: 9MiB is above limits.output.hard 8MiB\n",
               mistakes_in("limits: {output: {soft: 9MiB}}\n").c_str());
  STRCMP_EQUAL("mqloop.yaml:2:28: limits.keep_alive.max: 1500ms is not a whole number of seconds\n",
               mistakes_in("limits: {keep_alive: {max: 1500ms}}\n").c_str());
}

TEST(Settings, a_listener_may_say_every_limit_of_a_client_otherwise) {
  const char* const every = R"(
    connect_timeout: 12s
    maximum_packet_size: 13KiB
    packet_size_before_connect: 14KiB
    receive_maximum: 15
    max_in_flight: 33
    topic_alias_maximum: 0
    max_qos: 1
    retain: {enabled: false}
    topics: {max_levels: 19, max_length: 20B}
    subscriptions: {max_per_client: 21, wildcard: false, shared: false}
    session: {max_expiry_interval: 7d, max_queued_messages: 22, max_queued_bytes: 23KiB, overflow: disconnect, queue_qos0: true}
    output: {soft: 24KiB, hard: 25KiB, stall: 26s}
    keep_alive: {max: 27s, grace: 2}
    rates: {publish_per_client: 60/m, bytes_per_client: 32KiB/s}
)";
  const BrokerSettings of_listener =
      load_text("version: 1\nlisteners:\n- name: a\n  limits:" + std::string(every) + "\n");
  STRCMP_EQUAL("", errors.text().c_str());
  STRCMP_EQUAL(dump(LimitsSettings()).c_str(), dump(of_listener.limits).c_str());
  const BrokerSettings of_all = load_text("version: 1\nlimits:" + std::string(every) + "\n");
  STRCMP_EQUAL(dump(of_all.limits).c_str(), dump(*of_listener.listeners[0].limits).c_str());
}

TEST(Settings, a_listener_has_the_limits_of_all_where_it_says_nothing) {
  const BrokerSettings s = load_text(
      "version: 1\n"
      "limits: {max_qos: 1, memory: 1GiB, session: {max_queued_messages: 5, queue_qos0: true}}\n"
      "listeners:\n- {name: a}\n- {name: b, limits: {session: {max_queued_messages: 6}}}\n- {name: c, limits: {}}\n");
  STRCMP_EQUAL("", errors.text().c_str());
  LimitsSettings expected = s.limits;
  expected.session.max_queued_messages = 6;
  STRCMP_EQUAL(dump(expected).c_str(), dump(limits_of(s, s.listeners[1])).c_str());
  POINTERS_EQUAL(&s.limits, &limits_of(s, s.listeners[0]));
  POINTERS_EQUAL(&s.limits, &limits_of(s, s.listeners[2]));
}

TEST(Settings, what_is_for_all_clients_together_no_listener_can_say) {
  STRCMP_EQUAL(
      "mqloop.yaml:2:32: listeners.a.limits: unknown key 'memory'; did you mean 'limits.memory'?\n"
      "mqloop.yaml:2:55: listeners.a.limits.retain: unknown key 'max_messages'; did you mean "
      "'limits.retain.max_messages'?\n"
      "mqloop.yaml:2:81: listeners.a.limits.rates: unknown key 'connect'; did you mean 'limits.rates.connect'?\n",
      mistakes_in("listeners: [{name: a, limits: {memory: 1GiB, retain: {max_messages: 1}, rates: {connect: 1/s}}}]\n")
          .c_str());
}

TEST(Settings, limits_of_a_listener_that_contradict_each_other_or_those_of_all) {
  STRCMP_EQUAL(
      "mqloop.yaml:2:47: listeners.a.limits.output.soft: 9MiB is above limits.output.hard 8MiB\n"
      "mqloop.yaml:2:90: limits.output.soft: 1MiB is above listeners.b.limits.output.hard 8KiB\n",
      mistakes_in("listeners: [{name: a, limits: {output: {soft: 9MiB}}}, "
                  "{name: b, limits: {output: {hard: 8KiB}}}]\n")
          .c_str());
  STRCMP_EQUAL("mqloop.yaml:2:50: listeners.a.limits.keep_alive.max: 1500ms is not a whole number of seconds\n",
               mistakes_in("listeners: [{name: a, limits: {keep_alive: {max: 1500ms}}}]\n").c_str());
  STRCMP_EQUAL(
      "mqloop.yaml:3:50: listeners.a.limits.retain.enabled: there are no retained messages with "
      "limits.retain.enabled: false\n",
      mistakes_in("limits: {retain: {enabled: false}}\n"
                  "listeners: [{name: a, limits: {retain: {enabled: true}}}]\n")
          .c_str());
}

TEST(Settings, a_broken_include_does_not_make_the_rest_look_wrong) {
  folder.write("conf.d/users.yaml", "plugins: [{name: users\n");
  STRCMP_EQUAL(
      "conf.d/users.yaml:1:11: this '{' is never closed\n"
      "    plugins: [{name: users\n"
      "              ^\n",
      mistakes_in("auth: {chains: {default: {authenticate: [users]}}}\n").c_str());
}

TEST(Settings, overrides_are_checked_like_the_file) {
  overrides = {"limits.max_qos=3", "limts.max_qos=1", "listeners.local.chain=x"};
  STRCMP_EQUAL(
      "--set: unknown key 'limts'; did you mean 'limits'?\n"
      "--set: limits.max_qos: 3 is above the maximum 2\n"
      "--set: listeners.local.chain: there is no chain named 'x' in auth.chains\n",
      mistakes_in("").c_str());
}

}  // namespace mqloop::broker
