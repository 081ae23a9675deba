// A chain run that waits for a plugin: what hook_chain.cc keeps when a hook has returned without an answer. Lives in
// its caller's PendingRun, on the reactor's thread; holds copies of what the rest of the chain still has to be asked
// with.
//
//   waiting for steps[step]
//     its answer comes                decided: tell the owner, end     pass: ask the next
//     its deadline passes             on_timeout deny: tell, end       on_timeout pass: ask the next
//     the PendingRun is cancelled     end; the answer is abandoned
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/broker/hook_chain.h"
#include "core/event/loop.h"
#include "core/event/timer_wheel.h"

namespace mqloop::broker {

class HookRun {
 public:
  virtual ~HookRun() = default;
};

// What differs between the matters that a chain is asked about.
struct Authentication {
  using Request = ConnectRequest;
  using Verdict = AuthVerdict;
  using Owner = AuthenticateOwner;

  // What a verdict is before anybody has answered.
  static Verdict begin(const HookContext& /*request*/) { return {}; }
  // Whether this plugin is to be asked at all.
  static bool concerns(HookChains& hooks, const PluginInstance& instance, const Request& request) {
    return !request.has_authentication_method || knows(hooks, instance, request.authentication_method);
  }
  static void ask(const PluginInstance& instance, const Request& request, detail::PendingAnswer* answer) {
    instance.authenticator->authenticate(request, AuthReply(answer));
  }
  // True when the answer ends the chain.
  static bool weigh(const PluginInstance& instance, const detail::PendingAnswer& answer, Verdict& verdict);
  static void deny(const PluginInstance& instance, ReasonCode code, std::string_view reason, Verdict& verdict);
  static void tell(Owner& owner, Verdict verdict) noexcept { owner.on_authenticated(std::move(verdict)); }
  template <typename Use>
  static void each_text(Request& request, Use use) {
    for (std::string_view* text : {&request.client_id, &request.user_name, &request.password, &request.peer_address,
                                   &request.listener, &request.authentication_method, &request.authentication_data}) {
      use(*text);
    }
  }

 protected:
  static bool knows(HookChains& hooks, const PluginInstance& instance, std::string_view method) noexcept {
    return hooks.instance_knows(instance, method);
  }
};

// One step of an exchange, weighed like a CONNECT.
struct AuthenticationStep : Authentication {
  struct Request : AuthStep {
    Request(const AuthStep& step, const PluginInstance* only) noexcept : AuthStep(step), challenger(only) {}
    const PluginInstance* challenger;  // null: whoever knows the method
  };

  static bool concerns(HookChains& hooks, const PluginInstance& instance, const Request& request) {
    return request.challenger != nullptr ? request.challenger == &instance
                                         : knows(hooks, instance, request.authentication_method);
  }
  static void ask(const PluginInstance& instance, const Request& request, detail::PendingAnswer* answer) {
    instance.authenticator->continue_auth(request, AuthReply(answer));
  }
  template <typename Use>
  static void each_text(Request& request, Use use) {
    for (std::string_view* text : {&request.client_id, &request.user_name, &request.authentication_method,
                                   &request.authentication_data, &request.peer_address, &request.listener}) {
      use(*text);
    }
  }
};

struct Authorization {
  using Request = Access;
  using Verdict = AccessVerdict;
  using Owner = AuthorizeOwner;

  static Verdict begin(const Request& request) {
    Verdict verdict;
    verdict.may_be_narrowed =
        request.kind == AccessKind::kSubscribe && request.subscribe_rule == SubscribeRule::kOverlap;
    return verdict;
  }
  static bool concerns(HookChains& /*hooks*/, const PluginInstance& /*instance*/, const Request& /*request*/) noexcept {
    return true;
  }
  static void ask(const PluginInstance& instance, const Request& request, detail::PendingAnswer* answer) {
    instance.authorizer->authorize(request, AuthorizeReply(answer));
  }
  static bool weigh(const PluginInstance& instance, const detail::PendingAnswer& answer, Verdict& verdict);
  static void deny(const PluginInstance& instance, ReasonCode code, std::string_view reason, Verdict& verdict);
  static void tell(Owner& owner, Verdict verdict) noexcept { owner.on_authorized(std::move(verdict)); }
  template <typename Use>
  static void each_text(Request& request, Use use) {
    for (std::string_view* text : {&request.client_id, &request.user_name, &request.topic, &request.share_name,
                                   &request.listener, &request.peer_address}) {
      use(*text);
    }
  }
};

// A request with bytes of its own.
template <typename Matter>
class KeptRequest {
 public:
  explicit KeptRequest(const typename Matter::Request& borrowed) : request_(borrowed) {
    std::size_t size = 0;
    Matter::each_text(request_, [&](std::string_view& text) { size += text.size(); });
    bytes_ = std::make_unique<char[]>(size);
    char* out = bytes_.get();
    Matter::each_text(request_, [&](std::string_view& text) {
      text = {out, text.copy(out, text.size())};
      out += text.size();
    });
  }
  [[nodiscard]] const typename Matter::Request& get() const noexcept { return request_; }

 private:
  std::unique_ptr<char[]> bytes_;
  typename Matter::Request request_;
};

template <typename Matter>
class ChainRun final : public HookRun, private AnswerWaiter {
 public:
  using Verdict = typename Matter::Verdict;

  ChainRun(HookChains& hooks, const HookChains::Steps& steps, std::size_t step, const typename Matter::Request& request,
           Verdict so_far, typename Matter::Owner& owner, Ref<detail::PendingAnswer> answer)
      : hooks_(hooks), steps_(steps), step_(step), verdict_(std::move(so_far)), owner_(owner) {
    ++hooks_.runs_waiting_;
    if (step_ + 1 < steps_.size()) rest_ = std::make_unique<KeptRequest<Matter>>(request);
    wait_for(std::move(answer));
  }
  ~ChainRun() override {
    --hooks_.runs_waiting_;
    deadline_.stop();
    if (answer_) answer_->abandon();
  }

  static void put(PendingRun& place, std::unique_ptr<ChainRun> run) noexcept {
    run->place_ = &place;
    place.run_ = std::move(run);
  }

 private:
  [[nodiscard]] const PluginInstance& instance() const noexcept { return *steps_[step_]; }

  void wait_for(Ref<detail::PendingAnswer> answer) noexcept {
    answer_ = std::move(answer);
    answer_->wait(*this);
    hooks_.loop_.timers().start(deadline_, event::add_saturating(hooks_.loop_.now(), instance().timeout));
  }

  void on_answer() noexcept override {
    deadline_.stop();
    const Ref<detail::PendingAnswer> answer = std::move(answer_);
    if (hooks_.weigh<Matter>(instance(), *answer, verdict_)) return finish();
    go_on();
  }

  void on_deadline() noexcept {
    answer_->abandon();
    answer_ = nullptr;
    hooks_.answer_is_late(instance());
    if (instance().on_timeout == OnTimeout::kPass) return go_on();
    Matter::deny(instance(), ReasonCode::kServerUnavailable, "no answer in time", verdict_);
    finish();
  }

  void go_on() noexcept {
    if (++step_ < steps_.size()) {
      Ref<detail::PendingAnswer> waiting;
      if (!hooks_.ask_from<Matter>(steps_, step_, rest_->get(), verdict_, waiting)) return wait_for(std::move(waiting));
    }
    finish();
  }

  // The owner finds its place empty, and may start the next run there or destroy it.
  void finish() noexcept {
    const std::unique_ptr<HookRun> self = std::move(place_->run_);
    Matter::tell(owner_, std::move(verdict_));
  }

  HookChains& hooks_;
  const HookChains::Steps& steps_;
  std::size_t step_;
  Verdict verdict_;
  typename Matter::Owner& owner_;
  PendingRun* place_ = nullptr;
  Ref<detail::PendingAnswer> answer_;
  std::unique_ptr<KeptRequest<Matter>> rest_;  // null when the last plugin is being asked
  event::MemberTimer<ChainRun, &ChainRun::on_deadline> deadline_{*this};
};

}  // namespace mqloop::broker
