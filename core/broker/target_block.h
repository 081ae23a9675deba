// What one reactor, the target, notes of one turn of another, the source, for a publisher that wants to know: the
// RecipientBlock that it will be given. Made when the first message of the turn is resolved here, kept until the last
// slice of the turn's last fan-out is done, then given once. Owned by Publishing; its thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/publisher.h>
#include <mqloop/ref.h>

#include "core/broker/outbound.h"
#include "core/broker/shared_name.h"

namespace mqloop::broker {

// A delivery that waits with its session, held: by a turn, or by its block.
struct HeldDelivery {
  std::uint64_t turn;
  std::uint32_t slot;
  std::uint64_t session;
  std::uint64_t delivery;
  std::uint16_t packet_id;  // 0: it had none
};

struct TargetBlock {
  explicit TargetBlock(TurnId id) : turn(id) {}
  void clear() noexcept {
    recipients.clear();
    messages.clear();
    identifiers.clear();
    groups.clear();
    ended.clear();
  }
  void note(const Recipient& recipient, const Ref<const Message>& message) {
    if (messages.empty() || messages.back() != message) messages.push_back(message);
    recipients.push_back(recipient);
    recipients.back().message = message.get();
  }

  TurnId turn;
  std::vector<Recipient> recipients;
  // What recipients borrow.
  std::vector<Ref<const Message>> messages;
  std::vector<Ref<const SubscriptionIdentifiers>> identifiers;
  std::vector<Ref<const SharedName>> groups;
  std::vector<std::uint64_t> ended;  // numbers of sessions that ended since: nothing of them is wanted any more
  std::uint32_t fan_outs = 0;        // that are not done
  // Of fan-outs in slices, and sent when the block has been given: a publisher hears of a recipient before it hears
  // what became of the delivery.
  std::vector<HeldDelivery> unsent;
};

// Where the recipients of one message are noted.
struct RecipientNotes {
  TargetBlock& block;
  Hold hold = Hold::kNothing;  // what is not sent before the turn is complete
  bool in_slices = false;      // nothing is sent before the block has been given
};

// Whether `hold` is about a delivery of this QoS.
[[nodiscard]] constexpr bool holds(Hold hold, QoS qos, bool session_is_durable) noexcept {
  switch (hold) {
    case Hold::kNothing:
      return false;
    case Hold::kDurableExactlyOnce:
      return qos == QoS::kExactlyOnce && session_is_durable;
    case Hold::kExactlyOnce:
      return qos == QoS::kExactlyOnce;
    case Hold::kEverything:
      return true;
  }
  return true;
}

// Blocks of one source are not always filled in the order of its turns, but what waits for a turn stands in that order.
template <typename Waiting>
void insert_by_turn(std::deque<Waiting>& waiting, Waiting item) {
  if (waiting.empty() || waiting.back().turn <= item.turn) {
    waiting.push_back(std::move(item));
    return;
  }
  const auto after = std::upper_bound(waiting.begin(), waiting.end(), item.turn,
                                      [](std::uint64_t turn, const Waiting& other) { return turn < other.turn; });
  waiting.insert(after, std::move(item));
}

}  // namespace mqloop::broker
