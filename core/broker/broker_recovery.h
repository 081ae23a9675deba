// Builds what a publisher gives back of an earlier run into a broker that has not started: each session at a home of
// its own, its subscriptions in the tables, its messages in window and queue. What has to wait for the reactors, timers
// and wills, is left to Shard::begin(). One thread, before start().
//
// What comes from a store may be damaged: a part that cannot be is left out, counted, and told of in one log line.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include <mqloop/publisher.h>

namespace mqloop::event {
class Loop;
}

namespace mqloop::broker {

class Broker;
class Session;
class Shard;

class BrokerRecovery final : public Recovery {
 public:
  BrokerRecovery(Broker& broker, event::Loop& loop);
  ~BrokerRecovery();

  void numbers(const RecoveredNumbers& numbers) override;
  void session(const SessionState& state, std::chrono::seconds remaining) override;
  void subscription(const SubscribeOp& subscription) override;
  void delivery(const Recipient& delivery, DeliveryState state) override;
  void received(std::uint16_t packet_id) override;
  void group_message(std::string_view group, Ref<const Message> message) override;
  void retained(Ref<const Message> message) override;
  [[nodiscard]] MonotonicTime time_of(WallTime at) const noexcept override;

 private:
  Broker& broker_;
  MonotonicTime now_;
  WallTime wall_now_;
  Shard* shard_ = nullptr;      // of the session under way
  Session* session_ = nullptr;  // null: it was left out
  std::uint64_t sessions_ = 0;
  std::uint64_t deliveries_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace mqloop::broker
