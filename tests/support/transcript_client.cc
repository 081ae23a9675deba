#include "tests/support/transcript_client.h"

#include <cstdio>
#include <utility>

namespace mqloop::sim {

namespace {

std::string with_code(std::string name, ReasonCode code) {
  char digits[8];
  std::snprintf(digits, sizeof digits, " %02x", static_cast<unsigned>(code));
  return name + digits;
}

std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TranscriptClient::TranscriptClient(SimulatedNetwork& network, std::string id, std::string method)
    : network_(network), id_(std::move(id)), method_(std::move(method)) {}

TranscriptClient::~TranscriptClient() {
  for (const LinkId link : links_) network_.reset(link);
}

void TranscriptClient::open() {
  link_ = network_.connect(*this);
  links_.push_back(link_);
  mqtt::DecoderLimits limits;
  limits.properties.maximum_length = 1 << 20;  // a test may send more than a client would take
  decoder_.emplace(mqtt::Role::kClient, limits);
  decoder_->set_version(version_);
  decoder_->set_authentication_method_used(!method_.empty());
  input_.clear();
}

void TranscriptClient::send_bytes(std::span<const std::uint8_t> bytes) {
  if (held_) {
    held_->insert(held_->end(), bytes.begin(), bytes.end());
  } else {
    network_.send(link_, bytes);
  }
}

void TranscriptClient::send(const mqtt::Packet& packet) {
  std::vector<std::uint8_t> bytes;
  (void)mqtt::append(packet, version_, bytes);
  send_bytes(bytes);
}

void TranscriptClient::release() {
  const std::optional<std::vector<std::uint8_t>> bytes = std::exchange(held_, std::nullopt);
  network_.send(link_, *bytes);
}

void TranscriptClient::reset() { network_.reset(link_); }

void TranscriptClient::finish() { network_.finish(link_); }

void TranscriptClient::connect(const Connect& options) {
  open();
  using Id = mqtt::PropertyId;
  mqtt::PropertyWriter properties;
  if (options.expiry_interval != 0) properties.add(Id::kSessionExpiryInterval, options.expiry_interval);
  if (options.maximum_packet_size != 0) properties.add(Id::kMaximumPacketSize, options.maximum_packet_size);
  if (!method_.empty()) properties.add(Id::kAuthenticationMethod, method_);
  if (options.data) properties.add(Id::kAuthenticationData, *options.data);
  mqtt::ConnectPacket packet;
  packet.version = version_;
  packet.client_id = id_;
  packet.keep_alive = options.keep_alive;
  packet.clean_start = options.clean_start;
  packet.user_name = options.user_name;
  if (options.password) packet.password = bytes_of(*options.password);
  packet.properties = properties.properties();
  mqtt::PropertyWriter will_properties;
  if (options.will_delay != 0) will_properties.add(Id::kWillDelayInterval, options.will_delay);
  if (!options.will_topic.empty()) {
    packet.will.emplace();
    packet.will->qos = options.will_qos;
    packet.will->retain = options.will_retain;
    packet.will->topic = options.will_topic;
    packet.will->payload = bytes_of("will");
    packet.will->properties = will_properties.properties();
  }
  send(packet);
}

void TranscriptClient::auth(ReasonCode code, std::string_view data, std::string_view method) {
  mqtt::PropertyWriter properties;
  properties.add(mqtt::PropertyId::kAuthenticationMethod, method);
  if (!data.empty()) properties.add(mqtt::PropertyId::kAuthenticationData, data);
  send(mqtt::AuthPacket{code, properties.properties()});
}

void TranscriptClient::disconnect(ReasonCode code, std::optional<std::uint32_t> expiry_interval) {
  mqtt::PropertyWriter properties;
  if (expiry_interval) properties.add(mqtt::PropertyId::kSessionExpiryInterval, *expiry_interval);
  send(mqtt::DisconnectPacket{code, properties.properties()});
}

void TranscriptClient::subscribe(std::string_view filter, std::uint16_t packet_id, QoS qos) {
  std::vector<std::uint8_t> rest = filter_bytes(packet_id, filter);
  rest.push_back(static_cast<std::uint8_t>(qos));
  send_request(0x82, rest);
}

void TranscriptClient::unsubscribe(std::string_view filter, std::uint16_t packet_id) {
  send_request(0xa2, filter_bytes(packet_id, filter));
}

// Of SUBSCRIBE and UNSUBSCRIBE: the packet identifier, no properties, and the filter.
std::vector<std::uint8_t> TranscriptClient::filter_bytes(std::uint16_t packet_id, std::string_view filter) const {
  std::vector<std::uint8_t> bytes = {0, static_cast<std::uint8_t>(packet_id)};
  if (version_ == ProtocolVersion::kV5) bytes.push_back(0);
  bytes.push_back(0);
  bytes.push_back(static_cast<std::uint8_t>(filter.size()));
  bytes.insert(bytes.end(), filter.begin(), filter.end());
  return bytes;
}

void TranscriptClient::send_request(std::uint8_t first, const std::vector<std::uint8_t>& rest) {
  std::vector<std::uint8_t> bytes = {first, static_cast<std::uint8_t>(rest.size())};
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  send_bytes(bytes);
}

void TranscriptClient::publish(std::string_view topic, std::string_view payload) {
  mqtt::PublishPacket packet;
  packet.topic = topic;
  packet.payload = bytes_of(payload);
  send(packet);
}

void TranscriptClient::publish(std::string_view topic, std::string_view payload, QoS qos, std::uint16_t packet_id,
                               bool retain) {
  mqtt::PublishPacket packet;
  packet.topic = topic;
  packet.payload = bytes_of(payload);
  packet.qos = qos;
  packet.packet_id = packet_id;
  packet.retain = retain;
  send(packet);
}

void TranscriptClient::acknowledge(mqtt::PacketType type, std::uint16_t packet_id) {
  send(mqtt::AckPacket{type, packet_id, ReasonCode::kSuccess, {}});
}

std::string TranscriptClient::take() { return std::exchange(transcript_, {}); }

void TranscriptClient::note(std::string line) {
  if (!transcript_.empty()) transcript_ += " | ";
  transcript_ += line;
}

void TranscriptClient::on_bytes(LinkId link, std::span<const std::uint8_t> bytes) {
  if (link != link_) return;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t used = 0;
  while (used != input_.size()) {
    mqtt::Packet packet;
    const mqtt::DecodeResult result = decoder_->decode(std::span(input_).subspan(used), packet);
    if (result.kind == mqtt::DecodeResult::Kind::kNeedMore) break;
    if (result.kind == mqtt::DecodeResult::Kind::kError) {
      note("malformed: " + std::string(result.verdict().explanation));
      used = input_.size();
      break;
    }
    note(told(packet));
    used += result.size;
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
}

void TranscriptClient::on_closed(LinkId link) {
  if (link == link_) note("closed");
}

std::string TranscriptClient::told_of_exchange(const mqtt::Properties& properties) const {
  std::string text;
  const auto method = properties.authentication_method();
  if (method && *method != method_) text += " method=" + std::string(*method);
  if (!method && !method_.empty()) text += " without a method";
  if (const auto data = properties.authentication_data()) text += " " + std::string(*data);
  return text;
}

std::optional<std::uint32_t> TranscriptClient::announced(mqtt::PropertyId id) const {
  const auto found = announced_.find(id);
  return found == announced_.end() ? std::nullopt : std::optional(found->second);
}

std::string TranscriptClient::told(const mqtt::Packet& packet) {
  if (const auto* connack = std::get_if<mqtt::ConnackPacket>(&packet)) {
    using Id = mqtt::PropertyId;
    announced_.clear();
    for (const Id id : {Id::kSessionExpiryInterval, Id::kReceiveMaximum, Id::kMaximumQoS, Id::kRetainAvailable,
                        Id::kMaximumPacketSize, Id::kTopicAliasMaximum, Id::kServerKeepAlive,
                        Id::kWildcardSubscriptionAvailable, Id::kSharedSubscriptionAvailable}) {
      if (const auto number = connack->properties.number(id)) announced_[id] = *number;
    }
    std::string text = with_code("CONNACK", connack->reason_code);
    if (connack->session_present) text += " present";
    return is_error(connack->reason_code) ? text : text + told_of_exchange(connack->properties);
  }
  if (const auto* auth = std::get_if<mqtt::AuthPacket>(&packet)) {
    return with_code("AUTH", auth->reason_code) + told_of_exchange(auth->properties);
  }
  if (const auto* disconnect = std::get_if<mqtt::DisconnectPacket>(&packet)) {
    return with_code("DISCONNECT", disconnect->reason_code);
  }
  if (const auto* publish = std::get_if<mqtt::PublishPacket>(&packet)) {
    std::string text = "PUBLISH " + std::string(publish->topic) + " " +
                       std::string(reinterpret_cast<const char*>(publish->payload.data()), publish->payload.size());
    if (!tells_exchanges_) return text;
    text += " q" + std::to_string(static_cast<unsigned>(publish->qos));
    if (publish->packet_id != 0) text += " #" + std::to_string(publish->packet_id);
    if (publish->dup) text += " dup";
    if (publish->retain) text += " retain";
    return text;
  }
  if (const auto* ack = std::get_if<mqtt::AckPacket>(&packet)) {
    std::string text(mqtt::name_of(ack->type));
    if (tells_exchanges_) text += " #" + std::to_string(ack->packet_id);
    return ack->reason_code == ReasonCode::kSuccess ? text : with_code(std::move(text), ack->reason_code);
  }
  if (const auto* suback = std::get_if<mqtt::SubackPacket>(&packet))
    return with_code("SUBACK", suback->reason_codes[0]);
  const auto* unsuback = std::get_if<mqtt::UnsubackPacket>(&packet);
  if (unsuback != nullptr && !unsuback->reason_codes.empty() && is_error(unsuback->reason_codes[0])) {
    return with_code("UNSUBACK", unsuback->reason_codes[0]);
  }
  return std::string(mqtt::name_of(mqtt::type_of(packet)));
}

}  // namespace mqloop::sim
