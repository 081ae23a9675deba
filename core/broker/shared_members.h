// The home's side of shared subscriptions: what the sessions of this reactor are members of. It tells each group's
// owner who joins and leaves and how its members do, and takes the messages that they are offered. Part of a Shard; its
// thread only. The owner's picture of a member may be old; what is decided here, by the session itself, holds.
#pragma once

#include <cstdint>
#include <string_view>

#include <mqloop/message.h>
#include <mqloop/plugin.h>

#include "core/broker/shared_mail.h"
#include "core/broker/shared_memberships.h"
#include "core/mqtt/subscription_list.h"

namespace mqloop::broker {

class RoutedMessage;
class Session;
class Shard;

class SharedMembers {
 public:
  explicit SharedMembers(Shard& shard) : shard_(shard) {}

  struct Terms {
    std::uint32_t identifier = 0;  // Subscription Identifier, 0: none
    std::uint8_t access = 0;       // as Subscriber::access()
  };
  // A new membership, or one replaced by these options. `text` is a well-formed shared filter. True when `asker` must
  // wait for Connection::shared_subscription_stands(), before which no message can reach the member.
  bool subscribe(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options, Terms terms,
                 ConnectionHandle asker);
  // One of an earlier run, before the broker starts: every reactor's part at once.
  void restore(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options, Terms terms);
  // The place that a delivery of an earlier run came through; the client may have unsubscribed since.
  [[nodiscard]] std::uint32_t restore_place(Session& session, std::string_view text);
  // The reactor that has the group of that name.
  [[nodiscard]] std::uint32_t owner_of(std::string_view text) const noexcept;
  // False when there was no such subscription.
  bool unsubscribe(Session& session, std::string_view text);
  // The client has come or gone, or its session is to be kept for another time.
  void state_changed(Session& session);
  // Before the session's queue and window go: they are given back as far as the standard wants it.
  void session_ends(Session& session);
  // The broker stops: nobody needs to be told.
  void forget(Session& session);

  // Whether the member has taken it. It has not: nothing has changed.
  bool take(const SharedOffer& offer, RoutedMessage& message);
  // The same for one that came by mail: what is not taken goes back.
  void offered(SharedOffer offer, RoutedMessage& message);
  // The session has done with a message that came through its membership `share`: delivered, refused or dropped.
  // `message` is null when the publisher has heard of it by an event of the session.
  void finished(Session& session, std::uint32_t share, const Message* message);

 private:
  std::uint32_t join(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options, Terms terms);
  [[nodiscard]] SharedMember describe(const Session& session, const SharedMemberships::Membership& membership,
                                      std::uint32_t place) const;
  void give_back(const SharedMemberships::Membership& membership, Ref<const Message> message);
  void give_back_unsent(Session& session, const SharedMemberships::Membership& membership, std::uint32_t share);

  Shard& shard_;
  std::uint64_t joined_ = 0;
};

}  // namespace mqloop::broker
