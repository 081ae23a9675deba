// Deliveries that one turn is too short for: a message with more subscribers here than Sizes::whole goes to them in
// slices, Sizes::slice deliveries a turn, so that whoever else publishes and receives is not kept waiting.
//
// Order [MQTT-4.6.0-5] [MQTT-4.6.0-6]: a message whose publisher or whose topic is that of a message in here waits
// behind it, in one queue, first come, first served; a message that shares neither with any of them overtakes. So each
// subscriber gets a client's messages in the order they were published, and the messages of a topic, whoever published
// them, in the order they reached this reactor, which is that of the retained values.
//
// Recipients are those who subscribe when the message comes in: cursors are set then. Who subscribes later gets none of
// it, who unsubscribes or ends before his slice gets it no more.
//
// Messages that have piled up behind a fan-out of the same filter to the same subscribers go through the list together:
// a connection then has all of them to write in one turn.
//
// What waits is bounded: a client with kMostOfPublisher messages in here is not read until some are done, and nobody
// who publishes is while there are kMostWaiting messages or kMostBytes.
//
// Part of a Shard; its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/broker/route_table.h"
#include "core/broker/routed_message.h"
#include "core/broker/subscriber_table.h"
#include "core/broker/target_block.h"
#include "core/event/mailbox.h"

namespace mqloop::broker {

class Connection;
class Shard;

class FanOuts {
 public:
  struct Sizes {
    std::size_t whole = 1000;  // subscribers that are served at once
    std::size_t slice = 256;   // deliveries of a turn
    // Deliveries at once of what one connection has sent: behind them the rest of its input waits for the next turn.
    std::size_t of_connection = 16384;
  };
  static constexpr std::uint32_t kMostOfPublisher = 32;
  static constexpr std::size_t kMostWaiting = 1024;
  static constexpr std::size_t kMostBytes = std::size_t{4} << 20;

  explicit FanOuts(Shard& shard) : shard_(shard) {}

  // For tests, before the first message.
  void set_sizes(Sizes sizes) noexcept { sizes_ = sizes; }
  [[nodiscard]] const Sizes& sizes() const noexcept { return sizes_; }

  [[nodiscard]] bool empty() const noexcept { return queue_.empty(); }
  // `message` has to wait behind others here.
  [[nodiscard]] bool concern(const RoutedMessage& message) const noexcept;
  // As Delivery::deliver(), but later. Returns how many subscriptions match.
  std::size_t add(std::span<const FilterId> filters, RoutedMessage& message, std::uint64_t retained_sequence,
                  const RecipientNotes* notes);
  // A slice; once a turn.
  void run();
  // All that is left, at once: the broker stops.
  void finish();

  // The client whose Session::client_key() this is has enough in here.
  [[nodiscard]] bool are_full_of(std::uint64_t publisher) const noexcept {
    return !queue_.empty() && has_enough(publisher);
  }
  // Such a client goes on when some of it is done.
  void pause(const Connection& connection);

  [[nodiscard]] std::size_t size() const noexcept { return queue_.size(); }
  // Bytes of the messages in here.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct FanOut {
    [[nodiscard]] bool done() const noexcept { return at == cursors.size(); }
    [[nodiscard]] std::size_t left() const noexcept;
    // Both stand at the beginning of the same list.
    [[nodiscard]] bool can_go_with(const FanOut& other) const noexcept;

    Ref<const Message> message;
    std::uint64_t topic;                                     // its key
    std::vector<std::unique_ptr<SubscriberCursor>> cursors;  // in the order of the filters' slots
    std::size_t at = 0;                                      // the cursor that moves
    std::vector<bool> visited;                               // by slot of the session, where there are several filters
    std::uint64_t retained_sequence = 0;
    Hold hold = Hold::kNothing;
    TargetBlock* block = nullptr;  // null: the publisher does not want to know
  };

  [[nodiscard]] bool has_enough(std::uint64_t publisher) const noexcept;
  std::size_t advance(std::size_t most);
  [[nodiscard]] std::size_t batch_at_front() const noexcept;
  std::size_t visit(FanOut& fan_out, std::size_t most);
  std::size_t visit_one_filter(FanOut& fan_out, RoutedMessage& message, std::size_t most, RecipientNotes* notes);
  std::size_t visit_filters(FanOut& fan_out, RoutedMessage& message, std::size_t most, RecipientNotes* notes);
  std::size_t deliver_merged(FanOut& fan_out, const Subscriber& subscriber, RoutedMessage& message,
                             RecipientNotes* notes);
  void leave();
  void hold_publishers();

  Shard& shard_;
  Sizes sizes_;
  std::deque<FanOut> queue_;
  std::size_t batch_ = 0;  // at the front, those that go together
  std::size_t bytes_ = 0;
  // How many messages have this key.
  std::unordered_map<std::uint64_t, std::uint32_t> publishers_;
  std::unordered_map<std::uint64_t, std::uint32_t> topics_;
  std::vector<ConnectionHandle> paused_;
};

}  // namespace mqloop::broker
