// Properties of MQTT 5.0 (2.2.2): one table of what may stand where, and Properties, a view over the bytes of one
// property section that was checked against the table. A Properties borrows: it lives as long as the bytes that it was
// read from (or the PropertyWriter that made them). It remembers where each property stands, so every question is O(1)
// but those that walk the properties which may repeat. One thread at a time, like the bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/mqtt/fault.h"
#include "core/mqtt/packet_type.h"

namespace mqloop::mqtt {

enum class PropertyId : std::uint8_t {
  kPayloadFormatIndicator = 1,
  kMessageExpiryInterval = 2,
  kContentType = 3,
  kResponseTopic = 8,
  kCorrelationData = 9,
  kSubscriptionIdentifier = 11,
  kSessionExpiryInterval = 17,
  kAssignedClientIdentifier = 18,
  kServerKeepAlive = 19,
  kAuthenticationMethod = 21,
  kAuthenticationData = 22,
  kRequestProblemInformation = 23,
  kWillDelayInterval = 24,
  kRequestResponseInformation = 25,
  kResponseInformation = 26,
  kServerReference = 28,
  kReasonString = 31,
  kReceiveMaximum = 33,
  kTopicAliasMaximum = 34,
  kTopicAlias = 35,
  kMaximumQoS = 36,
  kRetainAvailable = 37,
  kUserProperty = 38,
  kMaximumPacketSize = 39,
  kWildcardSubscriptionAvailable = 40,
  kSubscriptionIdentifierAvailable = 41,
  kSharedSubscriptionAvailable = 42,
};
inline constexpr std::size_t kPropertyCount = 27;

enum class PropertyType : std::uint8_t { kByte, kU16, kU32, kVariableByteInteger, kUtf8, kBinary, kUtf8Pair };

// Where a property section stands: one bit for each packet type, and bit 0 for the will inside CONNECT.
using PropertyPlaces = std::uint16_t;
[[nodiscard]] constexpr PropertyPlaces place_of(PacketType type) noexcept {
  return static_cast<PropertyPlaces>(1U << static_cast<unsigned>(type));
}
inline constexpr PropertyPlaces kWillPlace = 1;

struct PropertySpec {
  PropertyId id;
  PropertyType type;
  PropertyPlaces from_client;  // the sections of what a client sends that may hold it
  PropertyPlaces from_server;
  PropertyPlaces repeatable;  // the sections that may hold it more than once
  std::uint32_t minimum;      // of numbers
  std::uint32_t maximum;
  std::string_view name;  // as the standard writes it
};
[[nodiscard]] std::span<const PropertySpec, kPropertyCount> property_table() noexcept;
// Null for an identifier that the standard does not define.
[[nodiscard]] const PropertySpec* find_property(std::uint32_t id) noexcept;

// One property: `number` for the numeric types, `text` for strings and binary data; a pair is name `text` and `value`.
struct Property {
  PropertyId id{};
  std::uint32_t number = 0;
  std::string_view text;
  std::string_view value;
};

struct PropertyLimits {
  std::uint32_t maximum_length = 16 * 1024;  // bytes of one property section
  std::uint16_t maximum_user_properties = 64;
};

class Properties {
 public:
  // Walks all properties in the order of the bytes.
  class Iterator {
   public:
    using value_type = Property;
    using difference_type = std::ptrdiff_t;
    Iterator() noexcept = default;
    const Property& operator*() const noexcept { return current_; }
    const Property* operator->() const noexcept { return &current_; }
    Iterator& operator++() noexcept;
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }

   private:
    friend class Properties;
    Iterator(const Properties* owner, const std::uint8_t* at) noexcept;
    void settle() noexcept;
    const Properties* owner_ = nullptr;
    const std::uint8_t* at_ = nullptr;
    const std::uint8_t* next_ = nullptr;
    Property current_;
  };

  Properties() noexcept = default;

  // Checks `bytes` (what follows the Property Length) as the section `place` of a packet from `sender`, and on kNone
  // makes `out` a view of them. On any other answer `out` is worth nothing.
  [[nodiscard]] static Fault parse(std::span<const std::uint8_t> bytes, PropertyPlaces place, Role sender,
                                   const PropertyLimits& limits, Properties& out) noexcept;

  [[nodiscard]] bool has(PropertyId id) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // The value of a numeric property; of the first one where several may stand.
  [[nodiscard]] std::optional<std::uint32_t> number(PropertyId id) const noexcept;
  // The value of a string or of binary data.
  [[nodiscard]] std::optional<std::string_view> text(PropertyId id) const noexcept;

  // What the standard says for a property that is absent is the `else` of these.
  [[nodiscard]] std::uint32_t number_or(PropertyId id, std::uint32_t otherwise) const noexcept {
    return number(id).value_or(otherwise);
  }
  [[nodiscard]] std::uint32_t session_expiry_interval() const noexcept {
    return number_or(PropertyId::kSessionExpiryInterval, 0);
  }
  [[nodiscard]] std::uint16_t receive_maximum() const noexcept {
    return static_cast<std::uint16_t>(number_or(PropertyId::kReceiveMaximum, 65535));
  }
  [[nodiscard]] std::uint16_t topic_alias_maximum() const noexcept {
    return static_cast<std::uint16_t>(number_or(PropertyId::kTopicAliasMaximum, 0));
  }
  // 0 when there is none: a received one is never 0.
  [[nodiscard]] std::uint16_t topic_alias() const noexcept {
    return static_cast<std::uint16_t>(number_or(PropertyId::kTopicAlias, 0));
  }
  // 0 when there is none: a received one is never 0.
  [[nodiscard]] std::uint32_t subscription_identifier() const noexcept {
    return number_or(PropertyId::kSubscriptionIdentifier, 0);
  }
  [[nodiscard]] std::uint32_t will_delay_interval() const noexcept {
    return number_or(PropertyId::kWillDelayInterval, 0);
  }
  [[nodiscard]] bool request_problem_information() const noexcept {
    return number_or(PropertyId::kRequestProblemInformation, 1) != 0;
  }
  [[nodiscard]] bool request_response_information() const noexcept {
    return number_or(PropertyId::kRequestResponseInformation, 0) != 0;
  }
  [[nodiscard]] std::optional<std::uint32_t> message_expiry_interval() const noexcept {
    return number(PropertyId::kMessageExpiryInterval);
  }
  [[nodiscard]] std::optional<std::uint32_t> maximum_packet_size() const noexcept {
    return number(PropertyId::kMaximumPacketSize);
  }
  [[nodiscard]] std::optional<std::string_view> authentication_method() const noexcept {
    return text(PropertyId::kAuthenticationMethod);
  }
  [[nodiscard]] std::optional<std::string_view> authentication_data() const noexcept {
    return text(PropertyId::kAuthenticationData);
  }
  [[nodiscard]] std::optional<std::string_view> reason_string() const noexcept {
    return text(PropertyId::kReasonString);
  }

  // A User Property is one whose id is kUserProperty: `text` is its name, `value` its value.
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(this, data_); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(this, data_ + length_); }
  [[nodiscard]] std::size_t count(PropertyId id) const noexcept;

  // The same view without the properties of that id: they are neither found nor walked nor encoded.
  [[nodiscard]] Properties without(PropertyId id) const noexcept;

  // The bytes of the section without its Property Length.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Writes size() bytes and returns the end of them.
  std::uint8_t* write(std::uint8_t* out) const noexcept;

 private:
  friend class PropertyWriter;
  [[nodiscard]] bool hidden(PropertyId id) const noexcept { return ((hidden_ >> static_cast<unsigned>(id)) & 1U) != 0; }
  [[nodiscard]] Fault admit(const PropertySpec& spec, std::size_t offset, PropertyPlaces place, Role sender) noexcept;
  // The value of the property begins at `offset`. Of several the first is remembered.
  void note(PropertyId id, std::size_t offset) noexcept;

  const std::uint8_t* data_ = nullptr;
  std::uint32_t length_ = 0;   // of all bytes
  std::uint32_t size_ = 0;     // of those that are not hidden
  std::uint64_t present_ = 0;  // bit n: the property with identifier n stands here and is not hidden
  std::uint64_t hidden_ = 0;
  std::array<std::uint32_t, kPropertyCount> offsets_{};  // of the value of the first property of each row of the table
};

}  // namespace mqloop::mqtt
