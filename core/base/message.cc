#include <mqloop/message.h>

#include <algorithm>
#include <new>

namespace mqloop {

Ref<const Principal> Principal::create(const Content& content) {
  return Ref<const Principal>::adopt(new Principal(content));
}

Principal::Principal(const Content& content)
    : client_id_(content.client_id),
      user_name_(content.user_name),
      chain_(content.chain),
      listener_(content.listener),
      peer_address_(content.peer_address),
      version_(content.version),
      has_user_name_(content.has_user_name) {}

Ref<const Message> Message::create(const Content& content) {
  const std::size_t trailing = content.topic.size() + content.properties.size() + content.payload.size();
  return Ref<const Message>::adopt(new (trailing) Message(content));
}

Message::Message(const Content& content) noexcept
    : qos_(content.qos),
      retain_(content.retain),
      topic_size_(static_cast<std::uint16_t>(content.topic.size())),
      properties_size_(static_cast<std::uint32_t>(content.properties.size())),
      payload_size_(static_cast<std::uint32_t>(content.payload.size())),
      expires_at_(content.expires_at),
      publisher_(content.publisher),
      principal_(content.principal),
      number_(content.number) {
  auto* out = reinterpret_cast<std::uint8_t*>(this + 1);
  out = std::copy(content.topic.begin(), content.topic.end(), out);
  out = std::copy(content.properties.begin(), content.properties.end(), out);
  std::copy(content.payload.begin(), content.payload.end(), out);
}

void* Message::operator new(std::size_t size, std::size_t trailing) { return ::operator new(size + trailing); }

void Message::operator delete(void* memory) noexcept { ::operator delete(memory); }

void Message::operator delete(void* memory, std::size_t /*trailing*/) noexcept { ::operator delete(memory); }

}  // namespace mqloop
