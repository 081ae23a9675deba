#include "core/broker/connection_room.h"

#include <sys/resource.h>

#include <algorithm>

namespace mqloop::broker {

namespace {

// Descriptors that are not connections: loops, logs, files of plugins. A small limit is shared out.
constexpr rlim_t kReservedDescriptors = 100;
constexpr rlim_t kReservedShare = 4;

}  // namespace

std::uint32_t connections_that_fit(std::uint32_t wanted) noexcept {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t reserved = std::min(kReservedDescriptors, files.rlim_cur / kReservedShare);
  return static_cast<std::uint32_t>(std::min<rlim_t>(wanted, files.rlim_cur - reserved));
}

}  // namespace mqloop::broker
