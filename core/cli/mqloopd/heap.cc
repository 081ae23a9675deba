#include "core/cli/mqloopd/heap.h"

#include <malloc.h>

namespace mqloop::cli {

void keep_freed_memory() noexcept {
#ifdef M_TRIM_THRESHOLD  // glibc; others have no such choice
  constexpr int kMiB = 1024 * 1024;
  mallopt(M_TRIM_THRESHOLD, 4 * kMiB);
  // Setting the one ends the heap's adapting of the other, and a packet may have 1 MiB by default.
  mallopt(M_MMAP_THRESHOLD, 2 * kMiB);
#endif
}

}  // namespace mqloop::cli
