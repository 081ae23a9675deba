// Receive Maximum (4.9), both ways: SendQuota counts what we may still send, ReceiveQuota what the peer may. Each
// counts PUBLISH packets of QoS 1 and 2 from the PUBLISH to its PUBACK, PUBCOMP or a PUBREC of 0x80 and above; nothing
// else counts [MQTT-4.9.0-3]. One of each for a connection, used by its thread.
#pragma once

#include <cstdint>

#include "core/mqtt/fault.h"

namespace mqloop::mqtt {

class SendQuota {
 public:
  // `receive_maximum` is the peer's; 65,535 where it named none, and for 3.x what the configuration allows. Not 0.
  explicit SendQuota(std::uint16_t receive_maximum = 65535) noexcept
      : maximum_(receive_maximum), left_(receive_maximum) {}

  // Takes one for a PUBLISH of QoS 1 or 2; false: it has to wait [MQTT-4.9.0-2].
  [[nodiscard]] bool take() noexcept {
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  // A flow has ended. The quota never passes its first value, also when an acknowledgement comes twice.
  void give_back() noexcept {
    if (left_ < maximum_) ++left_;
  }
  [[nodiscard]] std::uint16_t maximum() const noexcept { return maximum_; }
  [[nodiscard]] std::uint16_t left() const noexcept { return left_; }
  [[nodiscard]] std::uint16_t in_flight() const noexcept { return static_cast<std::uint16_t>(maximum_ - left_); }

 private:
  std::uint16_t maximum_;
  std::uint16_t left_;
};

class ReceiveQuota {
 public:
  // `receive_maximum` is what we announced. Not 0.
  explicit ReceiveQuota(std::uint16_t receive_maximum = 65535) noexcept : quota_(receive_maximum) {}

  // For each arriving PUBLISH of QoS 1 or 2 that is not a repetition of one still open [MQTT-3.3.4-7].
  [[nodiscard]] Fault take() noexcept { return quota_.take() ? Fault::kNone : Fault::kReceiveMaximumExceeded; }
  // We have sent its PUBACK, its PUBCOMP, or a PUBREC of 0x80 and above.
  void give_back() noexcept { quota_.give_back(); }
  [[nodiscard]] std::uint16_t in_flight() const noexcept { return quota_.in_flight(); }

 private:
  SendQuota quota_;
};

}  // namespace mqloop::mqtt
