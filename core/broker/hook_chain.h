// A reactor's calls of its plugins' hooks: one HookChains per reactor, used on its thread alone. It runs the two kinds
// of chain, one plugin after the other, under the guard: an exception or an answer dropped denies, an answer that is
// late by the instance's `timeout` is replaced by its `on_timeout`, a hook that is slow itself is counted and named in
// the log.
//
//   authenticate   first accept, reject or challenge wins, pass asks the next; after the last pass nobody has decided
//                  (kPassed). With an Authentication Method only those that know it are asked
//   continue_auth  the one that has challenged; for the first step of a re-authentication as authenticate
//   authorize      an empty chain allows; else any deny wins, and one allow is needed
//   authorize_delivery   all are asked, at once: any deny wins; else one allow says kAllow, and none kUnknown, which
//                        leaves it with what was decided before
//
// A run that ends inside the hooks gives its verdict at once and has allocated nothing. Else it is kept in a
// PendingRun, which the caller owns: the owner is called back in a later turn, once, and a PendingRun that is destroyed
// before that (its client has gone) never calls. One run judges one matter; who has several, a SUBSCRIBE with its
// filters, starts the next when it has the verdict of the one before.
//
// After a reload a reactor has the HookChains of the new configuration, and for a while those of the one before, until
// nothing waits for its plugins any more. What an instance counted goes on under its name; an instance that is the same
// plugin object in both (a transport, the publisher) also keeps its object for this reactor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/plugin.h>
#include <mqloop/reason_code.h>
#include <mqloop/ref.h>

#include "core/broker/components.h"
#include "core/broker/counters.h"
#include "core/broker/pending_answer.h"

namespace mqloop::event {
class Loop;
}

namespace mqloop::broker {

enum class AuthOutcome : std::uint8_t {
  kPassed,  // nobody of the chain knows this client: the rule for anonymous ones decides
  kAccepted,
  kRejected,
  kChallenged,  // the client is to be asked to go on
};

struct AuthVerdict {
  AuthOutcome outcome = AuthOutcome::kPassed;
  ReasonCode code = ReasonCode::kSuccess;  // of kRejected, one that CONNACK may carry
  const PluginInstance* by = nullptr;      // who decided; null with kPassed
  std::optional<std::string> user_name;    // kAccepted: another name than the client gave
  std::string reason;                      // kRejected, for the Reason String; well-formed UTF-8, no U+0000
  std::string log_reason;                  // kRejected, for the log; empty: it gets `reason`
  std::string data;                        // kAccepted, kChallenged: Authentication Data for the client, if any
  Ref<AuthState> state;                    // kChallenged: to be given to the next step
};

class HookRun;

class AuthenticateOwner {
 public:
  virtual void on_authenticated(AuthVerdict verdict) noexcept = 0;

 protected:
  ~AuthenticateOwner() = default;
};

struct AccessVerdict {
  bool allowed = false;
  bool whole = false;                  // of a subscription: somebody allowed every topic of its filter
  bool each_delivery = false;          // of a subscription: somebody wants to see each delivery first
  bool may_be_narrowed = false;        // the matter is one that check_each_delivery() may answer
  const PluginInstance* by = nullptr;  // who decided; null when the chain is empty or nobody allowed
  std::string rule;                    // of a refusal, for the log and the Reason String; as AuthVerdict::reason
};

struct DeliveryVerdict {
  DeliveryRight right = DeliveryRight::kUnknown;
  const PluginInstance* by = nullptr;  // of kDeny
  std::string_view rule = {};          // of kDeny; borrowed until a hook is called again
};

class AuthorizeOwner {
 public:
  virtual void on_authorized(AccessVerdict verdict) noexcept = 0;

 protected:
  ~AuthorizeOwner() = default;
};

// A place for one run that waits for a plugin. It stays where it is: the run knows it, and empties it before the owner
// is called.
class PendingRun {
 public:
  PendingRun() noexcept;
  PendingRun(const PendingRun&) = delete;
  PendingRun& operator=(const PendingRun&) = delete;
  ~PendingRun();

  [[nodiscard]] bool waiting() const noexcept { return run_ != nullptr; }
  // The owner will not be called; an answer that still comes is ignored.
  void cancel() noexcept;

 private:
  template <typename Matter>
  friend class ChainRun;
  std::unique_ptr<HookRun> run_;
};

// What one plugin instance did on one reactor. Written by the reactor, read by anybody.
struct HookStatistics {
  Counter calls;
  Counter later;     // did not answer inside the hook
  Counter failed;    // threw
  Counter dropped;   // destroyed the reply unanswered
  Counter timeouts;  // had not answered in time
  Counter slow;      // of the calls that were timed (1 in 64), those that held up the reactor for longer than kBudget
};

class HookChains {
 public:
  static constexpr std::chrono::microseconds kBudget{1000};

  // `loop` and `components` outlive this; `before` is what the reactor had until now, if it had any.
  HookChains(event::Loop& loop, const Components& components, const HookChains* before = nullptr);
  HookChains(const HookChains&) = delete;
  HookChains& operator=(const HookChains&) = delete;
  ~HookChains();

  // Calls start() of every plugin that was not started `before`. On the reactor's thread, before anything else.
  [[nodiscard]] Status start();
  // Late answers are dropped from here on, and the plugins' objects for this reactor destroyed. On the reactor's
  // thread, when no PendingRun is left.
  void stop() noexcept;

  // The context to begin a ConnectRequest or an Access with; each plugin is given its own local object in it.
  [[nodiscard]] HookContext context(ConnectionHandle connection) noexcept;

  // The verdict, or nothing: then `run` waits for it. `request` is borrowed for the call; what is still needed of it is
  // copied. `chain` and `owner` outlive the run. `run` is not waiting.
  [[nodiscard]] std::optional<AuthVerdict> authenticate(const Chain& chain, const ConnectRequest& request,
                                                        AuthenticateOwner& owner, PendingRun& run);
  // An AUTH of a client. `challenger` is who has challenged; null in the first step of a re-authentication, which any
  // plugin of the chain may take that knows the method.
  [[nodiscard]] std::optional<AuthVerdict> continue_auth(const Chain& chain, const AuthStep& step,
                                                         const PluginInstance* challenger, AuthenticateOwner& owner,
                                                         PendingRun& run);
  // Whether a plugin of the chain knows this Authentication Method.
  [[nodiscard]] bool knows_method(const Chain& chain, std::string_view method) noexcept;
  [[nodiscard]] std::optional<AccessVerdict> authorize(const Chain& chain, const Access& access, AuthorizeOwner& owner,
                                                       PendingRun& run);

  // Never waits. `access` is borrowed for the call.
  [[nodiscard]] DeliveryVerdict authorize_delivery(const Chain& chain, const Access& access);

  // Of Components::instances[index].
  [[nodiscard]] const HookStatistics& statistics(std::uint32_t index) const noexcept;
  // A PendingRun waits for one of these plugins.
  [[nodiscard]] bool is_waiting() const noexcept { return runs_waiting_ != 0; }

 private:
  template <typename Matter>
  friend class ChainRun;
  friend struct Authentication;
  struct InstanceState;
  using Steps = std::vector<const PluginInstance*>;
  using Answer = Ref<detail::PendingAnswer>;

  template <typename Matter>
  std::optional<typename Matter::Verdict> judge(const Steps& steps, const typename Matter::Request& request,
                                                typename Matter::Owner& owner, PendingRun& run);
  // Asks from `step` on. True: there is a verdict. False: steps[step] has not answered yet and `waiting` will be.
  template <typename Matter>
  bool ask_from(const Steps& steps, std::size_t& step, const typename Matter::Request& request,
                typename Matter::Verdict& verdict, Answer& waiting);
  // The guard around one hook. False: it threw.
  template <typename Matter>
  bool ask(const PluginInstance& instance, const typename Matter::Request& request, detail::PendingAnswer& answer);
  // `call` with the request that is this plugin's own, counted, timed and caught. False: it threw.
  template <typename Request, typename Call>
  bool guarded(const PluginInstance& instance, const Request& request, Call call);

  // The same around a plugin's word on a method; one that throws does not know it.
  bool instance_knows(const PluginInstance& instance, std::string_view method) noexcept;

  // True when the answer ends the chain.
  template <typename Matter>
  bool weigh(const PluginInstance& instance, const detail::PendingAnswer& answer, typename Matter::Verdict& verdict);

  InstanceState& state_of(const PluginInstance& instance) noexcept { return *states_[instance.index]; }
  void hook_failed(const PluginInstance& instance, std::string_view what) noexcept;
  void hook_was_slow(const PluginInstance& instance, std::chrono::microseconds took) noexcept;
  void answer_is_late(const PluginInstance& instance) noexcept;
  Answer fresh_answer();
  void keep_for_next(Answer answer) noexcept;

  event::Loop& loop_;
  const Components& components_;
  std::vector<std::unique_ptr<InstanceState>> states_;  // by PluginInstance::index
  std::size_t runs_waiting_ = 0;
  Ref<AnswerGate> gate_;
  Answer spare_;  // what the last answer was given in, when nobody keeps it
};

}  // namespace mqloop::broker
