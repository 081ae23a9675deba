#include "core/broker/hook_chain.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include <mqloop/log.h>

#include "core/base/log_brake.h"
#include "core/base/utf8.h"
#include "core/broker/hook_run.h"
#include "core/event/loop.h"
#include "core/mqtt/reason_codes.h"

namespace mqloop::broker {

namespace {

using detail::AnswerKind;
using detail::PendingAnswer;

constexpr std::uint64_t kTimedCalls = 64;  // one call in so many is timed
constexpr std::size_t kLongestReason = 1024;
constexpr std::size_t kMostAuthenticationData = 65535;  // Binary Data (1.5.6)
constexpr std::string_view kLogModule = "plugin";

// What may be sent to a client as a UTF-8 Encoded String, and no more of it than a person reads.
std::string sendable(std::string_view text) {
  text = text.substr(0, kLongestReason);
  text = text.substr(0, text.find('\0'));
  return std::string(text.substr(0, utf8_prefix_length(text)));
}

void complain(event::Loop& loop, LogBrake& brake, LogLevel level, std::string_view event,
              const PluginInstance& instance, LogField detail) noexcept {
  if (!brake.may_log(loop.now())) return;
  const std::uint64_t left_out = brake.take_left_out();
  const std::string count = std::to_string(left_out);
  const LogField fields[] = {{"plugin", instance.name}, detail, {"left_out", count}};
  Log& log = loop.log();
  if (log.enabled(level, kLogModule)) {
    log.write(level, kLogModule, event, std::span<const LogField>(fields, left_out == 0 ? 2 : 3));
  }
}

std::string milliseconds(std::chrono::microseconds time) {
  const auto us = time.count();
  std::string fraction = std::to_string(us % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(us / 1000) + '.' + fraction;
}

}  // namespace

namespace {

// Both may be shared with the HookChains before or after, on the same reactor.
struct StartedPlugin final : SharedObject {
  explicit StartedPlugin(std::unique_ptr<PluginLocal> made) noexcept : local(std::move(made)) {}
  const std::unique_ptr<PluginLocal> local;
};
struct SharedStatistics final : SharedObject {
  HookStatistics counted;
};

}  // namespace

struct HookChains::InstanceState {
  explicit InstanceState(Ref<SharedStatistics> goes_on)
      : counters(goes_on ? std::move(goes_on) : Ref<SharedStatistics>::adopt(new SharedStatistics)),
        statistics(counters->counted) {}
  [[nodiscard]] PluginLocal* local() const noexcept { return started ? started->local.get() : nullptr; }

  Ref<StartedPlugin> started;  // null: not yet, or no more
  Ref<SharedStatistics> counters;
  HookStatistics& statistics;
  LogBrake failures;
  LogBrake slowness;
  LogBrake lateness;
};

// ---- the matters ---------------------------------------------------------------------------------------------------

bool Authentication::weigh(const PluginInstance& instance, const PendingAnswer& answer, Verdict& verdict) {
  switch (answer.kind()) {
    case AnswerKind::kPass:
      return false;
    case AnswerKind::kAcceptAs:
    case AnswerKind::kAccept:
    case AnswerKind::kChallenge:
      if (answer.data().size() > kMostAuthenticationData) {
        deny(instance, ReasonCode::kImplementationSpecificError, "the plugin's Authentication Data is too long",
             verdict);
        return true;
      }
      if (answer.kind() == AnswerKind::kAcceptAs) verdict.user_name.emplace(answer.text());
      verdict.outcome = answer.kind() == AnswerKind::kChallenge ? AuthOutcome::kChallenged : AuthOutcome::kAccepted;
      verdict.by = &instance;
      verdict.data = answer.data();
      verdict.state = answer.auth_state();
      return true;
    case AnswerKind::kReject:
      deny(instance, answer.code(), answer.text(), verdict);
      verdict.log_reason = answer.data().substr(0, kLongestReason);
      return true;
    case AnswerKind::kAcceptChecked:  // AuthReply has no such answer
    case AnswerKind::kNone:
    case AnswerKind::kDropped:
      break;
  }
  deny(instance, ReasonCode::kServerUnavailable, "the plugin gave no answer", verdict);
  return true;
}

void Authentication::deny(const PluginInstance& instance, ReasonCode code, std::string_view reason, Verdict& verdict) {
  const bool fits = is_error(code) && mqtt::may_carry(mqtt::PacketType::kConnack, code, mqtt::Role::kServer);
  verdict.outcome = AuthOutcome::kRejected;
  verdict.code = fits ? code : ReasonCode::kNotAuthorized;
  verdict.by = &instance;
  verdict.reason = sendable(reason);
}

bool Authorization::weigh(const PluginInstance& instance, const PendingAnswer& answer, Verdict& verdict) {
  switch (answer.kind()) {
    case AnswerKind::kPass:
      return false;
    case AnswerKind::kAccept:
    case AnswerKind::kAcceptAs:
      if (!verdict.allowed) verdict.by = &instance;
      verdict.allowed = true;
      verdict.whole = true;
      return false;  // a later one may still deny
    case AnswerKind::kAcceptChecked:
      if (!verdict.may_be_narrowed) {
        deny(instance, ReasonCode::kNotAuthorized, "allowed for some topics only", verdict);
        return true;
      }
      if (!verdict.allowed) verdict.by = &instance;
      verdict.allowed = true;
      verdict.each_delivery = true;
      return false;
    case AnswerKind::kReject:
      deny(instance, answer.code(), answer.text(), verdict);
      return true;
    case AnswerKind::kChallenge:  // not an answer of an AuthorizeReply
    case AnswerKind::kNone:
    case AnswerKind::kDropped:
      break;
  }
  deny(instance, ReasonCode::kNotAuthorized, "the plugin gave no answer", verdict);
  return true;
}

void Authorization::deny(const PluginInstance& instance, ReasonCode /*code*/, std::string_view reason,
                         Verdict& verdict) {
  verdict.allowed = false;
  verdict.by = &instance;
  verdict.rule = sendable(reason);
}

// ---- one reactor's chains ------------------------------------------------------------------------------------------

PendingRun::PendingRun() noexcept = default;
PendingRun::~PendingRun() = default;
void PendingRun::cancel() noexcept { run_.reset(); }

HookChains::HookChains(event::Loop& loop, const Components& components, const HookChains* before)
    : loop_(loop), components_(components), gate_(AnswerGate::open(loop)) {
  for (const PluginInstance& instance : components.instances) {
    const InstanceState* known = nullptr;
    const PluginInstance* namesake = nullptr;
    if (before != nullptr) {
      const auto& instances = before->components_.instances;
      const auto found =
          std::find_if(instances.begin(), instances.end(), [&](const auto& one) { return one.name == instance.name; });
      if (found != instances.end()) {
        namesake = &*found;
        known = before->states_[namesake->index].get();
      }
    }
    auto state = std::make_unique<InstanceState>(known == nullptr ? nullptr : known->counters);
    if (known != nullptr && namesake->plugin == instance.plugin) state->started = known->started;
    states_.push_back(std::move(state));
  }
}

HookChains::~HookChains() { stop(); }

Status HookChains::start() {
  for (const PluginInstance& instance : components_.instances) {
    if (state_of(instance).started) continue;
    std::string failure = "plugin '" + instance.name + "' cannot start: ";
    try {
      state_of(instance).started = Ref<StartedPlugin>::adopt(new StartedPlugin(instance.plugin->start(loop_)));
      continue;
    } catch (const std::exception& exception) {
      failure += exception.what();
    } catch (...) {
      failure += "unknown exception";
    }
    return {StatusCode::kInternal, failure};
  }
  return ok();
}

void HookChains::stop() noexcept {
  gate_->shut();
  for (auto state = states_.rbegin(); state != states_.rend(); ++state) (*state)->started = nullptr;
}

HookContext HookChains::context(ConnectionHandle connection) noexcept { return {nullptr, loop_, connection}; }

const HookStatistics& HookChains::statistics(std::uint32_t index) const noexcept { return states_[index]->statistics; }

std::optional<AuthVerdict> HookChains::authenticate(const Chain& chain, const ConnectRequest& request,
                                                    AuthenticateOwner& owner, PendingRun& run) {
  return judge<Authentication>(chain.authenticate, request, owner, run);
}

std::optional<AuthVerdict> HookChains::continue_auth(const Chain& chain, const AuthStep& step,
                                                     const PluginInstance* challenger, AuthenticateOwner& owner,
                                                     PendingRun& run) {
  return judge<AuthenticationStep>(chain.authenticate, {step, challenger}, owner, run);
}

bool HookChains::knows_method(const Chain& chain, std::string_view method) noexcept {
  return std::any_of(chain.authenticate.begin(), chain.authenticate.end(),
                     [&](const PluginInstance* instance) { return instance_knows(*instance, method); });
}

std::optional<AccessVerdict> HookChains::authorize(const Chain& chain, const Access& access, AuthorizeOwner& owner,
                                                   PendingRun& run) {
  if (chain.authorize.empty()) {
    AccessVerdict nobody_asked;
    nobody_asked.allowed = true;
    nobody_asked.whole = true;
    return nobody_asked;
  }
  return judge<Authorization>(chain.authorize, access, owner, run);
}

DeliveryVerdict HookChains::authorize_delivery(const Chain& chain, const Access& access) {
  DeliveryVerdict verdict;
  for (const PluginInstance* instance : chain.authorize) {
    DeliveryAnswer answer;
    const bool answered =
        guarded(*instance, access, [&](const Access& own) { answer = instance->authorizer->authorize_delivery(own); });
    if (!answered) return {DeliveryRight::kDeny, instance, "the plugin failed"};
    if (answer.right == DeliveryRight::kDeny) return {DeliveryRight::kDeny, instance, answer.rule};
    if (answer.right == DeliveryRight::kAllow) verdict.right = DeliveryRight::kAllow;
  }
  return verdict;
}

template <typename Matter>
std::optional<typename Matter::Verdict> HookChains::judge(const Steps& steps, const typename Matter::Request& request,
                                                          typename Matter::Owner& owner, PendingRun& run) {
  typename Matter::Verdict verdict = Matter::begin(request);
  std::size_t step = 0;
  Answer waiting;
  if (ask_from<Matter>(steps, step, request, verdict, waiting)) return verdict;
  ChainRun<Matter>::put(run, std::make_unique<ChainRun<Matter>>(*this, steps, step, request, std::move(verdict), owner,
                                                                std::move(waiting)));
  return std::nullopt;
}

template <typename Matter>
bool HookChains::ask_from(const Steps& steps, std::size_t& step, const typename Matter::Request& request,
                          typename Matter::Verdict& verdict, Answer& waiting) {
  for (; step < steps.size(); ++step) {
    const PluginInstance& instance = *steps[step];
    if (!Matter::concerns(*this, instance, request)) continue;
    Answer answer = fresh_answer();
    if (!ask<Matter>(instance, request, *answer)) {
      answer->abandon();
      Matter::deny(instance, ReasonCode::kImplementationSpecificError, "the plugin failed", verdict);
      return true;
    }
    if (!answer->detach()) {
      state_of(instance).statistics.later.add();
      waiting = std::move(answer);
      return false;
    }
    const bool decided = weigh<Matter>(instance, *answer, verdict);
    keep_for_next(std::move(answer));
    if (decided) return true;
  }
  return true;
}

template <typename Matter>
bool HookChains::ask(const PluginInstance& instance, const typename Matter::Request& request, PendingAnswer& answer) {
  return guarded(instance, request, [&](const typename Matter::Request& own) {
    answer.add_ref();
    Matter::ask(instance, own, &answer);
  });
}

template <typename Request, typename Call>
bool HookChains::guarded(const PluginInstance& instance, const Request& request, Call call) {
  InstanceState& state = state_of(instance);
  Request own = request;
  static_cast<HookContext&>(own) = HookContext(state.local(), loop_, request.connection());
  const bool timed = state.statistics.calls.value() % kTimedCalls == 0;
  state.statistics.calls.add();
  // The real clock, also in a simulation: this tells about the plugin's code and decides nothing.
  std::chrono::steady_clock::time_point begin;
  if (timed) begin = std::chrono::steady_clock::now();
  try {
    call(own);
  } catch (const std::exception& exception) {
    hook_failed(instance, exception.what());
    return false;
  } catch (...) {
    hook_failed(instance, "unknown exception");
    return false;
  }
  if (timed) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    if (took > kBudget) hook_was_slow(instance, took);
  }
  return true;
}

bool HookChains::instance_knows(const PluginInstance& instance, std::string_view method) noexcept {
  try {
    return instance.authenticator->knows_method(method);
  } catch (const std::exception& exception) {
    hook_failed(instance, exception.what());
  } catch (...) {
    hook_failed(instance, "unknown exception");
  }
  return false;
}

template <typename Matter>
bool HookChains::weigh(const PluginInstance& instance, const PendingAnswer& answer, typename Matter::Verdict& verdict) {
  if (answer.kind() == AnswerKind::kDropped) state_of(instance).statistics.dropped.add();
  return Matter::weigh(instance, answer, verdict);
}

void HookChains::hook_failed(const PluginInstance& instance, std::string_view what) noexcept {
  InstanceState& state = state_of(instance);
  state.statistics.failed.add();
  complain(loop_, state.failures, LogLevel::kError, "exception in a hook", instance, {"what", what});
}

void HookChains::hook_was_slow(const PluginInstance& instance, std::chrono::microseconds took) noexcept {
  InstanceState& state = state_of(instance);
  state.statistics.slow.add();
  complain(loop_, state.slowness, LogLevel::kWarn, "hook held up its reactor", instance, {"ms", milliseconds(took)});
}

void HookChains::answer_is_late(const PluginInstance& instance) noexcept {
  InstanceState& state = state_of(instance);
  state.statistics.timeouts.add();
  complain(loop_, state.lateness, LogLevel::kWarn, "no answer in time", instance,
           {"timeout_ms", std::to_string(instance.timeout.count())});
}

HookChains::Answer HookChains::fresh_answer() {
  if (spare_) return std::move(spare_);
  return Answer::adopt(new PendingAnswer(gate_));
}

void HookChains::keep_for_next(Answer answer) noexcept {
  if (answer->reuse()) spare_ = std::move(answer);
}

}  // namespace mqloop::broker
