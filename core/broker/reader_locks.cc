#include "core/broker/reader_locks.h"

#include <thread>

namespace mqloop::broker {

void ReaderLocks::let_readers_in() const noexcept {
  constexpr int kPatience = 64;
  for (unsigned i = 0; i < size_; ++i) {
    for (int turn = 0; turn < kPatience && lines_[i].waiting.load(std::memory_order_relaxed) != 0; ++turn) {
      std::this_thread::yield();
    }
  }
}

}  // namespace mqloop::broker
