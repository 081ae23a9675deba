// Application messages copied one behind the other, for another reactor to read and to let go of at once. A Message
// whose last holder is on another core than its maker costs both of them: its count goes to and fro, and so does its
// memory, which the allocator takes back under a lock. Copying a small one costs less than either.
// Filled by one thread, then handed over; read by another. What it shows holds until the next add().
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/ref.h>

#include "core/broker/publish_writer.h"
#include "core/broker/routed_message.h"

namespace mqloop::broker {

class MessageCopies {
 public:
  // Larger ones are referenced when they are written, too.
  [[nodiscard]] static bool are_for(const RoutedMessage& message) noexcept {
    return message.packet().payload.size() < PublishWriter::kReferenceFrom;
  }

  // Returns its place, from 0.
  std::uint32_t add(const RoutedMessage& message);
  [[nodiscard]] Message::Content operator[](std::uint32_t place) const noexcept;
  // As Message::footprint().
  [[nodiscard]] std::size_t footprint(std::uint32_t place) const noexcept;

 private:
  struct Copy {
    MonotonicTime expires_at;
    std::uint64_t publisher;
    std::uint64_t number;
    std::size_t at;  // in bytes_: topic, properties, payload
    std::uint32_t properties_size;
    std::uint32_t payload_size;
    std::uint32_t principal;  // in principals_, from 1; 0: none
    std::uint16_t topic_size;
    QoS qos;
    bool retain;
  };

  std::vector<Copy> copies_;
  std::vector<std::uint8_t> bytes_;
  std::vector<Ref<const Principal>> principals_;
};

}  // namespace mqloop::broker
