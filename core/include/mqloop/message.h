// A Message is an application message on its way: topic, payload and what travels with them, made once and never
// changed, shared by every queue, window and reactor that holds it. One allocation; dropped by its last holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <mqloop/clock.h>
#include <mqloop/export.h>
#include <mqloop/protocol.h>
#include <mqloop/ref.h>

namespace mqloop {

// Who a client is, as access rules see it: made at CONNECT, never changed, shared by all who have to know. Only where
// the client's listener has authorizers.
class MQLOOP_API Principal final : public SharedObject {
 public:
  struct Content {
    std::string_view client_id;
    bool has_user_name = false;  // false for a client that was let in anonymously
    std::string_view user_name;
    std::string_view chain;     // whose authorizers are asked, under auth.chains
    std::string_view listener;  // where it connected
    std::string_view peer_address;
    ProtocolVersion version = ProtocolVersion::kV5;
  };

  static Ref<const Principal> create(const Content& content);

  [[nodiscard]] std::string_view client_id() const noexcept { return client_id_; }
  [[nodiscard]] bool has_user_name() const noexcept { return has_user_name_; }
  [[nodiscard]] std::string_view user_name() const noexcept { return user_name_; }
  [[nodiscard]] std::string_view chain() const noexcept { return chain_; }
  [[nodiscard]] std::string_view listener() const noexcept { return listener_; }
  [[nodiscard]] std::string_view peer_address() const noexcept { return peer_address_; }
  [[nodiscard]] ProtocolVersion version() const noexcept { return version_; }

 private:
  explicit Principal(const Content& content);
  ~Principal() override = default;

  const std::string client_id_;
  const std::string user_name_;
  const std::string chain_;
  const std::string listener_;
  const std::string peer_address_;
  const ProtocolVersion version_;
  const bool has_user_name_;
};

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
    // Of a message with `retain`: who published it, for a check of that right when it is sent to a new subscriber. Null
    // when nobody has to be asked. A publisher that keeps retained messages keeps this with them.
    Ref<const Principal> principal = nullptr;
    // Its name where a publisher keeps it: of this broker's messages and those of earlier runs, no two that differ have
    // the same. 0: nobody keeps it.
    std::uint64_t number = 0;
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
  [[nodiscard]] const Ref<const Principal>& principal() const noexcept { return principal_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
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
  Ref<const Principal> principal_;
  std::uint64_t number_;
};

}  // namespace mqloop
