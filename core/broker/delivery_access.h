// Asks the authorizers about messages that are on their way out: may this session get this message, and has the
// publisher of a retained message still the right to it (CVE-2018-12546)? The one place for every delivery: live,
// retained, queued, shared. What is refused is logged, once a minute of each kind, and counted (DropCause::kDenied).
//
// Subscribers whose subscription was allowed as a whole do not carry Subscriber::kCheckDelivery; whoever delivers looks
// at that flag first and comes here only for the others. Part of a Shard; its thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include <mqloop/message.h>
#include <mqloop/plugin.h>

#include "core/base/log_brake.h"
#include "core/broker/components.h"
#include "core/broker/hook_chain.h"
#include "core/broker/routed_message.h"

namespace mqloop::broker {

class Session;
class Shard;

class DeliveryAccess {
 public:
  explicit DeliveryAccess(Shard& shard) : shard_(shard) {}

  // `access` is Subscriber::access() of the subscription, or what OutboundEntry::access kept of it.
  [[nodiscard]] bool may_receive(Session& session, std::uint8_t access, const RoutedMessage& message);
  // The same of a member of a shared group whose turn it is. Not counted: it is passed over, the message goes on.
  [[nodiscard]] bool may_take(Session& session, std::uint8_t access, const RoutedMessage& message);
  // Of a retained message that is to be sent to a new subscription.
  [[nodiscard]] bool publisher_may_still(const Message& message);

 private:
  void refuse(LogBrake& brake, std::string_view event, const Principal& principal, std::string_view topic,
              const DeliveryVerdict& verdict);

  Shard& shard_;
  LogBrake delivery_log_;
  LogBrake retained_log_;
};

// An Access with all that `principal` says; the matter itself is the caller's to fill in.
[[nodiscard]] Access access_of(const Principal& principal, const HookContext& context) noexcept;

}  // namespace mqloop::broker
