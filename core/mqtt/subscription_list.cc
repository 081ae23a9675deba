#include "core/mqtt/subscription_list.h"

namespace mqloop::mqtt {
namespace {

constexpr std::uint8_t kQoSBits = 0x03;
constexpr std::uint8_t kNoLocalBit = 0x04;
constexpr std::uint8_t kRetainAsPublishedBit = 0x08;
constexpr unsigned kRetainHandlingShift = 4;
constexpr std::uint8_t kRetainHandlingBits = 0x03;

void append_filter(std::vector<std::uint8_t>& bytes, std::string_view filter) {
  bytes.push_back(static_cast<std::uint8_t>(filter.size() >> 8));
  bytes.push_back(static_cast<std::uint8_t>(filter.size()));
  bytes.insert(bytes.end(), filter.begin(), filter.end());
}

}  // namespace

SubscriptionOptions subscription_options(std::uint8_t byte) noexcept {
  return {static_cast<QoS>(byte & kQoSBits), (byte & kNoLocalBit) != 0, (byte & kRetainAsPublishedBit) != 0,
          static_cast<RetainHandling>((byte >> kRetainHandlingShift) & kRetainHandlingBits)};
}

std::uint8_t to_byte(const SubscriptionOptions& options) noexcept {
  return static_cast<std::uint8_t>(static_cast<unsigned>(options.maximum_qos) | (options.no_local ? kNoLocalBit : 0U) |
                                   (options.retain_as_published ? kRetainAsPublishedBit : 0U) |
                                   (static_cast<unsigned>(options.retain_handling) << kRetainHandlingShift));
}

namespace detail {

std::string_view read_filter(const std::uint8_t* at) noexcept {
  return {reinterpret_cast<const char*>(at) + 2, (std::size_t{at[0]} << 8) | at[1]};
}

SubscriptionRequest read_subscription(const std::uint8_t* at) noexcept {
  const std::string_view filter = read_filter(at);
  return {filter, subscription_options(at[2 + filter.size()])};
}

}  // namespace detail

SubscriptionListWriter& SubscriptionListWriter::add(std::string_view filter, SubscriptionOptions options) {
  append_filter(bytes_, filter);
  bytes_.push_back(to_byte(options));
  ++count_;
  return *this;
}

TopicFilterListWriter& TopicFilterListWriter::add(std::string_view filter) {
  append_filter(bytes_, filter);
  ++count_;
  return *this;
}

}  // namespace mqloop::mqtt
