#include <cassert>
#include <cstdio>
#include <exception>
#include <utility>

#include <unistd.h>

#include <mqloop/testing/plugin_harness.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/broker/hook_chain.h"
#include "core/config/check.h"
#include "core/config/yaml_reader.h"
#include "core/event/reactor.h"
#include "core/event/worker_pool.h"
#include "core/plugin/loader.h"

namespace mqloop::testing {

namespace {

constexpr std::size_t kWorkers = 2;
constexpr std::size_t kMostWaitingWork = 100;
constexpr std::chrono::seconds kWorkersEnd{5};

// Where verdicts arrive.
struct Verdicts final : broker::AuthenticateOwner, broker::AuthorizeOwner {
  void on_authenticated(broker::AuthVerdict verdict) noexcept override { auth = std::move(verdict); }
  void on_authorized(broker::AccessVerdict verdict) noexcept override { access = std::move(verdict); }

  std::optional<broker::AuthVerdict> auth;
  std::optional<broker::AccessVerdict> access;
};

template <typename Request>
void describe_client(const TestClient& client, Request& request) {
  request.client_id = client.client_id;
  request.has_user_name = client.user_name.has_value();
  if (client.user_name) request.user_name = *client.user_name;
}

Access access_of(const TestClient& client, const HookContext& context, AccessKind kind, std::string_view topic, QoS qos,
                 bool retain) {
  Access access(context);
  describe_client(client, access);
  access.version = client.version;
  access.peer_address = client.peer_address;
  access.listener = client.listener;
  access.kind = kind;
  access.topic = topic;
  access.qos = qos;
  access.retain = retain;
  return access;
}

template <typename Request>
void describe_exchange(const TestClient& client, Request& request) {
  if (client.authentication_method) request.authentication_method = *client.authentication_method;
  request.has_authentication_data = client.authentication_data.has_value();
  if (client.authentication_data) request.authentication_data = *client.authentication_data;
  request.peer_address = client.peer_address;
  request.peer = client.peer;
  request.listener = client.listener;
}

}  // namespace

struct PluginHarness::Parts {
  explicit Parts(const mqloop_plugin_block* from) : block(from) {
    auto made = event::Reactor::create({.clock = clock, .log = log, .workers = &workers});
    assert(made.ok());
    reactor = std::move(made.value());
  }
  ~Parts() {
    end_instance();
    workers.stop(kWorkersEnd);
  }

  Status begin_instance(std::string_view yaml);
  Status configure(std::string_view yaml);
  void end_instance() noexcept;
  AuthAnswer step(const TestClient& client);
  AuthAnswer answer_of(const TestClient& client, broker::AuthVerdict verdict);
  void set_timeouts() noexcept {
    for (broker::PluginInstance& instance : components.instances) instance.timeout = timeout;
  }
  // Turns the reactor until the run has its verdict; the run's own timer sees to it that it gets one.
  void wait_for(const broker::PendingRun& run) {
    while (run.waiting() && reactor->run_once(event::Reactor::Wait::kUntilSomethingHappens).ok()) {
    }
  }

  const mqloop_plugin_block* block;
  SystemClock clock;
  StreamLog log{clock, STDERR_FILENO, {}};
  event::WorkerPool workers{kWorkers, kMostWaitingWork};
  std::unique_ptr<event::Reactor> reactor;
  std::chrono::milliseconds timeout{5000};
  SubscribeRule subscribe_rule = SubscribeRule::kOverlap;

  // One instance of the plugin.
  Plugin* plugin = nullptr;
  config::Document options;
  broker::Components components;
  broker::Chain chain;
  std::optional<broker::HookChains> hooks;

  // The exchange under way.
  bool challenged = false;
  bool reauthenticates = false;
  Ref<AuthState> state;
};

Status PluginHarness::Parts::begin_instance(std::string_view yaml) {
  if (Status status = plugin::check_block(block, "the plugin"); !status.ok()) return status;
  try {
    plugin = static_cast<Plugin*>(block->create());
    return configure(yaml);
  } catch (const std::exception& exception) {
    return {StatusCode::kInternal, exception.what()};
  } catch (...) {
    return {StatusCode::kInternal, "unknown exception"};
  }
}

Status PluginHarness::Parts::configure(std::string_view yaml) {
  config::Errors errors;
  config::Document raw;
  const config::Node* root = config::read_yaml(raw, raw.source("config", "."), yaml, errors);
  Schema schema;
  plugin->describe(schema);
  if (errors.empty()) options = config::check(schema, config::Access::handle(root), errors);
  if (!errors.empty()) {
    std::string text = errors.text();
    text.pop_back();  // the last newline
    return invalid_argument(text);
  }
  if (Status status = plugin->configure(options.root()); !status.ok()) return status;

  broker::PluginInstance& instance = components.instances.emplace_back();
  instance.name = block->name;
  instance.plugin = plugin;
  instance.authenticator = plugin->authenticator();
  instance.authorizer = plugin->authorizer();
  if (instance.authenticator != nullptr) chain.authenticate.push_back(&instance);
  if (instance.authorizer != nullptr) chain.authorize.push_back(&instance);
  hooks.emplace(*reactor, components);
  return hooks->start();
}

void PluginHarness::Parts::end_instance() noexcept {
  state = nullptr;
  challenged = false;
  hooks.reset();
  chain = {};
  components = {};
  if (plugin == nullptr) return;
  plugin->stop();
  block->destroy(std::exchange(plugin, nullptr));
}

PluginHarness::PluginHarness(mqloop_plugin_function plugin) : parts_(std::make_unique<Parts>(plugin())) {}

PluginHarness::~PluginHarness() = default;

Status PluginHarness::configure(std::string_view yaml) {
  parts_->end_instance();
  Status status = parts_->begin_instance(yaml);
  if (!status.ok()) parts_->end_instance();
  return status;
}

void PluginHarness::set_timeout(std::chrono::milliseconds timeout) noexcept { parts_->timeout = timeout; }

AuthAnswer PluginHarness::authenticate(const TestClient& client) {
  assert(parts_->hooks.has_value());
  Verdicts verdicts;
  broker::PendingRun run;
  ConnectRequest request(parts_->hooks->context({}));
  describe_client(client, request);
  request.has_password = client.password.has_value();
  if (client.password) request.password = *client.password;
  request.version = client.version;
  request.has_authentication_method = client.authentication_method.has_value();
  describe_exchange(client, request);
  parts_->set_timeouts();
  parts_->reauthenticates = false;
  std::optional<broker::AuthVerdict> verdict = parts_->hooks->authenticate(parts_->chain, request, verdicts, run);
  parts_->wait_for(run);
  return parts_->answer_of(client, *std::move(verdict ? verdict : verdicts.auth));
}

AuthAnswer PluginHarness::Parts::answer_of(const TestClient& client, broker::AuthVerdict verdict) {
  AuthAnswer answer;
  challenged = verdict.outcome == broker::AuthOutcome::kChallenged;
  state = std::move(verdict.state);
  answer.code = verdict.code;
  answer.log_reason = verdict.log_reason.empty() ? verdict.reason : std::move(verdict.log_reason);
  answer.reason = std::move(verdict.reason);
  answer.data = std::move(verdict.data);
  switch (verdict.outcome) {
    case broker::AuthOutcome::kPassed:
      break;
    case broker::AuthOutcome::kAccepted:
      answer.result = AuthResult::kAccepted;
      answer.user_name = verdict.user_name.value_or(client.user_name.value_or(""));
      break;
    case broker::AuthOutcome::kRejected:
      answer.result = AuthResult::kRejected;
      break;
    case broker::AuthOutcome::kChallenged:
      answer.result = AuthResult::kChallenged;
      break;
  }
  return answer;
}

AuthAnswer PluginHarness::Parts::step(const TestClient& client) {
  Verdicts verdicts;
  broker::PendingRun run;
  AuthStep step(hooks->context({}));
  describe_client(client, step);
  describe_exchange(client, step);
  step.reauthenticates = reauthenticates;
  step.state = state.get();
  set_timeouts();
  const broker::PluginInstance* challenger = challenged ? chain.authenticate.front() : nullptr;
  std::optional<broker::AuthVerdict> verdict = hooks->continue_auth(chain, step, challenger, verdicts, run);
  wait_for(run);
  return answer_of(client, *std::move(verdict ? verdict : verdicts.auth));
}

AuthAnswer PluginHarness::continue_auth(const TestClient& client) {
  assert(parts_->challenged);
  return parts_->step(client);
}

AuthAnswer PluginHarness::reauthenticate(const TestClient& client) {
  assert(parts_->hooks.has_value());
  parts_->challenged = false;
  parts_->state = nullptr;
  parts_->reauthenticates = true;
  return parts_->step(client);
}

AccessAnswer PluginHarness::authorize(const TestClient& client, AccessKind kind, std::string_view topic, QoS qos,
                                      bool retain) {
  assert(parts_->hooks.has_value());
  if (parts_->chain.authorize.empty()) return {};
  Verdicts verdicts;
  broker::PendingRun run;
  Access access = access_of(client, parts_->hooks->context({}), kind, topic, qos, retain);
  access.subscribe_rule = parts_->subscribe_rule;
  parts_->set_timeouts();
  std::optional<broker::AccessVerdict> verdict = parts_->hooks->authorize(parts_->chain, access, verdicts, run);
  parts_->wait_for(run);
  if (!verdict) verdict = std::move(verdicts.access);

  AccessAnswer answer;
  if (verdict->by == nullptr) return answer;
  const AccessResult allowed = verdict->each_delivery ? AccessResult::kChecked : AccessResult::kAllowed;
  answer.result = verdict->allowed ? allowed : AccessResult::kDenied;
  answer.rule = std::move(verdict->rule);
  return answer;
}

void PluginHarness::set_subscribe_rule(SubscribeRule rule) noexcept { parts_->subscribe_rule = rule; }

AccessAnswer PluginHarness::authorize_delivery(const TestClient& client, AccessKind kind, std::string_view topic,
                                               QoS qos, bool retain) {
  assert(parts_->hooks.has_value());
  const Access access = access_of(client, parts_->hooks->context({}), kind, topic, qos, retain);
  const broker::DeliveryVerdict verdict = parts_->hooks->authorize_delivery(parts_->chain, access);
  switch (verdict.right) {
    case DeliveryRight::kAllow:
      return {AccessResult::kAllowed, {}};
    case DeliveryRight::kDeny:
      return {AccessResult::kDenied, std::string(verdict.rule)};
    case DeliveryRight::kUnknown:
      break;
  }
  return {};
}

}  // namespace mqloop::testing
