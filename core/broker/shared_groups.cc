#include "core/broker/shared_groups.h"

#include <algorithm>
#include <utility>

#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

// ---- messages ------------------------------------------------------------------------------------------------------

void SharedGroups::deliver(std::uint32_t subscriber, RoutedMessage& message, RecipientNotes* notes) {
  Group& group = *groups_.occupant(subscriber & ~kGroup);
  SharedOffer offer;
  offer.name = group.name;
  if (notes == nullptr) {
    dispatch(std::move(offer), message);
    return;
  }
  // The publisher hears of the group first, then of the member.
  TargetBlock& block = notes->block;
  if (shard_.publishing().notes_everything() || (group.members.is_durable() && message.qos() != QoS::kAtMostOnce)) {
    block.groups.push_back(group.name);
    Recipient recipient;
    recipient.qos = message.qos();
    recipient.session_is_durable = group.members.is_durable();
    recipient.group = group.name->text();
    block.note(recipient, message.message());
  }
  offer.message = message.message();
  if (sources_.size() <= block.turn.source) sources_.resize(block.turn.source + 1);
  Source& source = sources_[block.turn.source];
  std::uint32_t& held = group.held[static_cast<std::size_t>(message.qos())];
  // What waits for the packet identifier that it gets from a member waits there.
  const bool waits =
      notes->hold == Hold::kEverything || (notes->hold == Hold::kExactlyOnce && message.qos() == QoS::kExactlyOnce);
  if (waits || held != 0) {
    ++held;
    insert_by_turn(source.held, {block.turn.number, std::move(offer), true});
  } else {
    // A block with slices is given late: what is in a later one must not come first.
    if (notes->in_slices) ++held;
    insert_by_turn(source.named, {block.turn.number, std::move(offer), notes->in_slices});
  }
}

void SharedGroups::given(const TurnId& turn) {
  if (turn.source >= sources_.size()) return;
  const auto next = [&](std::deque<Waiting>& named) {
    return std::find_if(named.begin(), named.end(), [&](const Waiting& one) { return one.turn == turn.number; });
  };
  for (;;) {
    std::deque<Waiting>& named = sources_[turn.source].named;
    const auto found = next(named);
    if (found == named.end()) return;
    if (found->counted) forget_held(found->offer);
    SharedOffer offer = std::move(found->offer);
    named.erase(found);
    dispatch(std::move(offer));
  }
}

void SharedGroups::release(std::uint32_t source, std::uint64_t turn) {
  if (source >= sources_.size()) return;
  std::deque<Waiting>& held = sources_[source].held;
  while (!held.empty() && held.front().turn <= turn) {
    SharedOffer offer = std::move(held.front().offer);
    held.pop_front();
    forget_held(offer);
    dispatch(std::move(offer));
  }
}

// Of its name there may be another group by now.
void SharedGroups::forget_held(const SharedOffer& offer) {
  Group* group = find(offer.name->text());
  if (group != nullptr && group->name == offer.name) --group->held[static_cast<std::size_t>(offer.message->qos())];
}

void SharedGroups::dispatch(SharedOffer offer) {
  RoutedMessage message(offer.message);
  shard_.delivery().begin();
  dispatch(std::move(offer), message);
}

void SharedGroups::dispatch(SharedOffer offer, RoutedMessage& message) {
  if (message.expires_at() <= shard_.loop().now()) {
    drop(offer, offer.message.get(), DropCause::kExpired);
    return;
  }
  const SharedStrategy strategy = shard_.settings().shared_subscriptions.strategy;
  const std::uint64_t topic_hash = strategy == SharedStrategy::kHashTopic ? shard_.client_key(message.topic()) : 0;
  Group* group = find(offer.name->text());
  while (group != nullptr) {
    SharedMember* member = group->members.choose(
        strategy, offer.to_queue ? SharedGroup::For::kQueueing : SharedGroup::For::kSending, topic_hash, offer.tried);
    if (member == nullptr) {
      if (offer.to_queue) break;
      offer.to_queue = true;
      offer.tried.clear();
      continue;
    }
    ++member->in_flight;
    offer.member = member->number;
    offer.slot = member->slot;
    offer.place = member->place;
    if (const std::uint32_t home = member->home; home != shard_.index()) {
      offer.message = message.message();
      shard_.shared_mail().send(home, std::move(offer));
      return;
    }
    if (shard_.shared_members().take(offer, message)) return;
    --member->in_flight;  // a member that takes nothing changes nothing here
    offer.tried.push_back(offer.member);
  }
  drop(offer, offer.message.get(), DropCause::kNoMember);
}

void SharedGroups::returned(SharedOffer offer) {
  Group* group = find(offer.name->text());
  SharedMember* member = group == nullptr ? nullptr : group->members.find(offer.member);
  if (member != nullptr && member->in_flight != 0) --member->in_flight;
  offer.tried.push_back(offer.member);
  dispatch(std::move(offer));
}

void SharedGroups::drop(const SharedOffer& offer, const Message* message, DropCause cause) {
  shard_.counters().drop(cause);
  if (message != nullptr) shard_.publishing().group_done(offer.name->text(), *message);
}

// ---- members -------------------------------------------------------------------------------------------------------

SharedGroups::Group* SharedGroups::find(std::string_view text) noexcept {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? nullptr : groups_.find(found->second);
}

SlotHandle SharedGroups::create(const Ref<const SharedName>& name) {
  const auto created = groups_.emplace();
  Group& group = *created.object;
  group.name = name;
  group.filter = route(name, false);
  Subscriber subscriber;
  subscriber.session = created.handle.slot | kGroup;
  subscriber.options = Subscriber::kSharedGroup;
  shard_.subscribers().put(group.filter, subscriber);
  by_text_.emplace(group.name->text(), created.handle);
  return created.handle;
}

FilterId SharedGroups::route(const Ref<const SharedName>& name, bool durable) {
  return shard_.routes().add(mqtt::parse_shared(name->text())->filter, shard_.index(), durable).filter;
}

void SharedGroups::end(SlotHandle handle) {
  Group& group = *groups_.find(handle);
  const auto removed = shard_.subscribers().remove(group.filter, handle.slot | kGroup);
  if (removed && removed->last) shard_.routes().remove(group.filter, shard_.index());
  by_text_.erase(group.name->text());
  groups_.erase(handle);
}

void SharedGroups::join(SharedJoin& join) {
  const auto found = by_text_.find(join.name->text());
  const SlotHandle handle = found == by_text_.end() ? create(join.name) : found->second;
  SharedGroup& members = groups_.find(handle)->members;
  const bool was_durable = members.is_durable();
  members.put(join.member);
  if (members.is_durable() && !was_durable) route(join.name, true);
  if (join.asker.generation != 0) shard_.shared_mail().send(join.member.home, SharedJoined{join.asker});
}

void SharedGroups::leave(const SharedLeave& leave) {
  const auto found = by_text_.find(leave.name->text());
  if (found == by_text_.end()) return;
  const SlotHandle handle = found->second;
  Group& group = *groups_.find(handle);
  if (group.members.remove(leave.member) && group.members.empty()) end(handle);
}

void SharedGroups::finished(const SharedFinished& finished) {
  Group* group = find(finished.name->text());
  SharedMember* member = group == nullptr ? nullptr : group->members.find(finished.member);
  if (member != nullptr) member->in_flight -= std::min(member->in_flight, finished.count);
}

void SharedGroups::restore(std::string_view group, Ref<const Message> message) {
  const Group* present = find(group);
  SharedOffer offer;
  offer.name = present != nullptr ? present->name : SharedName::create(group);
  offer.message = std::move(message);
  restored_.push_back(std::move(offer));
}

void SharedGroups::begin() {
  for (SharedOffer& offer : std::exchange(restored_, {})) dispatch(std::move(offer));
}

void SharedGroups::clear() {
  groups_.for_each([this](SlotHandle handle, Group&) { end(handle); });
  sources_.clear();
}

}  // namespace mqloop::broker
