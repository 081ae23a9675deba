// What the configuration file says, as typed values: what the broker reads at run time instead of looking into a tree.
// Made once by load_settings() and immutable from then on; every reactor may read it. Each default below is the one
// that the schema (settings_schema.cc) gives, so that an embedding program and a test start from the same broker as a
// file that says nothing: a test compares the two.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>
#include <mqloop/log.h>
#include <mqloop/plugin.h>

#include "core/base/log.h"
#include "core/config/document.h"
#include "core/config/errors.h"
#include "core/config/loader.h"
#include "core/event/address_set.h"

namespace mqloop::broker {

struct NodeSettings {
  std::string name = "mqloop";
  std::string data_dir;       // absolute; "" = the installed default, $(localstatedir)/lib/mqloop
  std::string user;           // to become after the listeners are bound; "" = stay
  std::string pid_file;       // absolute; "" = none
  std::uint32_t threads = 0;  // reactors; 0 = one per core
  std::string plugin_dir;     // absolute; "" = found relative to the program
};

// What a hook's deadline answers for the plugin: kPass asks the next one of the chain.
enum class OnTimeout : std::uint8_t { kDeny, kPass };

struct PluginInstanceSettings {
  std::string name;
  std::string plugin;  // <plugin_dir>/<plugin>.so, or
  std::string path;    // this file, absolute; exactly one of the two is set
  std::chrono::milliseconds timeout{2000};
  OnTimeout on_timeout = OnTimeout::kDeny;
  ConfigNode config;    // not checked: the plugin's own schema does that (core/config/check.h)
  ConfigNode position;  // the instance's entry, for messages
};

// Who may enter without an identity, asked after the last `pass`.
enum class Anonymous : std::uint8_t { kNever, kLoopback, kAlways };

struct ChainSettings {
  std::vector<std::string> authenticate;  // names of plugin instances, in order
  std::vector<std::string> authorize;
};

// What becomes of a PUBLISH without permission, besides that it is dropped: its acknowledgement says so (0x87; 3.x has
// no words for it), or the connection ends (5.0: DISCONNECT 0x87).
enum class OnDeniedPublish : std::uint8_t { kReason, kDisconnect };

struct AuthSettings {
  Anonymous anonymous = Anonymous::kLoopback;
  bool i_accept_the_risk = false;
  std::map<std::string, ChainSettings, std::less<>> chains = {{"default", {}}};
  SubscribeRule subscribe = SubscribeRule::kOverlap;
  OnDeniedPublish on_denied_publish = OnDeniedPublish::kReason;
};

struct PublisherSettings {
  std::string plugin = "publisher_memory";
  ConfigNode config;    // not checked, as above
  ConfigNode position;  // the `publisher` block, for messages
};

enum class QueueOverflow : std::uint8_t { kDropOldest, kDropNew, kDisconnect };

struct LimitsSettings {
  std::uint32_t max_connections = 100'000;
  std::chrono::milliseconds connect_timeout{10'000};
  std::uint32_t maximum_packet_size = 1U << 20;
  std::uint32_t packet_size_before_connect = 64U << 10;
  std::uint16_t receive_maximum = 100;  // announced
  std::uint16_t max_in_flight = 512;    // towards a client, when its own Receive Maximum is not lower
  std::uint16_t topic_alias_maximum = 16;
  std::uint8_t max_qos = 2;
  struct {
    bool enabled = true;
    std::uint64_t max_messages = 1'000'000;
    std::uint64_t max_bytes = 1ULL << 30;
  } retain;
  struct Topics {
    std::uint32_t max_levels = 200;
    std::uint32_t max_length = 65'535;
    friend bool operator==(const Topics&, const Topics&) = default;
  } topics;
  struct {
    std::uint32_t max_per_client = 0;  // 0 = no limit
    bool wildcard = true;
    bool shared = true;
  } subscriptions;
  struct {
    std::chrono::milliseconds max_expiry_interval = kInfinite;
    std::uint32_t max_queued_messages = 10'000;
    std::uint64_t max_queued_bytes = 16ULL << 20;
    QueueOverflow overflow = QueueOverflow::kDropOldest;
    bool queue_qos0 = false;
  } session;
  struct {
    std::uint64_t soft = 1ULL << 20;
    std::uint64_t hard = 8ULL << 20;
    std::chrono::milliseconds stall{15'000};
  } output;
  struct {
    std::chrono::milliseconds max{65'535'000};
    double grace = 1.5;
  } keep_alive;
  std::uint64_t reactor_backlog = 4ULL << 20;  // bytes
  std::uint64_t memory = 0;                    // bytes; 0 = no limit
  struct {                                     // a second; 0 = no limit
    double connect = 0;
    double publish_per_client = 0;
    double bytes_per_client = 0;
  } rates;
};

struct ListenerSettings {
  std::string name = "local";
  std::string transport = "tcp";                 // loads the plugin transport_<transport>
  std::optional<std::string> chain = "default";  // a key of AuthSettings::chains; nullopt = `none`, everybody may enter
  bool level_3 = true, level_4 = true, level_5 = true;  // MQTT 3.1, 3.1.1, 5.0
  std::uint32_t max_connections = 10'000;
  std::uint32_t max_connections_per_address = 0;  // 0 = no limit
  double connect_rate = 0;                        // connections a second; 0 = no limit
  // Of the client, also where a proxy told it. Whom `deny_from` has is refused; with an `allow_from`, everybody else
  // too whom that does not have.
  event::AddressSet allow_from;
  event::AddressSet deny_from;
  Anonymous anonymous = Anonymous::kLoopback;
  // For who comes by this listener; nullopt: BrokerSettings::limits. What is there for all clients together
  // (max_connections, retain.max_messages, retain.max_bytes, rates.connect, memory) is always that of the broker.
  std::optional<LimitsSettings> limits;
  ConfigNode config;  // the whole entry; the transport's own keys are not checked yet
};

// Which member of a shared subscription's group gets the next message: see core/broker/shared_group.h.
enum class SharedStrategy : std::uint8_t { kRoundRobin, kLeastInflight, kSticky, kHashTopic };

struct SharedSubscriptionsSettings {
  SharedStrategy strategy = SharedStrategy::kRoundRobin;
};

struct LoggingSettings {
  LogLevel level = LogLevel::kInfo;
  std::map<std::string, LogLevel, std::less<>> levels;  // per module
  LogFormat format = LogFormat::kText;
  std::string file;     // absolute; "" = not into a file
  bool syslog = false;  // to the system's log; neither: stderr
};

struct SysSettings {
  bool enabled = true;
  std::chrono::milliseconds interval{10'000};
};

struct ShutdownSettings {
  std::chrono::milliseconds drain{5'000};
  bool send_disconnect = true;
  bool publish_wills = true;
};

struct BrokerSettings {
  NodeSettings node;
  std::vector<PluginInstanceSettings> plugins;
  AuthSettings auth;
  PublisherSettings publisher;
  std::vector<ListenerSettings> listeners = {{}};
  LimitsSettings limits;
  SharedSubscriptionsSettings shared_subscriptions;
  LoggingSettings logging;
  SysSettings sys;
  ShutdownSettings shutdown;

  // What the ConfigNodes above point into. Empty in settings that no file made.
  config::Document document;
};

// What holds for the clients of a listener, which is one of `settings`.
[[nodiscard]] inline const LimitsSettings& limits_of(const BrokerSettings& settings,
                                                     const ListenerSettings& listener) noexcept {
  return listener.limits ? *listener.limits : settings.limits;
}

// Reads the file and what it includes, applies the overrides, checks everything against describe_core() and gives it
// types. What belongs to plugins is still unchecked: config::check() with the schema of each does that. All mistakes
// are added to `errors`; a broker is to be made of the settings only when there are none. When there are some and the
// settings have a document all the same, they are good enough to load the plugins and find their mistakes too.
[[nodiscard]] MQLOOP_API BrokerSettings load_settings(const config::Input& input, config::Errors& errors);

// The typed form of a tree that was checked against describe_core(). What only a comparison of several values shows (a
// chain that nobody defined, an open door without a signature) is added to `errors`.
[[nodiscard]] BrokerSettings settings_from(config::Document checked, config::Errors& errors);

}  // namespace mqloop::broker
