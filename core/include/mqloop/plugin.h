// Plugins: what decides who may enter and who may do what, where messages are kept and spread, and what bytes travel
// on.
//
// THREADING RULES
// 1. One plugin object serves all reactors. Its hooks are const and may run on several threads at the same time. What
//    changes lives in the per-reactor object that start() returns, which only its reactor touches, or behind a lock of
//    the plugin's own. configure() comes before every hook, stop() after the last one.
// 2. Do not block in a hook: everything else on that reactor waits. Keep the reply and answer later; a reply may be
//    answered from any thread, and ReactorApi::post() and submit() bring work to where it belongs.
// 3. Borrowed arguments (every string_view, span and reference) die when the hook returns: copy what you keep.
//
// A plugin is a shared object that exports one C symbol, made by MQLOOP_PLUGIN at the end of its source file. It
// derives from one of the bases below (AuthenticatorPlugin, AuthorizerPlugin, TransportPlugin, PublisherPlugin), or
// from Plugin and several interfaces. A plugin that throws from a hook has denied; the log says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/plugin_abi.h>
#include <mqloop/protocol.h>
#include <mqloop/reactor_api.h>
#include <mqloop/reason_code.h>
#include <mqloop/ref.h>
#include <mqloop/secret.h>
#include <mqloop/status.h>

namespace mqloop {

class Authenticator;
class Authorizer;
class Publisher;
class Transport;
struct PeerIdentity;

// What a plugin keeps for one reactor; derive from it, return it from Plugin::start().
class MQLOOP_API PluginLocal {
 public:
  virtual ~PluginLocal();
};

class MQLOOP_API Plugin {
 public:
  virtual ~Plugin();

  // Names the options of the plugin's `config:` block. Called on a fresh object, before anything else.
  virtual void describe(Schema& schema);
  // The checked options, defaults filled in. A failure keeps the broker from starting, or a reload from taking place;
  // say where with ConfigNode::error(). For mistakes in a file of the plugin's own the text has a line for each of
  // them, `rules.acl:2:11: what is wrong`, and they are told like those of the configuration.
  virtual Status configure(const ConfigNode& config);
  // Once for each reactor, on its thread, before any hook runs there. The object (may be null) is handed to the hooks
  // as local<T>() and destroyed on that thread after the last one.
  virtual std::unique_ptr<PluginLocal> start(ReactorApi& reactor);
  // After the last hook. Outstanding replies have been answered or dropped.
  virtual void stop() noexcept;

  // Which interfaces this plugin implements; the returned objects live as long as the plugin.
  virtual Authenticator* authenticator() noexcept;
  virtual Authorizer* authorizer() noexcept;
  virtual Transport* transport() noexcept;
  virtual Publisher* publisher() noexcept;
};

// Names one connection for as long as the broker runs; never used twice.
struct ConnectionHandle {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  friend bool operator==(const ConnectionHandle&, const ConnectionHandle&) = default;
};

// What every hook is told besides its own matter.
class HookContext {
 public:
  HookContext(PluginLocal* local, ReactorApi& reactor, ConnectionHandle connection) noexcept
      : local_(local), reactor_(&reactor), connection_(connection) {}

  // This reactor's object from start(); T is what start() returned.
  template <typename T>
  [[nodiscard]] T& local() const noexcept {
    return static_cast<T&>(*local_);
  }
  [[nodiscard]] ReactorApi& reactor() const noexcept { return *reactor_; }
  [[nodiscard]] ConnectionHandle connection() const noexcept { return connection_; }

 private:
  PluginLocal* local_;
  ReactorApi* reactor_;
  ConnectionHandle connection_;
};

namespace detail {
class PendingAnswer;
}

// ---- who may enter ------------------------------------------------------------------------------------------------

// A CONNECT that asks to be let in (3.1). Absent and empty are different things for user name and password.
struct ConnectRequest : HookContext {
  explicit ConnectRequest(const HookContext& context) noexcept : HookContext(context) {}

  std::string_view client_id;  // the assigned one when the client sent none
  bool has_user_name = false;
  std::string_view user_name;
  bool has_password = false;
  std::string_view password;  // any bytes; never log it
  ProtocolVersion version = ProtocolVersion::kV5;
  bool clean_start = true;
  std::uint16_t keep_alive = 0;  // seconds, as asked for
  std::string_view peer_address;
  std::string_view listener;  // its name in the configuration

  // Enhanced authentication (MQTT 5.0, 4.12): the client wants an exchange by this method. Only plugins that
  // knows_method() are asked then.
  bool has_authentication_method = false;
  std::string_view authentication_method;
  bool has_authentication_data = false;
  std::string_view authentication_data;  // any bytes; never log it

  // Who the transport knows at the other end (<mqloop/peer_identity.h>); null when it knows an address and no more.
  const PeerIdentity* peer = nullptr;
};

// What an authenticator keeps of one exchange between two packets of its client: derive from it and give it to
// AuthReply::challenge(); it comes back in the AuthStep. Whoever lets go of it last destroys it, on any thread.
class MQLOOP_API AuthState : public SharedObject {
 protected:
  ~AuthState() override;
};

// An AUTH packet of a client (3.15): its answer to a challenge, or the first word of a re-authentication (4.12.1).
// While a client authenticates anew its connection goes on as it was, also while this plugin's answer is late.
struct AuthStep : HookContext {
  explicit AuthStep(const HookContext& context) noexcept : HookContext(context) {}

  // The client that entered long ago authenticates anew, under the name that it entered with: in `user_name`. What it
  // is accepted as may not differ, for the session belongs to that name; another one ends the connection.
  bool reauthenticates = false;
  // What challenge() was given; null in the first step of a re-authentication, and when it was given none.
  AuthState* state = nullptr;

  std::string_view client_id;
  bool has_user_name = false;  // before the client is let in: as in CONNECT
  std::string_view user_name;
  std::string_view authentication_method;  // always that of CONNECT [MQTT-4.12.0-5]
  bool has_authentication_data = false;
  std::string_view authentication_data;  // any bytes; never log it
  std::string_view peer_address;
  std::string_view listener;           // its name in the configuration
  const PeerIdentity* peer = nullptr;  // as in ConnectRequest
};

// The answer to a ConnectRequest or an AuthStep, to be given once, now or later, from any thread. Answers after the
// first are ignored; a reply destroyed unanswered rejects; one that comes after the client has gone or the deadline has
// passed is ignored. Authentication Data is at most 65,535 bytes: with more the client is refused.
class MQLOOP_API AuthReply {
 public:
  // For the host: takes over one reference to what collects the answer.
  explicit AuthReply(detail::PendingAnswer* pending) noexcept : pending_(pending) {}
  AuthReply(AuthReply&& other) noexcept : pending_(std::exchange(other.pending_, nullptr)) {}
  AuthReply& operator=(AuthReply&& other) noexcept {
    std::swap(pending_, other.pending_);
    return *this;
  }
  ~AuthReply();

  // Lets the client in under the user name that it gave.
  void accept() noexcept;
  // Lets it in under another name, which authorization and `%u` will see.
  void accept(std::string_view user_name) noexcept;
  // The same with the last Authentication Data of an exchange, in CONNACK or, after a re-authentication, in AUTH. To a
  // client that named no method none is sent.
  void accept_with(std::string_view authentication_data) noexcept;
  void accept_with(std::string_view authentication_data, std::string_view user_name) noexcept;
  // Asks the client to go on, by AUTH with this data (empty: without any); its answer comes to continue_auth(), with
  // `state`. A client that named no method cannot be asked and is refused.
  void challenge(std::string_view authentication_data, Ref<AuthState> state = nullptr) noexcept;
  // Refuses. `code` goes to the client (0x80 and above; mapped for 3.x), `reason` to the log and, when the client asked
  // for problem information, into the Reason String. kBadUserNameOrPassword is the usual code.
  void reject(ReasonCode code, std::string_view reason) noexcept;
  // The same, with words of its own for the log: for what the client must not learn, such as whether it was the user
  // name or the password that was wrong.
  void reject(ReasonCode code, std::string_view reason, std::string_view log_reason) noexcept;
  // Not mine: the next plugin of the chain decides. After a challenge there is no next one: that refuses the client.
  void pass() noexcept;

 private:
  detail::PendingAnswer* pending_;
};

class MQLOOP_API Authenticator {
 public:
  virtual ~Authenticator();
  virtual void authenticate(const ConnectRequest& request, AuthReply reply) const = 0;

  // Goes on with an exchange that this plugin has challenged, or begins a re-authentication. Without this function
  // every step is refused.
  virtual void continue_auth(const AuthStep& step, AuthReply reply) const;
  // Whether this plugin can authenticate by that method (case counts), such as "SCRAM-SHA-256". A client that names a
  // method is taken only to plugins that say true, whatever else they decide, and when none does it is refused with
  // 0x8C [MQTT-4.12.0-1]. Answers at once; false without this function.
  [[nodiscard]] virtual bool knows_method(std::string_view authentication_method) const;
};

class MQLOOP_API AuthenticatorPlugin : public Plugin, public Authenticator {
 public:
  Authenticator* authenticator() noexcept final { return this; }
};

// ---- who may do what ----------------------------------------------------------------------------------------------

enum class AccessKind : std::uint8_t {
  kPublish,
  kWill,       // asked at CONNECT, and again when the will is published
  kSubscribe,  // to a Topic Filter
  kReceive,    // one message, through a subscription that was granted: authorize_delivery() only
};

// What the configuration wants of a subscription (auth.subscribe).
enum class SubscribeRule : std::uint8_t {
  kOverlap,  // refuse a filter when no topic of it is allowed, else narrow it: check_each_delivery()
  kSubset,   // refuse a filter unless every topic of it is allowed; check_each_delivery() refuses too
};

// What a client is about to do, and who it is. For a message to be delivered the client is the receiver; for the right
// of a retained message (authorize_delivery with kPublish) it is the one that published it, as it was then.
struct Access : HookContext {
  explicit Access(const HookContext& context) noexcept : HookContext(context) {}

  AccessKind kind = AccessKind::kPublish;
  SubscribeRule subscribe_rule = SubscribeRule::kOverlap;  // kSubscribe
  ProtocolVersion version = ProtocolVersion::kV5;
  QoS qos = QoS::kAtMostOnce;  // kSubscribe: as asked for; else of the message, as published
  bool retain = false;         // of the message
  bool has_user_name = false;  // false for a client that was let in anonymously, whatever it sent
  std::string_view client_id;
  std::string_view user_name;
  std::string_view topic;       // the Topic Name. kSubscribe: the Topic Filter, without $share/NAME/
  std::string_view share_name;  // kSubscribe: the NAME of a shared subscription, else empty
  std::string_view listener;    // its name in the configuration
  std::string_view peer_address;
};

// The answer to an Access; the rules of AuthReply hold. A chain needs one allow, and any deny wins.
class MQLOOP_API AuthorizeReply {
 public:
  // For the host: takes over one reference to what collects the answer.
  explicit AuthorizeReply(detail::PendingAnswer* pending) noexcept : pending_(pending) {}
  AuthorizeReply(AuthorizeReply&& other) noexcept : pending_(std::exchange(other.pending_, nullptr)) {}
  AuthorizeReply& operator=(AuthorizeReply&& other) noexcept {
    std::swap(pending_, other.pending_);
    return *this;
  }
  ~AuthorizeReply();

  // The access; of a subscription: every topic of its filter, so that deliveries cost nothing more.
  void allow() noexcept;
  // kSubscribe: some topics of the filter are allowed and some are not. The subscription is granted, and each message
  // for it is shown to authorize_delivery() first. An answer to nothing else: there it denies.
  void check_each_delivery() noexcept;
  // `rule` is for people: which rule decided, such as "rules.acl:12". It goes to the log, and for a client that asked
  // for problem information into the Reason String.
  void deny(std::string_view rule) noexcept;
  // No opinion.
  void pass() noexcept;

 private:
  detail::PendingAnswer* pending_;
};

enum class DeliveryRight : std::uint8_t {
  kUnknown,  // nothing new: what was answered when the subscription was granted, or the message stored, still holds
  kAllow,
  kDeny,
};

struct DeliveryAnswer {
  DeliveryRight right = DeliveryRight::kUnknown;
  // Of kDeny, for the log, as in AuthorizeReply::deny(). Borrowed until the plugin is called again on this reactor: a
  // literal, or text in the object that start() returned.
  std::string_view rule = {};
};

class MQLOOP_API Authorizer {
 public:
  virtual ~Authorizer();
  virtual void authorize(const Access& access, AuthorizeReply reply) const = 0;
  // May this message be delivered? Asked at once and for each message, so it must answer from memory. An exception
  // denies. It is asked, with every authorizer of the client's chain,
  //   kReceive  of a message for a subscription that an authorizer answered with check_each_delivery(), when it is
  //             delivered, replayed or queued, and again when it leaves the queue. Any deny holds it back; else it
  //             needs an allow, or an authorizer that had allowed the whole filter.
  //   kPublish  of a retained message that is about to be sent to a new subscription: has its publisher still the
  //             right to publish it? Any deny holds it back.
  [[nodiscard]] virtual DeliveryAnswer authorize_delivery(const Access& access) const;
};

class MQLOOP_API AuthorizerPlugin : public Plugin, public Authorizer {
 public:
  Authorizer* authorizer() noexcept final { return this; }
};

}  // namespace mqloop

// The name of the function that returns the plugin block: the one that the loader looks for, or with MQLOOP_BUILTIN,
// where plugins are linked into a program (a test), one for each class: mqloop_builtin_<Class>().
#ifdef MQLOOP_BUILTIN
#define MQLOOP_PLUGIN_FUNCTION(Class) mqloop_builtin_##Class
#else
#define MQLOOP_PLUGIN_FUNCTION(Class) mqloop_plugin_info
#endif

// Exports `Class`, whose name is written without a namespace, as the plugin of this shared object. At file scope, once.
#define MQLOOP_PLUGIN(Class, name, version, summary)                                 \
  extern "C" MQLOOP_API const mqloop_plugin_block* MQLOOP_PLUGIN_FUNCTION(Class)() { \
    static const mqloop_plugin_block block = {                                       \
        MQLOOP_PLUGIN_MAGIC,                                                         \
        static_cast<uint32_t>(sizeof(mqloop_plugin_block)),                          \
        MQLOOP_ABI_MAJOR,                                                            \
        MQLOOP_ABI_MINOR,                                                            \
        MQLOOP_BUILD_FLAGS,                                                          \
        name,                                                                        \
        version,                                                                     \
        summary,                                                                     \
        []() -> void* { return static_cast<::mqloop::Plugin*>(new Class); },         \
        [](void* plugin) { delete static_cast<::mqloop::Plugin*>(plugin); },         \
    };                                                                               \
    return &block;                                                                   \
  }
