#include "core/broker/delivery_access.h"

#include <span>
#include <string>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"
#include "core/broker/subscriber_table.h"

namespace mqloop::broker {

namespace {

constexpr DeliveryVerdict kChainIsGone{DeliveryRight::kDeny, nullptr, "the chain that it came through is gone"};

}  // namespace

Access access_of(const Principal& principal, const HookContext& context) noexcept {
  Access access(context);
  access.version = principal.version();
  access.has_user_name = principal.has_user_name();
  access.client_id = principal.client_id();
  access.user_name = principal.user_name();
  access.listener = principal.listener();
  access.peer_address = principal.peer_address();
  return access;
}

bool DeliveryAccess::may_receive(Session& session, std::uint8_t access, const RoutedMessage& message) {
  if (may_take(session, access, message)) return true;
  shard_.drop(session, DropCause::kDenied);
  return false;
}

bool DeliveryAccess::may_take(Session& session, std::uint8_t access, const RoutedMessage& message) {
  const Principal* principal = session.principal().get();
  if (principal == nullptr) return true;  // its listener has nobody to ask
  const Chain* chain = shard_.chain_named(principal->chain());
  DeliveryVerdict verdict = kChainIsGone;
  if (chain != nullptr) {
    if (chain->authorize.empty()) return true;
    const Connection* connection = session.connection();
    Access question = access_of(
        *principal, shard_.hooks().context(connection == nullptr ? ConnectionHandle{} : connection->handle()));
    question.kind = AccessKind::kReceive;
    question.qos = message.qos();
    question.retain = message.retain();
    question.topic = message.topic();
    verdict = shard_.hooks().authorize_delivery(*chain, question);
  }
  if (verdict.right == DeliveryRight::kAllow) return true;
  if (verdict.right == DeliveryRight::kUnknown && (access & Subscriber::kNeedsAllow) == 0) return true;
  refuse(delivery_log_, "deny_delivery", *principal, message.topic(), verdict);
  return false;
}

bool DeliveryAccess::publisher_may_still(const Message& message) {
  const Principal* principal = message.principal().get();
  if (principal == nullptr) return true;
  const Chain* chain = shard_.chain_named(principal->chain());
  DeliveryVerdict verdict = kChainIsGone;
  if (chain != nullptr) {
    if (chain->authorize.empty()) return true;
    Access question = access_of(*principal, shard_.hooks().context({}));
    question.kind = AccessKind::kPublish;
    question.qos = message.qos();
    question.retain = true;
    question.topic = message.topic();
    verdict = shard_.hooks().authorize_delivery(*chain, question);
  }
  if (verdict.right != DeliveryRight::kDeny) return true;
  shard_.counters().drop(DropCause::kDenied);
  refuse(retained_log_, "deny_retained", *principal, message.topic(), verdict);
  return false;
}

void DeliveryAccess::refuse(LogBrake& brake, std::string_view event, const Principal& principal, std::string_view topic,
                            const DeliveryVerdict& verdict) {
  if (!shard_.log().enabled(LogLevel::kInfo, "auth") || !brake.may_log(shard_.loop().now())) return;
  const std::uint64_t left_out = brake.take_left_out();
  const std::string count = std::to_string(left_out);
  const LogField fields[] = {{"client", principal.client_id()},
                             {"user", principal.user_name()},
                             {"listener", principal.listener()},
                             {"topic", topic},
                             {"by", verdict.by == nullptr ? std::string_view("nobody allowed it") : verdict.by->name},
                             {"rule", verdict.rule},
                             {"left_out", count}};
  shard_.log().write(LogLevel::kInfo, "auth", event, std::span(fields, left_out == 0 ? 6 : 7));
}

}  // namespace mqloop::broker
