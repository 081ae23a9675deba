// What the tests of hooks stand on: a loop without descriptors whose time the test sets, a log that remembers, and
// plugins that do as they are told.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/log.h>
#include <mqloop/plugin.h>

#include "core/broker/hook_chain.h"
#include "core/event/loop.h"

namespace mqloop::broker::hook_test {

class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const noexcept override { return now_; }
  [[nodiscard]] WallTime wall_now() const noexcept override { return WallTime(now_.time_since_epoch()); }
  void pass(std::chrono::milliseconds time) noexcept { now_ += time; }

 private:
  MonotonicTime now_{std::chrono::hours(1)};
};

class RememberingLog final : public Log {
 public:
  [[nodiscard]] bool enabled(LogLevel level, std::string_view /*module*/) const noexcept override {
    return level <= LogLevel::kInfo;
  }
  void write(LogLevel /*level*/, std::string_view module, std::string_view event,
             std::span<const LogField> fields) noexcept override {
    std::string line = std::string(module) + ": " + std::string(event);
    for (const LogField& field : fields) line += ' ' + std::string(field.key) + '=' + std::string(field.value);
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class FakeLoop final : public event::Loop {
 public:
  FakeLoop(ManualClock& clock, Log& log) : Loop(event::LoopOptions{.clock = clock, .log = log}), clock_(clock) {}

  void turn() {
    forget_time();
    run_turn();
  }
  void pass(std::chrono::milliseconds time) {
    clock_.pass(time);
    turn();
  }
  // Somebody has sent mail since the last call.
  bool take_wake() noexcept { return woken_.exchange(false); }

 private:
  void wake() noexcept override { woken_ = true; }

  ManualClock& clock_;
  std::atomic<bool> woken_{false};
};

// An authenticator whose hook is the test's.
class ScriptedAuthenticator : public AuthenticatorPlugin {
 public:
  using Script = std::function<void(const ConnectRequest&, AuthReply)>;
  explicit ScriptedAuthenticator(Script script) : script_(std::move(script)) {}
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    script_(request, std::move(reply));
  }

 private:
  Script script_;
};

class ScriptedAuthorizer : public AuthorizerPlugin {
 public:
  using Script = std::function<void(const Access&, AuthorizeReply)>;
  using DeliveryScript = std::function<DeliveryAnswer(const Access&)>;
  explicit ScriptedAuthorizer(Script script) : script_(std::move(script)) {}
  void authorize(const Access& access, AuthorizeReply reply) const override { script_(access, std::move(reply)); }
  [[nodiscard]] DeliveryAnswer authorize_delivery(const Access& access) const override {
    return delivery_script ? delivery_script(access) : AuthorizerPlugin::authorize_delivery(access);
  }

  DeliveryScript delivery_script;

 private:
  Script script_;
};

inline Ref<detail::PendingAnswer> fresh_answer(const Ref<AnswerGate>& gate) {
  return Ref<detail::PendingAnswer>::adopt(new detail::PendingAnswer(gate));
}

// Waits for verdicts.
struct Client final : AuthenticateOwner, AuthorizeOwner {
  void on_authenticated(AuthVerdict verdict) noexcept override {
    ++calls;
    auth = std::move(verdict);
    if (then) then();
  }
  void on_authorized(AccessVerdict verdict) noexcept override {
    ++calls;
    access = std::move(verdict);
    if (then) then();
  }

  int calls = 0;
  std::optional<AuthVerdict> auth;
  std::optional<AccessVerdict> access;
  std::function<void()> then;
  PendingRun run;
};

// One reactor with the chain that the test builds, plugin by plugin.
class Bench {
 public:
  PluginInstance& add(Plugin& plugin) {
    PluginInstance instance;
    instance.name = "p" + std::to_string(components.instances.size());
    instance.plugin = &plugin;
    instance.authenticator = plugin.authenticator();
    instance.authorizer = plugin.authorizer();
    instance.index = static_cast<std::uint32_t>(components.instances.size());
    components.instances.push_back(std::move(instance));
    return components.instances.back();
  }
  // When every plugin is there.
  HookChains& open() {
    for (const PluginInstance& instance : components.instances) {
      if (instance.authenticator != nullptr) chain.authenticate.push_back(&instance);
      if (instance.authorizer != nullptr) chain.authorize.push_back(&instance);
    }
    hooks.emplace(loop, components);
    return *hooks;
  }

  std::optional<AuthVerdict> connect(Client& client, std::string client_id = "sensor7", std::string password = "pw") {
    ConnectRequest request(hooks->context({3, 4}));
    request.client_id = client_id;
    request.has_user_name = true;
    request.user_name = "bob";
    request.has_password = true;
    request.password = password;
    request.peer_address = "192.0.2.1:51234";
    request.listener = "local";
    // What the caller holds is gone when a run waits.
    auto verdict = hooks->authenticate(chain, request, client, client.run);
    client_id.assign(client_id.size(), '#');
    password.assign(password.size(), '#');
    return verdict;
  }
  std::optional<AccessVerdict> access(Client& client, std::string topic = "a/b",
                                      AccessKind kind = AccessKind::kSubscribe,
                                      SubscribeRule rule = SubscribeRule::kOverlap) {
    Access request(hooks->context({3, 4}));
    request.kind = kind;
    request.subscribe_rule = rule;
    request.client_id = "sensor7";
    request.topic = topic;
    auto verdict = hooks->authorize(chain, request, client, client.run);
    topic.assign(topic.size(), '#');
    return verdict;
  }

  ManualClock clock;
  RememberingLog log;
  FakeLoop loop{clock, log};
  Components components;
  Chain chain;
  std::optional<HookChains> hooks;
};

}  // namespace mqloop::broker::hook_test
