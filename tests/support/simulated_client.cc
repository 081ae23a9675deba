#include "tests/support/simulated_client.h"

#include <algorithm>
#include <utility>

#include "core/mqtt/property_writer.h"

namespace mqloop::sim {

namespace {

constexpr std::size_t kMostInFlight = 12;

std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

SimulatedClient::SimulatedClient(SimulatedNetwork& network, ClientObserver& observer, std::string id,
                                 ProtocolVersion version)
    : network_(network), observer_(observer), id_(std::move(id)), version_(version) {}

void SimulatedClient::fault(const std::string& what) { observer_.on_fault(*this, what); }

// ---- the connection ------------------------------------------------------------------------------------------------

bool SimulatedClient::may_connect() const {
  return std::none_of(unsettled_.begin(), unsettled_.end(),
                      [this](LinkId link) { return network_.is_open_at_broker(link); });
}

std::size_t SimulatedClient::left_behind() const {
  return static_cast<std::size_t>(
      std::count_if(left_.begin(), left_.end(), [this](LinkId link) { return network_.is_open_at_broker(link); }));
}

bool SimulatedClient::has_exchange(std::uint64_t tag) const noexcept {
  return std::any_of(exchanges_.begin(), exchanges_.end(),
                     [tag](const Exchange& exchange) { return exchange.publish.tag == tag; });
}

void SimulatedClient::leave() {
  if (state_ == State::kOffline) return;
  (state_ == State::kConnecting ? unsettled_ : left_).push_back(link_);
  end_connection();
}

void SimulatedClient::end_connection() {
  state_ = State::kOffline;
  link_ = 0;
  input_.clear();
  questions_.clear();
  pings_.clear();
  stray_pubcomps_ = 0;
  acks_.clear();
  deliveries_.clear();
}

void SimulatedClient::forget_session() {
  for (const Exchange& exchange : std::exchange(exchanges_, {})) observer_.on_publish_lost(*this, exchange.publish.tag);
  received_.clear();
  latest_.clear();
}

void SimulatedClient::connect(const ConnectOptions& options) {
  leave();
  // A session without an expiry interval has ended with its connection, here too.
  if (options.clean_start || ends_with_connection_) forget_session();  // [MQTT-3.1.2-4]
  options_ = options;
  ++connections_;
  state_ = State::kConnecting;
  link_ = network_.connect(*this);
  requests_ = 0;
  server_receive_maximum_ = 65535;
  server_alias_maximum_ = 0;
  inbound_aliases_ = mqtt::InboundTopicAliases(options.topic_alias_maximum);
  outbound_aliases_.clear();
  accepted_ = false;
  disconnected_.reset();
  farewell_.reset();
  mqtt::DecoderLimits limits;
  if (options.maximum_packet_size != 0) limits.maximum_packet_size = options.maximum_packet_size;
  decoder_.emplace(mqtt::Role::kClient, limits);
  decoder_->set_version(version_);

  mqtt::ConnectPacket packet;
  packet.version = version_;
  packet.clean_start = options.clean_start;
  packet.keep_alive = options.keep_alive;
  packet.client_id = id_;
  mqtt::PropertyWriter properties;
  mqtt::PropertyWriter will_properties;
  using Id = mqtt::PropertyId;
  if (is_v5()) {
    if (options.expiry_interval != 0) properties.add(Id::kSessionExpiryInterval, options.expiry_interval);
    if (options.receive_maximum != 65535) properties.add(Id::kReceiveMaximum, options.receive_maximum);
    if (options.topic_alias_maximum != 0) properties.add(Id::kTopicAliasMaximum, options.topic_alias_maximum);
    if (options.maximum_packet_size != 0) properties.add(Id::kMaximumPacketSize, options.maximum_packet_size);
    packet.properties = properties.properties();
  }
  if (options.user_name) packet.user_name = *options.user_name;
  if (options.will) {
    mqtt::Will& will = packet.will.emplace();
    will.topic = options.will->topic;
    will.payload = bytes_of(options.will->payload);
    will.qos = options.will->qos;
    will.retain = options.will->retain;
    if (is_v5() && options.will->delay != 0) {
      will.properties = will_properties.add(Id::kWillDelayInterval, options.will->delay).properties();
    }
  }
  send(packet);
}

void SimulatedClient::disconnect(ReasonCode code, std::optional<std::uint32_t> expiry) {
  mqtt::DisconnectPacket packet;
  mqtt::PropertyWriter properties;
  if (is_v5()) {
    packet.reason_code = code;
    if (expiry) packet.properties = properties.add(mqtt::PropertyId::kSessionExpiryInterval, *expiry).properties();
  }
  send(packet);
  network_.finish(link_);
  disconnected_ = code;
  state_ = State::kDisconnecting;
}

void SimulatedClient::hang_up() {
  network_.finish(link_);
  leave();
}

void SimulatedClient::reset() {
  network_.reset(link_);
  leave();
}

void SimulatedClient::vanish() {
  network_.vanish(link_);
  leave();
}

void SimulatedClient::send(const mqtt::Packet& packet) {
  std::vector<std::uint8_t> bytes;
  if (!mqtt::append(packet, version_, bytes)) {
    fault("a packet of the client cannot be encoded");
    return;
  }
  network_.send(link_, bytes);
}

// ---- requests ------------------------------------------------------------------------------------------------------

std::uint16_t SimulatedClient::free_packet_id() {
  const auto taken = [this](std::uint16_t id) {
    return questions_.contains(id) || std::any_of(exchanges_.begin(), exchanges_.end(),
                                                  [id](const Exchange& exchange) { return exchange.packet_id == id; });
  };
  do {
    ++last_packet_id_;
  } while (last_packet_id_ == 0 || taken(last_packet_id_));
  return last_packet_id_;
}

void SimulatedClient::send_publish(const PublishRequest& request, std::uint16_t packet_id, bool dup) {
  mqtt::PublishPacket packet;
  packet.dup = dup;
  packet.qos = request.qos;
  packet.retain = request.retain;
  packet.packet_id = packet_id;
  packet.topic = request.topic;
  packet.payload = bytes_of(request.payload);
  mqtt::PropertyWriter properties;
  if (is_v5()) {
    if (request.expiry_interval) properties.add(mqtt::PropertyId::kMessageExpiryInterval, *request.expiry_interval);
    if (request.alias != 0 && request.alias <= server_alias_maximum_) {
      properties.add(mqtt::PropertyId::kTopicAlias, request.alias);
      std::string& known = outbound_aliases_[request.alias];
      if (known == request.topic) packet.topic = {};
      known = request.topic;
    }
    packet.properties = properties.properties();
  }
  send(packet);
}

std::uint64_t SimulatedClient::publish(const PublishRequest& request) {
  if (request.qos == QoS::kAtMostOnce) {
    send_publish(request, 0, false);
    return ++requests_;
  }
  if (exchanges_.size() >= std::min<std::size_t>(kMostInFlight, server_receive_maximum_)) return 0;
  const std::uint16_t packet_id = free_packet_id();
  exchanges_.push_back({packet_id, false, ++requests_, request});
  send_publish(request, packet_id, false);
  return requests_;
}

std::uint64_t SimulatedClient::subscribe(std::span<const SubscribeEntry> entries, std::uint32_t identifier,
                                         std::uint64_t tag) {
  mqtt::SubscribePacket packet;
  packet.packet_id = free_packet_id();
  mqtt::PropertyWriter properties;
  if (is_v5() && identifier != 0) {
    packet.properties = properties.add(mqtt::PropertyId::kSubscriptionIdentifier, identifier).properties();
  }
  mqtt::SubscriptionListWriter list;
  for (const SubscribeEntry& entry : entries) list.add(entry.filter, entry.options);
  packet.subscriptions = list.list();
  questions_[packet.packet_id] = {tag, ++requests_, true, entries.size()};
  send(packet);
  return requests_;
}

std::uint64_t SimulatedClient::unsubscribe(std::span<const std::string> filters, std::uint64_t tag) {
  mqtt::UnsubscribePacket packet;
  packet.packet_id = free_packet_id();
  mqtt::TopicFilterListWriter list;
  for (const std::string& filter : filters) list.add(filter);
  packet.filters = list.list();
  questions_[packet.packet_id] = {tag, ++requests_, false, filters.size()};
  send(packet);
  return requests_;
}

std::uint64_t SimulatedClient::ping() {
  send(mqtt::PingreqPacket{});
  pings_.push_back(++requests_);
  return requests_;
}

void SimulatedClient::acknowledge(mqtt::PacketType type, std::uint16_t packet_id, bool ends_delivery) {
  Ack ack{{}, ends_delivery};
  ack.packet.type = type;
  ack.packet.packet_id = packet_id;
  acks_.push_back(ack);
  if (!delays_acks_) send_acks(acks_.size());
}

void SimulatedClient::send_acks(std::size_t most) {
  for (; most != 0 && !acks_.empty(); --most) {
    const Ack ack = acks_.front();
    acks_.pop_front();
    if (ack.ends_delivery) deliveries_.erase(ack.packet.packet_id);
    send(ack.packet);
  }
}

// ---- what the broker sends -----------------------------------------------------------------------------------------

void SimulatedClient::on_bytes(LinkId link, std::span<const std::uint8_t> bytes) {
  if (link != link_) return;  // of a connection that was left behind
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t used = 0;
  while (link == link_) {
    mqtt::Packet packet;
    const mqtt::DecodeResult result = decoder_->decode(std::span(input_).subspan(used), packet);
    if (result.kind == mqtt::DecodeResult::Kind::kError) {
      fault("the broker sent what a client must not take: " + std::string(result.verdict().explanation));
      used = input_.size();
      break;
    }
    if (result.kind == mqtt::DecodeResult::Kind::kNeedMore) break;
    if (farewell_) fault("a packet after DISCONNECT");
    used += result.size;
    handle(packet);
  }
  if (link == link_) input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
}

void SimulatedClient::on_closed(LinkId link) {
  if (link != link_) return;
  end_connection();
  observer_.on_closed(*this, farewell_);
}

void SimulatedClient::handle(const mqtt::Packet& packet) {
  if (const auto* connack = std::get_if<mqtt::ConnackPacket>(&packet)) {
    handle_connack(*connack);
  } else if (const auto* publish = std::get_if<mqtt::PublishPacket>(&packet)) {
    handle_publish(*publish);
  } else if (const auto* ack = std::get_if<mqtt::AckPacket>(&packet)) {
    handle_ack(*ack);
  } else if (const auto* suback = std::get_if<mqtt::SubackPacket>(&packet)) {
    handle_answer(suback->packet_id, true, suback->reason_codes);
  } else if (const auto* unsuback = std::get_if<mqtt::UnsubackPacket>(&packet)) {
    handle_answer(unsuback->packet_id, false, unsuback->reason_codes);
  } else if (std::holds_alternative<mqtt::PingrespPacket>(packet)) {
    if (pings_.empty()) {
      fault("a PINGRESP that nobody asked for");
      return;
    }
    const std::uint64_t request = pings_.front();
    pings_.pop_front();
    observer_.on_answered(*this, request);
  } else if (const auto* disconnect = std::get_if<mqtt::DisconnectPacket>(&packet)) {
    farewell_ = disconnect->reason_code;
  } else {
    fault("a packet that the broker had no reason to send");
  }
}

void SimulatedClient::handle_connack(const mqtt::ConnackPacket& packet) {
  if (is_error(packet.reason_code)) {
    observer_.on_refused(*this, packet.reason_code);
    return;
  }
  if (options_.clean_start && packet.session_present) fault("Session Present after Clean Start");  // [MQTT-3.2.2-2]
  // 3.1 does not tell: a client that asks for its session goes by what it knows itself.
  const bool session_present =
      version_ == ProtocolVersion::kV31 ? !options_.clean_start && keeps_session_ : packet.session_present;
  keeps_session_ = !options_.clean_start;
  ends_with_connection_ = is_v5() ? options_.expiry_interval == 0 : options_.clean_start;
  state_ = State::kOnline;
  accepted_ = true;
  server_receive_maximum_ = packet.properties.receive_maximum();
  server_alias_maximum_ = packet.properties.topic_alias_maximum();
  if (!session_present) forget_session();
  observer_.on_connected(*this, session_present);
  if (session_present) resume();
}

// [MQTT-4.4.0-1]
void SimulatedClient::resume() {
  for (Exchange& exchange : exchanges_) {
    if (exchange.awaits_pubcomp) {
      mqtt::AckPacket pubrel;
      pubrel.type = mqtt::PacketType::kPubrel;
      pubrel.packet_id = exchange.packet_id;
      send(pubrel);
      continue;
    }
    exchange.request = ++requests_;
    observer_.on_publish_resent(*this, exchange.publish.tag);
    send_publish(exchange.publish, exchange.packet_id, true);
  }
}

void SimulatedClient::handle_publish(const mqtt::PublishPacket& packet) {
  Received message;
  std::string_view topic = packet.topic;
  if (const std::uint16_t alias = packet.properties.topic_alias(); alias != 0) {
    if (inbound_aliases_.resolve(alias, topic) != mqtt::Fault::kNone) fault("a topic alias that was never defined");
  }
  message.topic = topic;
  message.payload.assign(packet.payload.begin(), packet.payload.end());
  message.qos = packet.qos;
  message.retain = packet.retain;
  message.dup = packet.dup;
  message.expiry_interval = packet.properties.message_expiry_interval();
  for (const mqtt::Property& property : packet.properties) {
    if (property.id == mqtt::PropertyId::kSubscriptionIdentifier) message.identifiers.push_back(property.number);
  }
  if (packet.qos == QoS::kAtMostOnce) {
    observer_.on_message(*this, message);
    return;
  }
  const std::string text = message.topic + '\n' + message.payload;
  if (!deliveries_.insert(packet.packet_id).second) {
    fault("packet identifier " + std::to_string(packet.packet_id) + " came again before it was acknowledged");
  }
  if (is_v5() && deliveries_.size() > options_.receive_maximum) fault("more in flight than Receive Maximum");
  const auto known = latest_.find(packet.packet_id);
  message.again = packet.dup && known != latest_.end() && known->second == text;
  latest_[packet.packet_id] = text;
  if (packet.qos == QoS::kAtLeastOnce) {
    observer_.on_message(*this, message);
    acknowledge(mqtt::PacketType::kPuback, packet.packet_id, true);
    return;
  }
  if (received_.insert(packet.packet_id).second) {
    message.again = false;  // PUBREL has freed the identifier since
    observer_.on_message(*this, message);
  } else if (!packet.dup || !message.again) {
    fault("another message under a QoS 2 identifier that was not released");
  }
  acknowledge(mqtt::PacketType::kPubrec, packet.packet_id, false);
}

void SimulatedClient::handle_ack(const mqtt::AckPacket& packet) {
  if (packet.type == mqtt::PacketType::kPubrel) {
    received_.erase(packet.packet_id);
    acknowledge(mqtt::PacketType::kPubcomp, packet.packet_id, true);
    return;
  }
  const auto found = std::find_if(exchanges_.begin(), exchanges_.end(),
                                  [&](const Exchange& exchange) { return exchange.packet_id == packet.packet_id; });
  if (packet.type == mqtt::PacketType::kPubcomp && (found == exchanges_.end() || !found->awaits_pubcomp)) {
    // A PUBREC that came twice was answered twice, and the first PUBCOMP has ended the exchange.
    if (stray_pubcomps_ == 0) fault("a PUBCOMP that answers no PUBREL");
    if (stray_pubcomps_ != 0) --stray_pubcomps_;
    return;
  }
  if (found == exchanges_.end()) {
    fault("an acknowledgement for a packet identifier that is not in use");
    return;
  }
  const std::uint64_t tag = found->publish.tag;
  const std::uint64_t request = found->request;
  const bool exactly_once = found->publish.qos == QoS::kExactlyOnce;
  switch (packet.type) {
    case mqtt::PacketType::kPuback:
      if (exactly_once) fault("PUBACK for a QoS 2 PUBLISH");
      exchanges_.erase(found);
      observer_.on_publish_acknowledged(*this, tag, packet.reason_code);
      observer_.on_answered(*this, request);
      break;
    case mqtt::PacketType::kPubrec: {
      if (!exactly_once) fault("PUBREC for a QoS 1 PUBLISH");
      const bool refused = is_error(packet.reason_code);
      const bool first = !std::exchange(found->awaits_pubcomp, true);
      if (refused) {
        exchanges_.erase(found);
      } else {
        mqtt::AckPacket pubrel;
        pubrel.type = mqtt::PacketType::kPubrel;
        pubrel.packet_id = packet.packet_id;
        send(pubrel);
      }
      if (!first) {
        ++stray_pubcomps_;
        break;
      }
      observer_.on_publish_acknowledged(*this, tag, packet.reason_code);
      observer_.on_answered(*this, request);
      break;
    }
    default:
      exchanges_.erase(found);
      break;
  }
}

void SimulatedClient::handle_answer(std::uint16_t packet_id, bool is_subscribe, std::span<const ReasonCode> codes) {
  const auto found = questions_.find(packet_id);
  if (found == questions_.end() || found->second.is_subscribe != is_subscribe) {
    fault("SUBACK or UNSUBACK for a packet identifier that is not in use");
    return;
  }
  const Question question = found->second;
  questions_.erase(found);
  if ((is_subscribe || is_v5()) && codes.size() != question.filters) fault("not one reason code for each filter");
  if (is_subscribe) {
    observer_.on_subscribed(*this, question.tag, codes);
  } else {
    observer_.on_unsubscribed(*this, question.tag);
  }
  observer_.on_answered(*this, question.request);
}

}  // namespace mqloop::sim
