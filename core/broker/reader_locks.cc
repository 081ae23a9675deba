#include "core/broker/reader_locks.h"

#include <thread>

namespace mqloop::broker {

void ReaderLocks::let_readers_in() const noexcept {
  constexpr int kPatience = 64;
  for (int i = 0; i < kPatience && waiting_.load(std::memory_order_relaxed) != 0; ++i) std::this_thread::yield();
}

}  // namespace mqloop::broker
