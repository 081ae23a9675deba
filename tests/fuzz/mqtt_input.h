// What the fuzz targets of core/mqtt share: a promise that must hold, bytes in a heap block of exactly their size, and
// reading everything that a packet points to.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "core/mqtt/decoder.h"

namespace mqloop::mqtt::fuzz {

inline void require(bool promise) {
  if (!promise) std::abort();
}

class ExactBlock {
 public:
  explicit ExactBlock(std::span<const std::uint8_t> bytes)
      : block_(new std::uint8_t[bytes.size()]), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(block_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {block_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> block_;
  std::size_t size_;
};

// Adds up every byte that a packet shows, so that none is left unread.
class Reader {
 public:
  void read(std::string_view text) {
    for (const char c : text) sum_ = sum_ * 31 + static_cast<unsigned char>(c);
  }
  void read(std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) sum_ = sum_ * 31 + byte;
  }
  void read(std::span<const ReasonCode> codes) {
    for (const ReasonCode code : codes) sum_ = sum_ * 31 + static_cast<unsigned>(code);
  }
  void read(const Properties& properties) {
    for (const Property& property : properties) {
      sum_ += property.number;
      read(property.text);
      read(property.value);
    }
  }

  void operator()(const std::monostate&) {}
  void operator()(const ConnectPacket& packet) {
    read(packet.client_id);
    read(packet.properties);
    if (packet.will) {
      read(packet.will->topic);
      read(packet.will->payload);
      read(packet.will->properties);
    }
    if (packet.user_name) read(*packet.user_name);
    if (packet.password) read(*packet.password);
  }
  void operator()(const PublishPacket& packet) {
    require((packet.packet_id == 0) == (packet.qos == QoS::kAtMostOnce));
    require(!packet.topic.empty() || packet.properties.topic_alias() != 0);
    read(packet.topic);
    read(packet.properties);
    read(packet.payload);
  }
  void operator()(const SubscribePacket& packet) {
    std::size_t count = 0;
    for (const SubscriptionRequest& request : packet.subscriptions) {
      read(request.filter);
      ++count;
    }
    require(count > 0 && count == packet.subscriptions.size());
    read(packet.properties);
  }
  void operator()(const UnsubscribePacket& packet) {
    std::size_t count = 0;
    for (const std::string_view filter : packet.filters) {
      read(filter);
      ++count;
    }
    require(count > 0 && count == packet.filters.size());
    read(packet.properties);
  }
  void operator()(const SubackPacket& packet) {
    read(packet.reason_codes);
    read(packet.properties);
  }
  void operator()(const UnsubackPacket& packet) {
    read(packet.reason_codes);
    read(packet.properties);
  }
  void operator()(const PingreqPacket&) {}
  void operator()(const PingrespPacket&) {}
  template <typename WithProperties>
  void operator()(const WithProperties& packet) {
    read(packet.properties);
  }

  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

}  // namespace mqloop::mqtt::fuzz
