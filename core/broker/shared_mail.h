// What the owner of a shared group and the homes of its members tell each other. One per shard. Told to another reactor
// it goes into that reactor's box, which is posted at the end of the turn: one allocation a turn and pair, in order for
// each pair. Told to the shard's own reactor it takes effect at once. What an offer refers to is borrowed: a box keeps
// the names of groups for its offers, and small messages as copies.
//
//   from home to owner                         from owner to home
//   SharedJoin      a member, new or changed   SharedJoined  messages reach it from here on
//   SharedLeave     a member no more           SharedOffer   a message for it
//   SharedReturn    it cannot take this one
//   SharedFinished  it is done with some
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/plugin.h>
#include <mqloop/ref.h>

#include "core/base/slab_pool.h"
#include "core/broker/shared_group.h"
#include "core/broker/shared_name.h"
#include "core/event/mailbox.h"

namespace mqloop::broker {

class RoutedMessage;
class Shard;

struct SharedJoin {
  Ref<const SharedName> name;
  SharedMember member;
  ConnectionHandle asker;  // waits for SharedJoined; none when the member was there before
};

struct SharedJoined {
  ConnectionHandle asker;
};

struct SharedLeave {
  Ref<const SharedName> name;
  std::uint64_t member = 0;
};

// A message of the group on its way through it.
struct SharedOffer {
  SlotHandle group;  // where it came from; when that has ended, `name` may find another
  const SharedName* name = nullptr;
  Ref<const Message> message;  // null: whoever hands the offer on has it, the box as `copy`
  std::uint32_t copy = 0;
  std::uint64_t member = 0;  // whom it is offered to
  std::uint32_t slot = 0;    // of its session
  std::uint32_t place = 0;   // of the membership
  bool to_queue = false;     // nobody can be sent it now: into the member's queue
  std::vector<std::uint64_t> tried;
};

struct SharedReturn {
  SharedOffer offer;
};

struct SharedFinished {
  SlotHandle group;
  std::uint64_t member = 0;
  std::uint32_t count = 0;
};

using SharedItem = std::variant<SharedJoin, SharedJoined, SharedLeave, SharedOffer, SharedReturn, SharedFinished>;

class SharedMail {
 public:
  SharedMail(Shard& shard, std::uint32_t reactors);
  ~SharedMail();

  void send(std::uint32_t reactor, SharedItem item);
  // The same for an offer of `message` to a member on another reactor.
  void offer(std::uint32_t reactor, SharedOffer offer, RoutedMessage& message);
  // The end of a turn: the boxes go.
  void post();

 private:
  class Box;
  Box& box_for(std::uint32_t reactor);

  Shard& shard_;
  std::vector<std::unique_ptr<Box>> boxes_;
  bool anything_ = false;
};

}  // namespace mqloop::broker
