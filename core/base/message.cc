#include <mqloop/message.h>

#include <algorithm>
#include <new>

namespace mqloop {

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
      publisher_(content.publisher) {
  auto* out = reinterpret_cast<std::uint8_t*>(this + 1);
  out = std::copy(content.topic.begin(), content.topic.end(), out);
  out = std::copy(content.properties.begin(), content.properties.end(), out);
  std::copy(content.payload.begin(), content.payload.end(), out);
}

void* Message::operator new(std::size_t size, std::size_t trailing) { return ::operator new(size + trailing); }

void Message::operator delete(void* memory) noexcept { ::operator delete(memory); }

void Message::operator delete(void* memory, std::size_t /*trailing*/) noexcept { ::operator delete(memory); }

}  // namespace mqloop
