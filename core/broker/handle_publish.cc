// PUBLISH (3.3) from a client: is it one that we take, may the client, then into Publishing, and PUBACK or PUBREC.
#include <string>

#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

Connection::Flow Connection::handle_publish(const mqtt::PublishPacket& packet) {
  if (!may_be_taken(packet)) return Flow::kWait;
  std::string_view topic = packet.topic;
  if (!publish_is_acceptable(packet, topic)) return Flow::kEnd;
  if (packet.qos == QoS::kExactlyOnce && session_->received().state(packet.packet_id) != mqtt::ReceiverState::kFree) {
    publish_repeated(packet.packet_id);
    return Flow::kNext;
  }
  const AccessVerdict* verdict = authorize(0, AccessKind::kPublish, topic, packet.qos, packet.retain);
  if (verdict == nullptr) return Flow::kWait;
  shard_.counters().publishes_received.add();
  shard_.counters().payload_received.add(packet.payload.size());
  if (is_paced_) note_publish();
  if (packet.qos != QoS::kAtMostOnce && version() == ProtocolVersion::kV5 &&
      receive_quota_.take() != mqtt::Fault::kNone) {
    close(ReasonCode::kReceiveMaximumExceeded, "more unacknowledged PUBLISH packets than Receive Maximum");
    return Flow::kEnd;
  }
  if (!verdict->allowed) {
    return publish_refused(packet, topic, *verdict);
  }
  return publish_allowed(packet, topic);
}

// What keeps a client from being read until it is over: the publisher or another reactor is behind, memory is short, it
// has a fan-out under way, it is faster than limits.rates, or the publisher is in trouble and the client could not be
// told so. Its acknowledgements of what it was sent wait with it, everybody else goes on.
bool Connection::may_be_taken(const mqtt::PublishPacket& packet) {
  if (shard_.holds_publishers(packet.qos != QoS::kAtMostOnce)) {
    wait_for_answer();
    shard_.pause(*this);
    return false;
  }
  if (shard_.fan_outs().are_full_of(session_->client_key())) [[unlikely]] {
    wait_for_answer();
    shard_.fan_outs().pause(*this);
    return false;
  }
  if (shard_.trouble() && version() != ProtocolVersion::kV5 &&
      shard_.publishing().needs_publisher(packet.topic, packet.qos, packet.retain, *session_)) [[unlikely]] {
    wait_for_answer();
    shard_.trouble().wait(*this);
    return false;
  }
  return !is_paced_ || may_publish();
}

// A QoS 2 identifier that was seen before and is not released yet: answered again, delivered once [MQTT-4.3.3-10].
void Connection::publish_repeated(std::uint16_t packet_id) {
  if (session_->received().state(packet_id) == mqtt::ReceiverState::kPending) {
    // Its publisher has not answered yet; the PUBREC of the first time belongs to an earlier connection.
    shard_.publishing().acknowledge_again(
        {handle_, session_->slot(), session_->number(), session_->is_durable(), packet_id});
    return;
  }
  const auto action = session_->received().on(mqtt::ReceiverEvent::kPublish, packet_id, version());
  if (action != mqtt::ReceiverAction::kSendPubrec) return;
  if (waiting_answers == 0) {
    send_ack(mqtt::PacketType::kPubrec, packet_id, ReasonCode::kSuccess);
  } else {
    shard_.publishing().answer(*this, mqtt::PacketType::kPubrec, packet_id, ReasonCode::kSuccess, false);
  }
}

bool Connection::publish_is_acceptable(const mqtt::PublishPacket& packet, std::string_view& topic) {
  const LimitsSettings& limits = this->limits();
  if (const std::uint16_t alias = packet.properties.topic_alias(); alias != 0) {
    if (rare().inbound_aliases.maximum() == 0) {
      rare_->inbound_aliases = mqtt::InboundTopicAliases(announced_alias_maximum_);
    }
    const mqtt::Fault fault = rare_->inbound_aliases.resolve(alias, topic);
    if (fault != mqtt::Fault::kNone) {
      close(mqtt::verdict_on(fault).code, mqtt::verdict_on(fault).explanation);
      return false;
    }
  }
  if (static_cast<std::uint8_t>(packet.qos) > announced_.maximum_qos) {
    close(ReasonCode::kQoSNotSupported, "QoS above the announced Maximum QoS");
    return false;
  }
  if (packet.retain && !announced_.retain) {
    close(ReasonCode::kRetainNotSupported, "retained messages are switched off");
    return false;
  }
  if (!mqtt::within_limits(topic, {limits.topics.max_levels, limits.topics.max_length})) {
    close(ReasonCode::kTopicNameInvalid, "the topic has more levels or bytes than limits.topics allows");
    return false;
  }
  return true;
}

Connection::Flow Connection::publish_allowed(const mqtt::PublishPacket& packet, std::string_view topic) {
  if (is_brokers_own(topic)) {
    AccessVerdict verdict;
    verdict.rule = "$SYS is the broker's own";
    return publish_refused(packet, topic, verdict);
  }
  const std::uint16_t packet_id = packet.packet_id;
  if (shard_.trouble() && version() == ProtocolVersion::kV5 &&
      shard_.publishing().needs_publisher(topic, packet.qos, packet.retain, *session_)) [[unlikely]] {
    shard_.drop(*session_, DropCause::kPublisher);
    answer_publish(packet, shard_.trouble().reason());
    return Flow::kNext;
  }
  if (packet.qos == QoS::kExactlyOnce) {
    (void)session_->received().on(mqtt::ReceiverEvent::kPublish, packet_id, version());
  }
  RoutedMessage message(packet, topic, shard_.loop().now(), session_->client_key());
  message.set_principal(session_->principal().get());
  const PublishOrigin origin{handle_, session_->slot(), session_->number(), session_->is_durable(), packet_id};
  const std::optional<ReasonCode> reason = shard_.publishing().publish(message, origin);
  if (!reason || packet.qos == QoS::kAtMostOnce) return Flow::kNext;
  if (packet.qos == QoS::kAtLeastOnce) {
    publish_acknowledged(mqtt::PacketType::kPuback, packet_id, *reason);
    return Flow::kNext;
  }
  const auto event = is_error(*reason) ? mqtt::ReceiverEvent::kRefused : mqtt::ReceiverEvent::kAccepted;
  (void)session_->received().on(event, packet_id, version());
  publish_acknowledged(mqtt::PacketType::kPubrec, packet_id, *reason);
  return Flow::kNext;
}

// In its turn, where earlier ones still wait.
void Connection::answer_publish(const mqtt::PublishPacket& packet, ReasonCode code, std::string_view reason) {
  const auto type = packet.qos == QoS::kExactlyOnce ? mqtt::PacketType::kPubrec : mqtt::PacketType::kPuback;
  if (waiting_answers == 0) {
    publish_acknowledged(type, packet.packet_id, code, reason);
  } else {
    shard_.publishing().answer(*this, type, packet.packet_id, code, false);
  }
}

// 5.0 is told; 3.x knows no refusal, so there the message is acknowledged and dropped [MQTT-3.3.5-2]; or the connection
// ends, when that is how the configuration wants it.
Connection::Flow Connection::publish_refused(const mqtt::PublishPacket& packet, std::string_view topic,
                                             const AccessVerdict& verdict) {
  shard_.drop(*session_, DropCause::kDenied);
  log_refusal("deny_publish", topic, verdict);
  if (shard_.auth().on_denied_publish == OnDeniedPublish::kDisconnect) {
    close(ReasonCode::kNotAuthorized, verdict.rule.empty() ? "no permission for the topic" : verdict.rule);
    return Flow::kEnd;
  }
  if (packet.qos == QoS::kAtMostOnce) return Flow::kNext;
  if (version() == ProtocolVersion::kV5) {
    answer_publish(packet, ReasonCode::kNotAuthorized, verdict.rule);
    return Flow::kNext;
  }
  if (packet.qos == QoS::kExactlyOnce) {
    (void)session_->received().on(mqtt::ReceiverEvent::kPublish, packet.packet_id, version());
    (void)session_->received().on(mqtt::ReceiverEvent::kAccepted, packet.packet_id, version());
  }
  answer_publish(packet, ReasonCode::kSuccess);
  return Flow::kNext;
}

}  // namespace mqloop::broker
