#include "core/broker/counters.h"

namespace mqloop::broker {

std::string_view name_of(DropCause cause) noexcept {
  switch (cause) {
    case DropCause::kQueueFull:
      return "queue_full";
    case DropCause::kQueueDisplaced:
      return "queue_displaced";
    case DropCause::kExpired:
      return "expired";
    case DropCause::kTooLarge:
      return "too_large";
    case DropCause::kBackPressure:
      return "back_pressure";
    case DropCause::kOffline:
      return "offline";
    case DropCause::kSessionEnded:
      return "session_ended";
    case DropCause::kDenied:
      return "denied";
    case DropCause::kNoSubscriber:
      return "no_subscriber";
    case DropCause::kRetainLimit:
      return "retain_limit";
    case DropCause::kRetainedExpired:
      return "retained_expired";
    case DropCause::kNoMember:
      return "no_member";
    case DropCause::kPublisher:
      return "publisher";
    case DropCause::kMemory:
      return "memory";
    case DropCause::kCount:
      break;
  }
  return "unknown";
}

bool is_a_loss(DropCause cause) noexcept {
  return cause == DropCause::kQueueFull || cause == DropCause::kQueueDisplaced || cause == DropCause::kTooLarge ||
         cause == DropCause::kBackPressure || cause == DropCause::kMemory;
}

std::string ClientDrops::text() const {
  std::string text = "{";
  for (std::size_t i = 0; i != kDropCauses; ++i) {
    if (counts_[i] == 0) continue;
    if (text.size() != 1) text += ", ";
    text.append(name_of(static_cast<DropCause>(i))).append(": ").append(std::to_string(counts_[i]));
  }
  return text + "}";
}

}  // namespace mqloop::broker
