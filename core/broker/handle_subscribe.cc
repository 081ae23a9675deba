// SUBSCRIBE and UNSUBSCRIBE (3.8 to 3.11): every filter is judged before the first one takes effect, then each counts
// as a packet of its own, in order [MQTT-3.8.4-5] [MQTT-3.10.4-6].
#include <algorithm>
#include <utility>
#include <vector>

#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

namespace {

// SUBACK of 3.x knows one failure [MQTT-3.9.3-2].
ReasonCode for_version(ReasonCode code, ProtocolVersion version) noexcept {
  return is_error(code) && version != ProtocolVersion::kV5 ? ReasonCode::kUnspecifiedError : code;
}

}  // namespace

template <typename Packet>
void Connection::send_answer(const Packet& packet, bool later) {
  if (mqtt::encoded_size(packet, version()) > maximum_packet_size_) {  // [MQTT-3.1.2-24]
    close(ReasonCode::kPacketTooLarge, "the answer would be larger than the client's Maximum Packet Size");
    return;
  }
  if (!later) {
    send(packet);
    return;
  }
  std::vector<std::uint8_t> bytes(mqtt::encoded_size(packet, version()));
  mqtt::encode(packet, version(), bytes.data());
  shard_.publishing().send_when_complete(handle_, std::move(bytes));
}

ReasonCode Connection::filter_is_acceptable(std::string_view filter) const noexcept {
  const LimitsSettings& limits = shard_.limits();
  if (!mqtt::within_limits(filter, {limits.topics.max_levels, limits.topics.max_length})) {
    return ReasonCode::kTopicFilterInvalid;
  }
  const bool shared = mqtt::is_shared(filter);
  if (shared && !announced_.shared) return ReasonCode::kSharedSubscriptionsNotSupported;
  if (!announced_.wildcard && mqtt::has_wildcard(filter)) {
    return ReasonCode::kWildcardSubscriptionsNotSupported;
  }
  return ReasonCode::kSuccess;
}

// What the entries of one SUBSCRIBE share.
struct Connection::Subscribing {
  std::uint32_t identifier;
  bool ack_later = false;   // SUBACK waits for the publisher
  std::uint32_t joins = 0;  // and for so many owners of groups
};

Connection::Flow Connection::handle_subscribe(const mqtt::SubscribePacket& packet) {
  shard_.publishing().settle();
  std::size_t question = 0;
  for (const mqtt::SubscriptionRequest request : packet.subscriptions) {
    if (is_error(filter_is_acceptable(request.filter))) continue;
    if (authorize(question++, AccessKind::kSubscribe, request.filter, request.options.maximum_qos, false) == nullptr) {
      return Flow::kWait;
    }
  }
  std::vector<ReasonCode> codes;
  codes.reserve(packet.subscriptions.size());
  Subscribing subscribing{packet.properties.subscription_identifier()};
  question = 0;
  for (const mqtt::SubscriptionRequest request : packet.subscriptions) {
    ReasonCode code = filter_is_acceptable(request.filter);
    if (!is_error(code)) {
      const AccessVerdict& verdict =
          *authorize(question++, AccessKind::kSubscribe, request.filter, request.options.maximum_qos, false);
      code = subscribe_one(request, verdict, subscribing);
    }
    codes.push_back(for_version(code, version()));
  }
  mqtt::SubackPacket suback;
  suback.packet_id = packet.packet_id;
  suback.reason_codes = codes;
  if (subscribing.joins == 0) {
    send_answer(suback, subscribing.ack_later);
    return Flow::kNext;
  }
  // Until the groups' owners have answered no message of theirs can come: SUBACK would promise too much, and what the
  // client sends next must find its subscriptions.
  rare().joins = subscribing.joins;
  rare_->suback_later = subscribing.ack_later;
  rare_->suback.resize(mqtt::encoded_size(suback, version()));
  mqtt::encode(suback, version(), rare_->suback.data());
  wait_for_answer();
  return Flow::kRest;
}

void Connection::shared_subscription_stands() noexcept {
  if (!is_open() || !rare_ || rare_->joins == 0 || --rare_->joins != 0) return;
  std::vector<std::uint8_t> suback = std::exchange(rare_->suback, {});
  if (rare_->suback_later) {
    shard_.publishing().send_when_complete(handle_, std::move(suback));
  } else {
    send_bytes(suback);
  }
  go_on();
}

ReasonCode Connection::subscribe_one(const mqtt::SubscriptionRequest& request, const AccessVerdict& verdict,
                                     Subscribing& packet) {
  if (!verdict.allowed) {
    shard_.counters().subscribes_denied.add();
    log_refusal("deny_subscribe", request.filter, verdict);
    return ReasonCode::kNotAuthorized;
  }
  const LimitsSettings& limits = shard_.limits();
  if (limits.subscriptions.max_per_client != 0 && session_->subscriptions() >= limits.subscriptions.max_per_client &&
      !session_->has_subscription(request.filter)) {
    return ReasonCode::kQuotaExceeded;
  }
  mqtt::SubscriptionOptions options = request.options;
  options.maximum_qos = std::min(options.maximum_qos, static_cast<QoS>(announced_.maximum_qos));
  SubscribeOp op;
  op.client_id = session_->client_id();
  op.session = session_->number();
  op.session_is_durable = session_->is_durable();
  op.filter = request.filter;
  op.qos = options.maximum_qos;
  op.options = mqtt::to_byte(request.options);
  op.identifier = packet.identifier;
  shard_.publishing().subscribe(op);
  if (is_error(op.verdict)) return op.verdict;
  packet.ack_later |= op.ack_later;
  options.maximum_qos = static_cast<QoS>(op.verdict);
  const auto access = static_cast<std::uint8_t>((verdict.each_delivery ? Subscriber::kCheckDelivery : 0U) |
                                                (verdict.whole ? 0U : Subscriber::kNeedsAllow));
  if (mqtt::is_shared(request.filter)) {  // no retained messages (3.8.4)
    if (shard_.shared_members().subscribe(*session_, request.filter, options, {packet.identifier, access}, handle_)) {
      ++packet.joins;
    }
    return op.verdict;
  }
  const Session::Subscribed subscribed = session_->subscribe(request.filter, options, packet.identifier, access);
  const bool send_retained = options.retain_handling == mqtt::RetainHandling::kSendAlways ||
                             (options.retain_handling == mqtt::RetainHandling::kSendIfNew && !subscribed.existed);
  if (send_retained && limits.retain.enabled) {
    shard_.replays().start(*session_, request.filter,
                           {subscribed.filter, options.maximum_qos, packet.identifier, subscribed.existed});
  }
  return op.verdict;
}

Connection::Flow Connection::handle_unsubscribe(const mqtt::UnsubscribePacket& packet) {
  shard_.publishing().settle();
  std::vector<ReasonCode> codes;
  bool ack_later = false;
  for (const std::string_view filter : packet.filters) {
    const bool existed = mqtt::is_shared(filter) ? shard_.shared_members().unsubscribe(*session_, filter)
                                                 : session_->unsubscribe(filter);
    codes.push_back(existed ? ReasonCode::kSuccess : ReasonCode::kNoSubscriptionExisted);
    if (!existed) continue;
    UnsubscribeOp op{session_->client_id(), session_->number(), session_->is_durable(), filter};
    shard_.publishing().unsubscribe(op);
    ack_later |= op.ack_later;
  }
  mqtt::UnsubackPacket unsuback;
  unsuback.packet_id = packet.packet_id;
  unsuback.reason_codes = codes;
  send_answer(unsuback, ack_later);
  return Flow::kNext;
}

}  // namespace mqloop::broker
