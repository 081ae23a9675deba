#include "core/broker/routed_message.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/event/timer_wheel.h"

namespace mqloop::broker {

namespace {

// What a server forwards unchanged; the rest is each connection's own (3.3.2.3).
mqtt::Properties forwarded(const mqtt::Properties& properties) {
  return properties.without(mqtt::PropertyId::kMessageExpiryInterval)
      .without(mqtt::PropertyId::kTopicAlias)
      .without(mqtt::PropertyId::kSubscriptionIdentifier);
}

}  // namespace

MonotonicTime expiry_of(const mqtt::Properties& properties, MonotonicTime now) noexcept {
  const auto interval = properties.message_expiry_interval();
  return interval ? event::add_saturating(now, std::chrono::seconds(*interval)) : Message::kNever;
}

Ref<const Message> make_message(const mqtt::PublishPacket& packet, MonotonicTime expires_at, std::uint64_t publisher,
                                const Principal* principal, std::uint64_t number) {
  Message::Content content;
  content.topic = packet.topic;
  content.payload = packet.payload;
  content.qos = packet.qos;
  content.retain = packet.retain;
  content.expires_at = expires_at;
  content.publisher = publisher;
  content.number = number;
  if (packet.retain) content.principal = Ref<const Principal>::share(principal);
  if (packet.properties.empty()) return Message::create(content);
  const mqtt::Properties properties = forwarded(packet.properties);
  std::vector<std::uint8_t> bytes(properties.size());
  properties.write(bytes.data());
  content.properties = bytes;
  return Message::create(content);
}

RoutedMessage::RoutedMessage(const mqtt::PublishPacket& packet, std::string_view topic, MonotonicTime now,
                             std::uint64_t publisher)
    : packet_(packet), publisher_(publisher) {
  packet_.topic = topic;
  if (!packet_.properties.empty()) {
    expires_at_ = expiry_of(packet.properties, now);
    packet_.properties = forwarded(packet.properties);
  }
}

RoutedMessage::RoutedMessage(Ref<const Message> message) : message_(std::move(message)) { show(*message_); }

RoutedMessage::RoutedMessage(Apart apart)
    : number_(apart.message.number()), principal_(apart.message.principal().get()) {
  show(apart.message);
}

void RoutedMessage::show(const Message& message) {
  expires_at_ = message.expires_at();
  publisher_ = message.publisher();
  packet_.topic = message.topic();
  packet_.payload = message.payload();
  packet_.qos = message.qos();
  packet_.retain = message.retain();
  if (!message.properties().empty()) {
    constexpr mqtt::PropertyLimits kAsStored{0xFFFFFFFF, 0xFFFF};
    // Checked when they came in; a Message made by a plugin with bad ones goes without.
    if (mqtt::Properties::parse(message.properties(), mqtt::place_of(mqtt::PacketType::kPublish), mqtt::Role::kServer,
                                kAsStored, packet_.properties) != mqtt::Fault::kNone) {
      packet_.properties = {};
    }
  }
}

std::optional<std::uint32_t> RoutedMessage::remaining_expiry(MonotonicTime now) const noexcept {
  if (expires_at_ == Message::kNever) return std::nullopt;
  if (expires_at_ <= now) return 0;
  // Rounded to the nearest, not up: this reactor's clock may be a moment behind the one that set the end, and what is
  // forwarded must never be more than what came in.
  const auto left = std::chrono::round<std::chrono::seconds>(expires_at_ - now).count();
  return static_cast<std::uint32_t>(std::max<decltype(left)>(left, 1));
}

void RoutedMessage::set_number(std::uint64_t number) {
  number_ = number;
  if (!message_) return;
  const Ref<const Message> unnumbered = std::move(message_);
  const Message& from = *unnumbered;
  Message::Content content{from.topic(),  from.payload(), from.properties(), from.qos(),
                           from.retain(), expires_at_,    from.publisher(),  from.principal()};
  content.number = number;
  message_ = Message::create(content);
  show(*message_);
}

const Ref<const Message>& RoutedMessage::message() {
  if (!message_) message_ = make_message(packet_, expires_at_, publisher_, principal_, number_);
  return message_;
}

}  // namespace mqloop::broker
