#include "core/broker/wills.h"

#include <chrono>
#include <optional>
#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/connection.h"
#include "core/broker/delivery_access.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

class Wills::Waiting final : public AuthorizeOwner {
 public:
  Waiting(Wills& wills, std::unique_ptr<StoredWill> will, Ref<const Principal> principal)
      : wills_(wills), will_(std::move(will)), principal_(std::move(principal)) {}

  // The verdict, when it is there at once.
  std::optional<AccessVerdict> ask(HookChains& hooks, const Chain& chain, ConnectionHandle connection) {
    Access access = access_of(*principal_, hooks.context(connection));
    access.kind = AccessKind::kWill;
    access.topic = will_->message->topic();
    access.qos = will_->message->qos();
    access.retain = will_->message->retain();
    return hooks.authorize(chain, access, *this, run_);
  }
  void on_authorized(AccessVerdict verdict) noexcept override {
    wills_.decide(*will_, *principal_, verdict);
    wills_.forget(*this);
  }
  [[nodiscard]] const StoredWill& will() const noexcept { return *will_; }
  [[nodiscard]] const Principal& principal() const noexcept { return *principal_; }

 private:
  Wills& wills_;
  std::unique_ptr<StoredWill> will_;
  Ref<const Principal> principal_;
  PendingRun run_;
};

Wills::Wills(Shard& shard) : shard_(shard) {}

Wills::~Wills() = default;

void Wills::publish(Session& session) {
  std::unique_ptr<StoredWill> will = session.take_will();
  if (!will) return;
  (void)shard_.publishing().session_event(SessionEventKind::kWillTaken, session);
  MQLOOP_FAILPOINT("will_taken");
  if (!session.principal()) return send(*will);
  const Chain* chain = shard_.chain_named(session.principal()->chain());
  if (chain == nullptr) return refuse(*will, *session.principal(), {});
  auto waiting = std::make_unique<Waiting>(*this, std::move(will), session.principal());
  const ConnectionHandle connection =
      session.connection() == nullptr ? ConnectionHandle{} : session.connection()->handle();
  const std::optional<AccessVerdict> verdict = waiting->ask(shard_.hooks(), *chain, connection);
  if (verdict) return decide(waiting->will(), waiting->principal(), *verdict);
  waiting_.push_back(std::move(waiting));
}

void Wills::decide(const StoredWill& will, const Principal& principal, const AccessVerdict& verdict) {
  if (verdict.allowed) {
    send(will);
  } else {
    refuse(will, principal, verdict);
  }
}

void Wills::send(const StoredWill& will) {
  shard_.counters().wills_published.add();
  Ref<const Message> message = will.message;
  if (will.message_expiry_interval) {
    Message::Content content{message->topic(),     message->payload(),  message->properties(),
                             message->qos(),       message->retain(),   {},
                             message->publisher(), message->principal()};
    content.expires_at =
        event::add_saturating(shard_.loop().now(), std::chrono::seconds(*will.message_expiry_interval));
    message = Message::create(content);
  }
  RoutedMessage routed(std::move(message));
  shard_.publishing().publish(routed, PublishOrigin{});
}

void Wills::refuse(const StoredWill& will, const Principal& principal, const AccessVerdict& verdict) {
  shard_.counters().drop(DropCause::kDenied);
  const LogField fields[] = {{"client", principal.client_id()},
                             {"user", principal.user_name()},
                             {"from", principal.peer_address()},
                             {"listener", principal.listener()},
                             {"topic", will.message->topic()},
                             {"by", verdict.by == nullptr ? std::string_view("nobody allowed it") : verdict.by->name},
                             {"rule", verdict.rule}};
  shard_.refusal_log().of_client(shard_.loop().now(), shard_.client_key(principal.client_id()), "deny_will", fields);
}

void Wills::forget(const Waiting& waiting) noexcept {
  std::erase_if(waiting_, [&waiting](const std::unique_ptr<Waiting>& other) { return other.get() == &waiting; });
}

void Wills::drop_waiting() noexcept {
  for (const std::unique_ptr<Waiting>& waiting : std::exchange(waiting_, {})) {
    AccessVerdict verdict;
    verdict.rule = "the broker stopped before there was an answer";
    refuse(waiting->will(), waiting->principal(), verdict);
  }
}

}  // namespace mqloop::broker
