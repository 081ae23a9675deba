// A Message is an application message on its way: topic, payload and what travels with them, made once and never
// changed, shared by every queue, window and reactor that holds it. One allocation; dropped by its last holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <mqloop/clock.h>
#include <mqloop/export.h>
#include <mqloop/protocol.h>
#include <mqloop/ref.h>

namespace mqloop {

class MQLOOP_API Message final : public SharedObject {
 public:
  // No expiry.
  static constexpr MonotonicTime kNever = MonotonicTime::max();

  struct Content {
    std::string_view topic;  // a valid Topic Name (4.7): the final one, after every rewriting
    std::span<const std::uint8_t> payload;
    // MQTT 5.0 properties as they stood on the wire, without their length, less Message Expiry Interval, Topic Alias
    // and Subscription Identifier: what a server forwards unchanged (3.3.2.3).
    std::span<const std::uint8_t> properties;
    QoS qos = QoS::kAtMostOnce;  // as published
    bool retain = false;         // as published
    MonotonicTime expires_at = kNever;
    // Names the publishing client: a keyed hash of its client identifier, good for comparing within one broker; 0 when
    // no client published it.
    std::uint64_t publisher = 0;
  };

  static Ref<const Message> create(const Content& content);

  [[nodiscard]] std::string_view topic() const noexcept {
    return {reinterpret_cast<const char*>(bytes()), topic_size_};
  }
  [[nodiscard]] std::span<const std::uint8_t> properties() const noexcept {
    return {bytes() + topic_size_, properties_size_};
  }
  [[nodiscard]] std::span<const std::uint8_t> payload() const noexcept {
    return {bytes() + topic_size_ + properties_size_, payload_size_};
  }
  [[nodiscard]] QoS qos() const noexcept { return qos_; }
  [[nodiscard]] bool retain() const noexcept { return retain_; }
  [[nodiscard]] MonotonicTime expires_at() const noexcept { return expires_at_; }
  [[nodiscard]] std::uint64_t publisher() const noexcept { return publisher_; }
  // What it occupies, for limits in bytes.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return sizeof(Message) + topic_size_ + properties_size_ + payload_size_;
  }

  static void operator delete(void* memory) noexcept;

 private:
  explicit Message(const Content& content) noexcept;
  ~Message() override = default;
  static void* operator new(std::size_t size, std::size_t trailing);
  static void operator delete(void* memory, std::size_t trailing) noexcept;
  [[nodiscard]] const std::uint8_t* bytes() const noexcept { return reinterpret_cast<const std::uint8_t*>(this + 1); }

  QoS qos_;
  bool retain_;
  std::uint16_t topic_size_;
  std::uint32_t properties_size_;
  std::uint32_t payload_size_;
  MonotonicTime expires_at_;
  std::uint64_t publisher_;
};

}  // namespace mqloop
