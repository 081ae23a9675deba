// SUBSCRIBE and UNSUBSCRIBE (3.8 to 3.11): every filter is judged before the first one takes effect, then each counts
// as a packet of its own, in order [MQTT-3.8.4-5] [MQTT-3.10.4-6]. A long one takes several turns, as the FilterBudget
// says: it is handled again from its start, less what is done already. Of a session that is kept nothing is changed
// while the publisher is in trouble.
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
void Connection::send_answer(const Packet& packet, const FilterList& list) {
  if (mqtt::encoded_size(packet, version()) > maximum_packet_size_) {  // [MQTT-3.1.2-24]
    close(ReasonCode::kPacketTooLarge, "the answer would be larger than the client's Maximum Packet Size");
    return;
  }
  const bool in_order = list.in_order && waiting_answers != 0;
  if (!list.ack_later && !in_order) {
    send(packet);
    return;
  }
  std::vector<std::uint8_t> bytes(mqtt::encoded_size(packet, version()));
  mqtt::encode(packet, version(), bytes.data());
  if (list.ack_later) {
    shard_.publishing().send_when_complete(handle_, std::move(bytes));
  } else {
    shard_.publishing().send_behind(handle_, std::move(bytes));
  }
}

bool Connection::subscriptions_are_frozen() const noexcept { return shard_.trouble() && session_->is_kept(); }

// A version that has no way to say no.
Connection::Flow Connection::wait_for_end_of_trouble(FilterList list) {
  wait_for_answer();
  shard_.trouble().wait(*this);
  return wait_with(std::move(list));
}

ReasonCode Connection::filter_is_acceptable(std::string_view filter) const noexcept {
  const LimitsSettings& limits = this->limits();
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

// False: a plugin, or the next turn, has to come first. What it was asked before is not asked again.
bool Connection::judge_subscriptions(const mqtt::SubscribePacket& packet, FilterList& list) {
  if (list.judged) return true;
  list.judged = chain() == nullptr || chain()->authorize.empty();
  if (list.judged) return true;
  std::size_t question = list.question;
  std::size_t skip = list.codes.size();
  for (const mqtt::SubscriptionRequest request : packet.subscriptions) {
    if (skip != 0) {
      --skip;
      continue;
    }
    if (is_error(filter_is_acceptable(request.filter))) continue;
    const bool is_answered = rare_ && question < rare_->verdicts.size();
    if (!is_answered && !take_filter(request.filter)) return false;
    if (authorize(question++, AccessKind::kSubscribe, request.filter, request.options.maximum_qos, false) == nullptr) {
      return false;
    }
  }
  list.judged = true;
  return true;
}

// False: this turn has done its share, the packet goes on in the next.
bool Connection::take_filter(std::string_view filter) {
  if (shard_.filter_budget().take(FilterBudget::cost_of(filter))) return true;
  shard_.resume_later(*this);
  return false;
}

Connection::Flow Connection::wait_with(FilterList list) {
  // Where nothing is done there is nothing to keep. That is so in a rush of clients with a filter each, and what a
  // connection has of Rare it has for good.
  if (!rare_ && list.codes.empty()) return Flow::kWait;
  rare().filters = std::make_unique<FilterList>(std::move(list));
  return Flow::kWait;
}

Connection::FilterList Connection::filters_under_way() {
  if (!rare_ || !rare_->filters) return {};
  FilterList list = std::move(*rare_->filters);
  rare_->filters = nullptr;
  return list;
}

Connection::Flow Connection::handle_subscribe(const mqtt::SubscribePacket& packet) {
  FilterList list = filters_under_way();
  if (version() == ProtocolVersion::kV31 && subscriptions_are_frozen()) return wait_for_end_of_trouble(std::move(list));
  list.identifier = packet.properties.subscription_identifier();
  if (!judge_subscriptions(packet, list)) return wait_with(std::move(list));
  std::size_t skip = list.codes.size();
  list.codes.reserve(packet.subscriptions.size());
  for (const mqtt::SubscriptionRequest request : packet.subscriptions) {
    if (skip != 0) {
      --skip;
      continue;
    }
    if (!take_filter(request.filter)) return wait_with(std::move(list));
    ReasonCode code = filter_is_acceptable(request.filter);
    if (!is_error(code)) {
      const AccessVerdict& verdict =
          *authorize(list.question++, AccessKind::kSubscribe, request.filter, request.options.maximum_qos, false);
      code = subscribe_one(request, verdict, list);
    }
    list.codes.push_back(for_version(code, version()));
  }
  mqtt::SubackPacket suback;
  suback.packet_id = packet.packet_id;
  suback.reason_codes = list.codes;
  if (list.joins == 0) {
    send_answer(suback, list);
    return Flow::kNext;
  }
  // Until the groups' owners have answered no message of theirs can come: SUBACK would promise too much, and what the
  // client sends next must find its subscriptions.
  rare().joins = list.joins;
  rare_->suback_later = list.ack_later;
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
                                     FilterList& list) {
  if (!verdict.allowed) {
    shard_.counters().subscribes_denied.add();
    log_refusal("deny_subscribe", request.filter, verdict);
    return ReasonCode::kNotAuthorized;
  }
  const LimitsSettings& limits = this->limits();
  if (limits.subscriptions.max_per_client != 0 && session_->subscriptions() >= limits.subscriptions.max_per_client &&
      !session_->has_subscription(request.filter)) {
    return ReasonCode::kQuotaExceeded;
  }
  if (subscriptions_are_frozen()) [[unlikely]] {
    list.in_order = true;
    return shard_.trouble().reason_of_suback();
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
  op.identifier = list.identifier;
  shard_.publishing().subscribe(op);
  if (is_error(op.verdict)) return op.verdict;
  list.ack_later |= op.ack_later;
  options.maximum_qos = static_cast<QoS>(op.verdict);
  const auto access = static_cast<std::uint8_t>((verdict.each_delivery ? Subscriber::kCheckDelivery : 0U) |
                                                (verdict.whole ? 0U : Subscriber::kNeedsAllow));
  if (mqtt::is_shared(request.filter)) {  // no retained messages (3.8.4)
    if (shard_.shared_members().subscribe(*session_, request.filter, options, {list.identifier, access}, handle_)) {
      ++list.joins;
    }
    return op.verdict;
  }
  const Session::Subscribed subscribed = session_->subscribe(request.filter, options, list.identifier, access);
  const bool send_retained = options.retain_handling == mqtt::RetainHandling::kSendAlways ||
                             (options.retain_handling == mqtt::RetainHandling::kSendIfNew && !subscribed.existed);
  if (send_retained && limits.retain.enabled) {
    shard_.replays().start(*session_, request.filter,
                           {subscribed.filter, options.maximum_qos, list.identifier, subscribed.existed});
  }
  return op.verdict;
}

Connection::Flow Connection::handle_unsubscribe(const mqtt::UnsubscribePacket& packet) {
  FilterList list = filters_under_way();
  const bool frozen = subscriptions_are_frozen();
  if (frozen && version() != ProtocolVersion::kV5) return wait_for_end_of_trouble(std::move(list));
  std::size_t skip = list.codes.size();
  for (const std::string_view filter : packet.filters) {
    if (skip != 0) {
      --skip;
      continue;
    }
    if (!take_filter(filter)) return wait_with(std::move(list));
    if (frozen && session_->has_subscription(filter)) [[unlikely]] {
      list.in_order = true;
      list.codes.push_back(ReasonCode::kImplementationSpecificError);  // the only one of UNSUBACK that says so
      continue;
    }
    const bool existed = mqtt::is_shared(filter) ? shard_.shared_members().unsubscribe(*session_, filter)
                                                 : session_->unsubscribe(filter);
    list.codes.push_back(existed ? ReasonCode::kSuccess : ReasonCode::kNoSubscriptionExisted);
    if (!existed) continue;
    UnsubscribeOp op{session_->client_id(), session_->number(), session_->is_durable(), filter};
    shard_.publishing().unsubscribe(op);
    list.ack_later |= op.ack_later;
  }
  mqtt::UnsubackPacket unsuback;
  unsuback.packet_id = packet.packet_id;
  unsuback.reason_codes = list.codes;
  send_answer(unsuback, list);
  return Flow::kNext;
}

}  // namespace mqloop::broker
