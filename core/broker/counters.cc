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
    case DropCause::kDenied:
      return "denied";
    case DropCause::kRetainLimit:
      return "retain_limit";
    case DropCause::kPublisher:
      return "publisher";
    case DropCause::kCount:
      break;
  }
  return "unknown";
}

}  // namespace mqloop::broker
