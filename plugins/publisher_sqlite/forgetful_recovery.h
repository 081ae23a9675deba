// ForgetfulRecovery: a Recovery less the retained messages of topics that are kept in memory alone by now. An earlier
// configuration had them kept; nothing would ever change or clear them in the database again.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <mqloop/publisher.h>

#include "plugins/publisher_sqlite/topic_rules.h"

namespace mqloop::publisher_sqlite {

class ForgetfulRecovery final : public Recovery {
 public:
  // `forgotten` gets the topics.
  ForgetfulRecovery(Recovery& recovery, const TopicRules& rules, std::vector<std::string>& forgotten) noexcept
      : recovery_(recovery), rules_(rules), forgotten_(forgotten) {}

  void numbers(const RecoveredNumbers& numbers) override { recovery_.numbers(numbers); }
  void session(const SessionState& state, std::chrono::seconds remaining) override {
    recovery_.session(state, remaining);
  }
  void subscription(const SubscribeOp& subscription) override { recovery_.subscription(subscription); }
  void delivery(const Recipient& delivery, DeliveryState state) override { recovery_.delivery(delivery, state); }
  void received(std::uint16_t packet_id) override { recovery_.received(packet_id); }
  void group_message(std::string_view group, Ref<const Message> message) override {
    recovery_.group_message(group, std::move(message));
  }
  void retained(Ref<const Message> message) override {
    if (rules_.has_rules() && rules_.of(message->topic()) == Durability::kMemory) {
      forgotten_.emplace_back(message->topic());
      return;
    }
    recovery_.retained(std::move(message));
  }
  [[nodiscard]] MonotonicTime time_of(WallTime at) const noexcept override { return recovery_.time_of(at); }

 private:
  Recovery& recovery_;
  const TopicRules& rules_;
  std::vector<std::string>& forgotten_;
};

}  // namespace mqloop::publisher_sqlite
