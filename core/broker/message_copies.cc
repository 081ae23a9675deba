#include "core/broker/message_copies.h"

#include <algorithm>
#include <span>

namespace mqloop::broker {

std::uint32_t MessageCopies::add(const RoutedMessage& message) {
  const mqtt::PublishPacket& packet = message.packet();
  Copy copy;
  copy.expires_at = message.expires_at();
  copy.publisher = message.publisher();
  copy.number = message.number();
  copy.at = bytes_.size();
  copy.topic_size = static_cast<std::uint16_t>(packet.topic.size());
  copy.properties_size = static_cast<std::uint32_t>(packet.properties.size());
  copy.payload_size = static_cast<std::uint32_t>(packet.payload.size());
  copy.principal = 0;
  copy.qos = packet.qos;
  copy.retain = packet.retain;
  bytes_.insert(bytes_.end(), packet.topic.begin(), packet.topic.end());
  if (copy.properties_size != 0) {
    bytes_.resize(bytes_.size() + copy.properties_size);
    packet.properties.write(bytes_.data() + copy.at + copy.topic_size);
  }
  bytes_.insert(bytes_.end(), packet.payload.begin(), packet.payload.end());
  if (packet.retain && message.principal() != nullptr) {
    principals_.push_back(Ref<const Principal>::share(message.principal()));
    copy.principal = static_cast<std::uint32_t>(principals_.size());
  }
  copies_.push_back(copy);
  return static_cast<std::uint32_t>(copies_.size() - 1);
}

Message::Content MessageCopies::operator[](std::uint32_t place) const noexcept {
  const Copy& copy = copies_[place];
  const std::span<const std::uint8_t> bytes = std::span(bytes_).subspan(copy.at);
  Message::Content content;
  content.topic = {reinterpret_cast<const char*>(bytes.data()), copy.topic_size};
  content.properties = bytes.subspan(copy.topic_size, copy.properties_size);
  content.payload = bytes.subspan(copy.topic_size + copy.properties_size, copy.payload_size);
  content.qos = copy.qos;
  content.retain = copy.retain;
  content.expires_at = copy.expires_at;
  content.publisher = copy.publisher;
  content.number = copy.number;
  if (copy.principal != 0) content.principal = principals_[copy.principal - 1];
  return content;
}

std::size_t MessageCopies::footprint(std::uint32_t place) const noexcept {
  const Copy& copy = copies_[place];
  return sizeof(Message) + copy.topic_size + copy.properties_size + copy.payload_size;
}

}  // namespace mqloop::broker
