#include "core/broker/shared_members.h"

#include <utility>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

std::uint32_t SharedMembers::owner_of(std::string_view text) const noexcept {
  return static_cast<std::uint32_t>(shard_.client_key(text) >> 1) % shard_.reactors();
}

SharedMember SharedMembers::describe(const Session& session, const SharedMemberships::Membership& membership,
                                     std::uint32_t place) const {
  SharedMember member;
  member.number = membership.number;
  member.home = shard_.index();
  member.slot = session.slot();
  member.place = place;
  member.qos = membership.qos;
  member.online = session.connection() != nullptr;
  member.durable = session.is_durable();
  member.window = member.online ? session.connection()->receive_maximum() : 0;
  return member;
}

// ---- subscriptions -------------------------------------------------------------------------------------------------

bool SharedMembers::subscribe(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options,
                              Terms terms, ConnectionHandle asker) {
  const std::uint32_t place = join(session, text, options, terms);
  const SharedMemberships::Membership& membership = (*session.shared())[place];
  const bool waits = membership.owner != shard_.index();
  shard_.shared_mail().send(membership.owner, SharedJoin{membership.name, describe(session, membership, place),
                                                         waits ? asker : ConnectionHandle{}});
  return waits;
}

void SharedMembers::restore(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options,
                            Terms terms) {
  const std::uint32_t place = join(session, text, options, terms);
  const SharedMemberships::Membership& membership = (*session.shared())[place];
  SharedJoin item{membership.name, describe(session, membership, place), ConnectionHandle{}};
  shard_.peer(membership.owner).shared_groups().join(item);
}

std::uint32_t SharedMembers::restore_place(Session& session, std::string_view text) {
  SharedMemberships& memberships = session.make_shared();
  const std::uint32_t found = memberships.find(text);
  if (found != memberships.size()) return found;
  SharedMemberships::Membership membership;
  membership.name = SharedName::create(text);
  membership.number = ++joined_ * shard_.reactors() + shard_.index();
  membership.owner = owner_of(text);
  const std::uint32_t place = memberships.add(std::move(membership));
  memberships.leave(place);
  return place;
}

std::uint32_t SharedMembers::join(Session& session, std::string_view text, const mqtt::SubscriptionOptions& options,
                                  Terms terms) {
  SharedMemberships& memberships = session.make_shared();
  std::uint32_t place = memberships.find(text);
  if (place == memberships.size()) {
    memberships.free_places(session.outbound());
    SharedMemberships::Membership membership;
    membership.name = SharedName::create(text);
    membership.number = ++joined_ * shard_.reactors() + shard_.index();
    membership.owner = owner_of(text);
    place = memberships.add(std::move(membership));
    shard_.counters().subscriptions.add();
    shard_.counters().shared_subscriptions.add();
  }
  SharedMemberships::Membership& membership = memberships[place];
  membership.identifier = terms.identifier;
  membership.access = terms.access;
  membership.qos = options.maximum_qos;
  membership.retain_as_published = options.retain_as_published;
  return place;
}

bool SharedMembers::unsubscribe(Session& session, std::string_view text) {
  SharedMemberships* memberships = session.shared();
  if (memberships == nullptr) return false;
  const std::uint32_t place = memberships->find(text);
  if (place == memberships->size()) return false;
  const SharedMemberships::Membership membership = (*memberships)[place];
  memberships->leave(place);
  shard_.counters().subscriptions.subtract();
  shard_.counters().shared_subscriptions.subtract();
  shard_.shared_mail().send(membership.owner, SharedLeave{membership.name, membership.number});
  if (Outbound* outbound = session.outbound()) {
    give_back_unsent(session, membership, place + 1);
    for (OutboundEntry& queued : outbound->take_queued(place + 1)) give_back(membership, std::move(queued.message));
    shard_.delivery().pump(session);  // what stood behind those
    session.free_outbound_if_empty();
  }
  memberships->free_places(session.outbound());
  session.free_shared_if_empty();
  return true;
}

// What has a packet identifier already, but has to wait in the window for its turn.
void SharedMembers::give_back_unsent(Session& session, const SharedMemberships::Membership& membership,
                                     std::uint32_t share) {
  Outbound& outbound = *session.outbound();
  for (std::size_t i = outbound.in_flight() - outbound.to_send(); i != outbound.in_flight();) {
    OutboundEntry& entry = outbound.window_at(i);
    if (entry.sent || entry.share != share) {
      ++i;
      continue;
    }
    shard_.publishing().delivery_event(DeliveryEventKind::kReturned, session, entry);
    if (entry.counted && session.connection() != nullptr) session.connection()->send_quota().give_back();
    Ref<const Message> message = entry.message;
    outbound.finish(&entry);
    give_back(membership, std::move(message));
  }
}

void SharedMembers::state_changed(Session& session) {
  SharedMemberships* memberships = session.shared();
  if (memberships == nullptr) return;
  for (std::uint32_t place = 0; place != memberships->size(); ++place) {
    const SharedMemberships::Membership& membership = (*memberships)[place];
    if (!membership.active()) continue;
    shard_.shared_mail().send(membership.owner,
                              SharedJoin{membership.name, describe(session, membership, place), ConnectionHandle{}});
  }
}

void SharedMembers::session_ends(Session& session) {
  SharedMemberships* memberships = session.shared();
  if (memberships == nullptr) return;
  for (std::uint32_t place = 0; place != memberships->size(); ++place) {
    const SharedMemberships::Membership& membership = (*memberships)[place];
    if (membership.active()) {
      shard_.shared_mail().send(membership.owner, SharedLeave{membership.name, membership.number});
    }
  }
  Outbound* outbound = session.outbound();
  for (std::size_t i = 0; outbound != nullptr && i != outbound->in_flight(); ++i) {
    const OutboundEntry& sent = outbound->window_at(i);
    if (sent.share == 0) continue;
    const SharedMemberships::Membership& membership = (*memberships)[sent.share - 1];
    if (sent.state == mqtt::SenderState::kAwaitPubrec && !sent.kept) {  // it was the group's all the time
      shard_.publishing().group_done(membership.name->text(), *sent.message);
    }
    if (sent.sent && sent.state != mqtt::SenderState::kAwaitPuback) continue;
    shard_.publishing().delivery_event(DeliveryEventKind::kReturned, session, sent);
    give_back(membership, sent.message);
  }
  if (outbound != nullptr) {
    for (OutboundEntry& queued : outbound->take_queued(0)) {
      give_back((*memberships)[queued.share - 1], std::move(queued.message));
    }
  }
  forget(session);
}

void SharedMembers::forget(Session& session) {
  if (session.shared() == nullptr) return;
  shard_.counters().subscriptions.subtract(session.shared()->count());
  shard_.counters().shared_subscriptions.subtract(session.shared()->count());
  session.drop_shared();
}

void SharedMembers::give_back(const SharedMemberships::Membership& membership, Ref<const Message> message) {
  SharedOffer offer;
  offer.group = membership.group;
  offer.name = membership.name.get();
  offer.message = std::move(message);
  shard_.shared_mail().send(membership.owner, SharedReturn{std::move(offer)});
}

// ---- messages ------------------------------------------------------------------------------------------------------

bool SharedMembers::take(const SharedOffer& offer, RoutedMessage& message) {
  Session* session = shard_.sessions().at(offer.slot);
  if (session == nullptr || session->shared() == nullptr || offer.place >= session->shared()->size()) return false;
  SharedMemberships::Membership& membership = (*session->shared())[offer.place];
  if (membership.number != offer.member) return false;
  membership.group = offer.group;
  return shard_.delivery().deliver_shared(*session, message, membership, offer.place + 1, offer.to_queue);
}

void SharedMembers::offered(SharedOffer offer, RoutedMessage& message) {
  shard_.delivery().begin();
  if (take(offer, message)) return;
  offer.message = message.message();
  const std::uint32_t owner = owner_of(offer.name->text());
  shard_.shared_mail().send(owner, SharedReturn{std::move(offer)});
}

void SharedMembers::finished(Session& session, std::uint32_t share, const Message* message) {
  const SharedMemberships::Membership& membership = (*session.shared())[share - 1];
  if (message != nullptr) shard_.publishing().group_done(membership.name->text(), *message);
  if (membership.active()) {
    shard_.shared_mail().send(membership.owner, SharedFinished{membership.group, membership.number, 1});
  }
}

}  // namespace mqloop::broker
