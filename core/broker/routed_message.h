// One application message on its way through a reactor's turn: either the PUBLISH that lies in the read buffer, or a
// Message that exists already. Deliveries that outlive the turn share one Message, made at the first need; all others
// are written straight from the views, so a QoS 0 PUBLISH costs no allocation.
// Lives on the stack of whoever routes it; borrows the packet's bytes. The reactor's thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/mqtt/packet.h"

namespace mqloop::broker {

class RoutedMessage {
 public:
  // `topic` is the final one: aliases resolved. `publisher` is the number of the publishing session, 0 for none.
  RoutedMessage(const mqtt::PublishPacket& packet, std::string_view topic, MonotonicTime now, std::uint64_t publisher);
  explicit RoutedMessage(Ref<const Message> message);
  // Shows `message`, which outlives it, but keeps a copy where something is to be kept.
  struct Apart {
    const Message& message;
  };
  explicit RoutedMessage(Apart apart);
  RoutedMessage(const RoutedMessage&) = delete;
  RoutedMessage& operator=(const RoutedMessage&) = delete;

  // Topic, properties and payload to be sent, QoS and RETAIN as published.
  [[nodiscard]] const mqtt::PublishPacket& packet() const noexcept { return packet_; }
  [[nodiscard]] std::string_view topic() const noexcept { return packet_.topic; }
  [[nodiscard]] QoS qos() const noexcept { return packet_.qos; }
  [[nodiscard]] bool retain() const noexcept { return packet_.retain; }
  [[nodiscard]] std::uint64_t publisher() const noexcept { return publisher_; }
  [[nodiscard]] MonotonicTime expires_at() const noexcept { return expires_at_; }
  // What is left of the Message Expiry Interval, in seconds [MQTT-3.3.2-6]; nothing when there is none.
  [[nodiscard]] std::optional<std::uint32_t> remaining_expiry(MonotonicTime now) const noexcept;

  // Who published it, to be kept with a message that is retained. Borrowed; for a PUBLISH.
  void set_principal(const Principal* principal) noexcept { principal_ = principal; }

  // Before message() is asked for: it is to have this number. One that exists already is copied.
  void set_number(std::uint64_t number);
  [[nodiscard]] std::uint64_t number() const noexcept { return message_ ? message_->number() : number_; }

  // The message to be kept.
  [[nodiscard]] const Ref<const Message>& message();

 private:
  void show(const Message& message);

  mqtt::PublishPacket packet_;
  MonotonicTime expires_at_ = Message::kNever;
  std::uint64_t publisher_ = 0;
  std::uint64_t number_ = 0;
  const Principal* principal_ = nullptr;
  Ref<const Message> message_;
};

// Topics that no client may publish to.
[[nodiscard]] inline bool is_brokers_own(std::string_view topic) noexcept {
  return topic == "$SYS" || topic.starts_with("$SYS/");
}

// The Message that `packet` carries. `principal` may be null, and stays out of a message that is not to be retained.
[[nodiscard]] Ref<const Message> make_message(const mqtt::PublishPacket& packet, MonotonicTime expires_at,
                                              std::uint64_t publisher, const Principal* principal,
                                              std::uint64_t number = 0);
// Whether it must not be delivered any more at `now` [MQTT-3.3.2-5].
[[nodiscard]] inline bool has_expired(const Message& message, MonotonicTime now) noexcept {
  return message.expires_at() <= now;
}
[[nodiscard]] MonotonicTime expiry_of(const mqtt::Properties& properties, MonotonicTime now) noexcept;

}  // namespace mqloop::broker
