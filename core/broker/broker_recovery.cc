#include "core/broker/broker_recovery.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/broker/broker.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

BrokerRecovery::BrokerRecovery(Broker& broker, event::Loop& loop)
    : broker_(broker), now_(loop.now()), wall_now_(loop.wall_now()) {}

BrokerRecovery::~BrokerRecovery() {
  if (sessions_ == 0 && left_out_ == 0) return;
  broker_.log().write(left_out_ == 0 ? LogLevel::kInfo : LogLevel::kWarn, "publisher", "recovered",
                      {{"sessions", std::to_string(sessions_)},
                       {"deliveries", std::to_string(deliveries_)},
                       {"left_out", std::to_string(left_out_)}});
}

MonotonicTime BrokerRecovery::time_of(WallTime at) const noexcept {
  if (at == WallTime::max()) return Message::kNever;
  return at <= wall_now_ ? now_ : event::add_saturating(now_, at - wall_now_);
}

void BrokerRecovery::numbers(const RecoveredNumbers& numbers) {
  broker_.start_sessions_above(numbers.session);
  broker_.retained().start_above(numbers.retained);
  for (std::uint32_t i = 0; i != broker_.reactors(); ++i) broker_.shard(i).publishing().start_above(numbers);
}

void BrokerRecovery::session(const SessionState& state, std::chrono::seconds remaining) {
  session_ = nullptr;
  const std::uint64_t key = broker_.shard(0).client_key(state.client_id);
  const auto preferred = static_cast<std::uint32_t>((key >> 1) % broker_.reactors());
  const std::uint32_t home = broker_.directory().claim(state.client_id, preferred);
  shard_ = &broker_.shard(home);
  if (shard_->sessions().find(state.client_id) != nullptr || !state.is_durable()) {
    broker_.directory().abandoned(state.client_id);
    ++left_out_;
    return;
  }
  Identity identity{state.has_user_name, std::string(state.user_name)};
  session_ = &shard_->sessions().create(state.client_id, std::move(identity), state.number);
  broker_.directory().settled(state.client_id);
  session_->set_expiry_interval(state.expiry_interval);
  session_->set_principal(Ref<const Principal>::share(state.principal));
  session_->set_kept(true);
  if (state.will != nullptr) {
    auto will = std::make_unique<StoredWill>();
    will->message = Ref<const Message>::share(state.will->message);
    will->delay_interval = state.will->delay_interval;
    will->message_expiry_interval = state.will->message_expiry_interval;
    session_->set_will(std::move(will));
  }
  shard_->restored(*session_, remaining, state.connected);
  ++sessions_;
}

void BrokerRecovery::subscription(const SubscribeOp& subscription) {
  if (session_ == nullptr) return;
  const bool shared = mqtt::is_shared(subscription.filter);
  const bool valid =
      shared ? mqtt::parse_shared(subscription.filter).has_value() : mqtt::validate_topic_filter(subscription.filter).ok();
  if (!valid) {
    ++left_out_;
    return;
  }
  mqtt::SubscriptionOptions options = mqtt::subscription_options(subscription.options);
  options.maximum_qos = subscription.qos;
  // The rules may be other ones by now.
  const std::uint8_t access = session_->principal() ? Subscriber::kCheckDelivery : std::uint8_t{0};
  if (shared) {
    shard_->shared_members().restore(*session_, subscription.filter, options, {subscription.identifier, access});
  } else {
    session_->subscribe(subscription.filter, options, subscription.identifier, access);
  }
}

void BrokerRecovery::delivery(const Recipient& delivery, DeliveryState state) {
  if (session_ == nullptr) return;
  OutboundEntry entry;
  const bool is_received = state == DeliveryState::kReceived;
  if ((delivery.message == nullptr) != is_received || delivery.qos == QoS::kAtMostOnce ||
      (state == DeliveryState::kQueued) != (delivery.packet_id == 0) ||
      (is_received && delivery.qos != QoS::kExactlyOnce)) {
    ++left_out_;
    return;
  }
  entry.message = Ref<const Message>::share(delivery.message);
  entry.delivery = delivery.delivery;
  entry.identifier = delivery.identifier;
  if (!delivery.identifiers.empty()) {
    entry.identifiers = Ref<const SubscriptionIdentifiers>::adopt(
        new SubscriptionIdentifiers({delivery.identifiers.begin(), delivery.identifiers.end()}));
  }
  if (!delivery.group.empty()) entry.share = shard_->shared_members().restore_place(*session_, delivery.group) + 1;
  entry.packet_id = delivery.packet_id;
  entry.qos = delivery.qos;
  if (state == DeliveryState::kSent) entry.state = mqtt::first_sender_state(delivery.qos);
  if (is_received) entry.state = mqtt::SenderState::kAwaitPubcomp;
  entry.retain = delivery.retain;
  entry.sent = state != DeliveryState::kQueued;
  entry.kept = true;
  entry.access = session_->principal() ? Subscriber::kCheckDelivery : std::uint8_t{0};
  if (session_->make_outbound().restore(std::move(entry))) {
    ++deliveries_;
  } else {
    ++left_out_;
    session_->free_outbound_if_empty();
  }
}

void BrokerRecovery::received(std::uint16_t packet_id) {
  if (session_ == nullptr) return;
  if (packet_id == 0) {
    ++left_out_;
    return;
  }
  session_->received().restore(packet_id, mqtt::ReceiverState::kAwaitPubrel);
}

void BrokerRecovery::group_message(std::string_view group, Ref<const Message> message) {
  if (!mqtt::parse_shared(group)) {
    ++left_out_;
    return;
  }
  Shard& owner = broker_.shard(broker_.shard(0).shared_members().owner_of(group));
  owner.shared_groups().restore(group, std::move(message));
  ++deliveries_;
}

void BrokerRecovery::retained(Ref<const Message> message) {
  if (!mqtt::validate_topic_name(message->topic()).ok() || message->payload().empty()) {
    ++left_out_;
    return;
  }
  broker_.retained().store(std::move(message), 0);
}

}  // namespace mqloop::broker
