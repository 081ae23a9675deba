// The owner's side of shared subscriptions (4.8.2): the groups that live on this reactor. A group lives where the hash
// of its name says; there it has an entry of its own in the SubscriberTable, under its filter, and the reactor's bit in
// the RouteTable. Part of a Shard; its thread only.
//
// What becomes of a message that reached a group:
//
//   event                                            waits       offered           with a member
//   its RecipientBlock is given (and, when held,
//   its turn is complete; or, so that hash_topic
//   keeps the order, behind a held one of its QoS)   offered     -                 -
//   the member is there and has room                 -           with the member   -
//   the member is gone, away, full or may not        -           offered to the next, each once; then to be queued
//                                                                with a member whose session stays, each once; then
//                                                                dropped and counted
//   too large for the member, or expired             dropped     dropped           dropped
//   acknowledged, or refused by 0x80 or more         -           -                 done [MQTT-4.8.2-6]
//   the session ends: not sent yet                   -           offered again     offered again
//   the session ends: QoS 1, sent                    -           -                 offered again [MQTT-4.8.2-5]
//   the session ends: QoS 2, sent                    -           -                 done [MQTT-4.8.2-5]
//   the client unsubscribes: not sent yet            -           offered again     offered again
//   the client unsubscribes: sent                    -           -                 completed with it [MQTT-3.10.4-3]
//
// With a passthrough publisher nothing waits. A member is offered a message by mail, or by a call where it lives here.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/base/seeded_hash.h"
#include "core/base/slab_pool.h"
#include "core/broker/counters.h"
#include "core/broker/route_table.h"
#include "core/broker/shared_group.h"
#include "core/broker/shared_mail.h"
#include "core/broker/shared_name.h"
#include "core/broker/target_block.h"

namespace mqloop::broker {

class RoutedMessage;
class Shard;

class SharedGroups {
 public:
  // Set in Subscriber::session of a group, whose slots are not those of sessions.
  static constexpr std::uint32_t kGroup = 0x8000'0000;

  SharedGroups(Shard& shard, HashSeed seed) : shard_(shard), by_text_(0, SeededStringHash{seed}) {}

  // A message matched the filter of the group `subscriber`. `notes` as for Delivery.
  void deliver(std::uint32_t subscriber, RoutedMessage& message, RecipientNotes* notes);
  // The RecipientBlock of this turn has been given: what it named and is not held goes on.
  void given(const TurnId& turn);
  // A turn of `source` is complete: what it held goes on.
  void release(std::uint32_t source, std::uint64_t turn);

  // What the members' homes say.
  void join(SharedJoin& join);
  void leave(const SharedLeave& leave);
  void returned(SharedOffer offer);
  void finished(const SharedFinished& finished);

  // A message of an earlier run that was the group's; before the broker starts. It goes to a member with begin().
  void restore(std::string_view group, Ref<const Message> message);
  void begin();
  // The broker stops.
  void clear();
  [[nodiscard]] std::size_t size() const noexcept { return groups_.size(); }

 private:
  struct Group {
    Ref<const SharedName> name;
    FilterId filter;
    SharedGroup members;
    std::array<std::uint32_t, 3> held{};  // messages that wait for their turns or a late block, by QoS
  };
  struct Waiting {
    std::uint64_t turn;
    SharedOffer offer;
    bool counted;  // in Group::held
  };
  struct Source {
    std::deque<Waiting> named;  // in a block that is still to be given
    std::deque<Waiting> held;   // by the publisher, or behind what waits; in the order of the turns
  };

  Group* find(std::string_view text) noexcept;
  SlotHandle create(const Ref<const SharedName>& name);
  FilterId route(const Ref<const SharedName>& name, bool durable);
  void end(SlotHandle group);
  void forget_held(const SharedOffer& offer);
  // Offers it to one member after the other until one has it, or it is on its way to one.
  void dispatch(SharedOffer offer, RoutedMessage& message);
  void dispatch(SharedOffer offer);
  void drop(const SharedOffer& offer, const Message* message, DropCause cause);

  Shard& shard_;
  SlabPool<Group> groups_;
  // The text is the group's name's.
  std::unordered_map<std::string_view, SlotHandle, SeededStringHash, std::equal_to<>> by_text_;
  std::vector<SharedOffer> restored_;  // until begin()
  std::vector<Source> sources_;        // by reactor: what waits for its blocks and turns
};

}  // namespace mqloop::broker
