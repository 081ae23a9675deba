// One group of a shared subscription, as its owner knows it: who its members are, how they do, and whose turn it is.
// Owned by the owner's SharedGroups and touched by that reactor's thread alone. It knows nothing of sessions or mail:
// members are told apart by number, and what it knows of them may be a moment old; the member's home has the last word.
//
// Whose turn it is, of the members that are online and have not been tried with this message yet:
//
//   strategy         the next message goes to
//   round_robin      each in turn, those with room in their window before the others
//   least_inflight   the one with the fewest unacknowledged messages of this group; each in turn among equals
//   sticky           the same one as the last, until it goes away or its window is full; then each in turn finds
//   another hash_topic       the one that the topic's hash prefers: a topic keeps its member while that is online,
//   whatever its
//                    window, and who leaves or comes moves only the topics that were or will be its own
//
// When no member is online the same choice is made among those whose session outlives its connection, to be queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include <mqloop/protocol.h>

#include "core/broker/settings.h"

namespace mqloop::broker {

struct SharedMember {
  std::uint64_t number = 0;    // names the membership; never used twice while the broker runs
  std::uint32_t home = 0;      // the reactor of its session
  std::uint32_t slot = 0;      // of its session there
  std::uint32_t place = 0;     // among the session's memberships
  QoS qos = QoS::kAtMostOnce;  // granted
  bool online = false;
  bool durable = false;         // its session outlives its connection
  std::uint32_t window = 0;     // how many unacknowledged messages its client may have
  std::uint32_t in_flight = 0;  // of this group, at the member; counted by the group

  [[nodiscard]] bool has_credit() const noexcept { return in_flight < window; }
};

class SharedGroup {
 public:
  // A new member, or what has changed of one that is there; `in_flight` stays as it was.
  void put(const SharedMember& member);
  // False when there is no such member.
  bool remove(std::uint64_t number);
  // Null when there is none. Valid until the next put or remove.
  [[nodiscard]] SharedMember* find(std::uint64_t number) noexcept;

  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
  // Some member's session outlives its connection.
  [[nodiscard]] bool is_durable() const noexcept { return durable_ != 0; }

  enum class For : std::uint8_t {
    kSending,   // members that are online
    kQueueing,  // those that are away and keep their session; all that are online when there are none
  };
  // Whose turn it is, with the numbers in `tried` left out; null: nobody's. `topic_hash` is needed by hash_topic alone.
  [[nodiscard]] SharedMember* choose(SharedStrategy strategy, For purpose, std::uint64_t topic_hash,
                                     std::span<const std::uint64_t> tried) noexcept;

 private:
  template <typename MayBe>
  SharedMember* next_in_turn(MayBe may_be) noexcept;
  template <typename MayBe>
  SharedMember* least_in_flight(MayBe may_be) noexcept;
  template <typename MayBe>
  SharedMember* preferred(std::uint64_t topic_hash, MayBe may_be) noexcept;
  template <typename MayBe>
  SharedMember* by_strategy(SharedStrategy strategy, std::uint64_t topic_hash, MayBe may_be) noexcept;

  std::vector<SharedMember> members_;
  std::unordered_map<std::uint64_t, std::uint32_t> places_;  // number -> place in members_
  std::uint32_t durable_ = 0;                                // members whose session outlives its connection
  std::uint32_t next_ = 0;                                   // where the turn stands
  std::uint64_t stuck_to_ = 0;                               // the member that got the last message
};

}  // namespace mqloop::broker
