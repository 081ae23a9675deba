// The payloads of SUBSCRIBE and UNSUBSCRIBE: views that read one entry after the other from checked bytes, and the
// functions that write such bytes for a packet to be encoded. The views borrow the bytes. Any thread that may read
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

#include <mqloop/protocol.h>

namespace mqloop::mqtt {

// Retain Handling (5.0: 3.8.3.1).
enum class RetainHandling : std::uint8_t { kSendAlways = 0, kSendIfNew = 1, kDoNotSend = 2 };

struct SubscriptionOptions {
  QoS maximum_qos = QoS::kAtMostOnce;
  bool no_local = false;             // false in 3.x
  bool retain_as_published = false;  // false in 3.x
  RetainHandling retain_handling = RetainHandling::kSendAlways;

  friend bool operator==(const SubscriptionOptions&, const SubscriptionOptions&) = default;
};
[[nodiscard]] SubscriptionOptions subscription_options(std::uint8_t byte) noexcept;
[[nodiscard]] std::uint8_t to_byte(const SubscriptionOptions& options) noexcept;

struct SubscriptionRequest {
  std::string_view filter;
  SubscriptionOptions options;
};

namespace detail {
// Reads {16-bit length, bytes} entries, each followed by kTail more bytes.
template <typename Value, Value (*read)(const std::uint8_t*) noexcept, std::size_t kTail>
class EntryList {
 public:
  class Iterator {
   public:
    using value_type = Value;
    using difference_type = std::ptrdiff_t;
    Iterator() noexcept = default;
    explicit Iterator(const std::uint8_t* at) noexcept : at_(at) {}
    Value operator*() const noexcept { return read(at_); }
    Iterator& operator++() noexcept {
      at_ += 2 + ((std::size_t{at_[0]} << 8) | at_[1]) + kTail;
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const std::uint8_t* at_ = nullptr;
  };

  EntryList() noexcept = default;
  // `bytes` hold exactly `count` whole entries.
  EntryList(std::span<const std::uint8_t> bytes, std::size_t count) noexcept : bytes_(bytes), count_(count) {}

  [[nodiscard]] Iterator begin() const noexcept { return Iterator(bytes_.data()); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(bytes_.data() + bytes_.size()); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t count_ = 0;
};

SubscriptionRequest read_subscription(const std::uint8_t* at) noexcept;
std::string_view read_filter(const std::uint8_t* at) noexcept;
}  // namespace detail

using SubscriptionList = detail::EntryList<SubscriptionRequest, detail::read_subscription, 1>;
using TopicFilterList = detail::EntryList<std::string_view, detail::read_filter, 0>;

// These own the bytes of a list that is about to be encoded; a list() dies at the next add() or with the writer. A
// filter has at most 65,535 bytes. For 3.x only the QoS of the options is sent.
class SubscriptionListWriter {
 public:
  SubscriptionListWriter& add(std::string_view filter, SubscriptionOptions options);
  [[nodiscard]] SubscriptionList list() const noexcept { return {bytes_, count_}; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t count_ = 0;
};

class TopicFilterListWriter {
 public:
  TopicFilterListWriter& add(std::string_view filter);
  [[nodiscard]] TopicFilterList list() const noexcept { return {bytes_, count_}; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t count_ = 0;
};

}  // namespace mqloop::mqtt
