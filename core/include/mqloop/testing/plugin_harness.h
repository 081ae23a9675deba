// For the tests of a plugin: runs its hooks on a real reactor, without a broker and without a network. Link the
// plugin's source with the test and -DMQLOOP_BUILTIN (plugin.mk does both); MQLOOP_PLUGIN then makes a function with a
// name of its own for each class:
//
//   extern "C" const mqloop_plugin_block* mqloop_builtin_AuthBadge();
//   ...
//   mqloop::testing::PluginHarness plugin(mqloop_builtin_AuthBadge);
//   CHECK_TRUE(plugin.configure("badges: {sensor7: s3cret}").ok());
//   CHECK(plugin.authenticate({.client_id = "sensor7", .password = "s3cret"}).result == AuthResult::kAccepted);
//
// The reactor turns on the calling thread, and only inside authenticate() and authorize(), which wait for an answer
// that comes later: from another thread, a timer or a worker. What the plugin logs goes to stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <mqloop/export.h>
#include <mqloop/plugin.h>

namespace mqloop::testing {

struct TestClient {
  std::string client_id = "test-client";
  std::optional<std::string> user_name = {};
  std::optional<std::string> password = {};
  ProtocolVersion version = ProtocolVersion::kV5;
  std::string peer_address = "192.0.2.1:50000";
  std::string listener = "test";
  const PeerIdentity* peer = nullptr;  // borrowed for the call
  // Enhanced authentication; a plugin that does not know the method is not asked, which counts as passed.
  std::optional<std::string> authentication_method = {};
  std::optional<std::string> authentication_data = {};
};

enum class AuthResult : std::uint8_t { kPassed, kAccepted, kRejected, kChallenged };

struct AuthAnswer {
  AuthResult result = AuthResult::kPassed;
  ReasonCode code = ReasonCode::kSuccess;  // of a rejection
  std::string user_name;                   // of an acceptance: the one that the client will have
  std::string reason;                      // of a rejection: what the client may be told
  std::string log_reason;                  // of a rejection: what the log says
  std::string data;                        // Authentication Data for the client
};

enum class AccessResult : std::uint8_t {
  kPassed,
  kAllowed,
  kChecked,  // allowed if each delivery is checked; of authorize_delivery() nothing answers with it
  kDenied,
};

struct AccessAnswer {
  AccessResult result = AccessResult::kPassed;  // for authorize_delivery(): DeliveryRight::kUnknown
  std::string rule;                             // of a denial
};

class MQLOOP_API PluginHarness {
 public:
  explicit PluginHarness(mqloop_plugin_function plugin);
  PluginHarness(const PluginHarness&) = delete;
  PluginHarness& operator=(const PluginHarness&) = delete;
  ~PluginHarness();

  // A new instance with these options: the YAML of a `config:` block, "" for none. A failure is what the broker would
  // say, one mistake a line. Whatever was configured before is stopped and destroyed.
  Status configure(std::string_view yaml);

  // How long an answer may take before it counts as refused: 5 s.
  void set_timeout(std::chrono::milliseconds timeout) noexcept;

  // After configure() has succeeded. A plugin that throws, or drops its reply, has rejected.
  AuthAnswer authenticate(const TestClient& client);
  // The client's AUTH after a challenge, with the client's `authentication_data`; what challenge() kept comes back.
  AuthAnswer continue_auth(const TestClient& client);
  // A client that is in authenticates anew: the first step. What follows a challenge is continue_auth() again.
  AuthAnswer reauthenticate(const TestClient& client);
  AccessAnswer authorize(const TestClient& client, AccessKind kind, std::string_view topic, QoS qos = QoS::kAtMostOnce,
                         bool retain = false);
  // What auth.subscribe says to authorize(): SubscribeRule::kOverlap.
  void set_subscribe_rule(SubscribeRule rule) noexcept;
  // With kReceive the right of `client` to get a message, with kPublish that of the publisher of a retained one.
  AccessAnswer authorize_delivery(const TestClient& client, AccessKind kind, std::string_view topic,
                                  QoS qos = QoS::kAtMostOnce, bool retain = false);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace mqloop::testing
