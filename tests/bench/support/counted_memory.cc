#include "tests/bench/support/counted_memory.h"

#include <malloc.h>

#include <cerrno>
#include <cstddef>

// glibc's own, for programs that take over the names without the underscores.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);
}

namespace mqloop::bench {

namespace {

constexpr std::size_t kHeader = 8;

CountedMemory counted;
bool counts = false;

void add(void* block) noexcept {
  if (block != nullptr) counted.bytes += malloc_usable_size(block) + kHeader;
}

void take_off(void* block) noexcept {
  if (block != nullptr) counted.bytes -= malloc_usable_size(block) + kHeader;
}

void* made(void* block) noexcept {
  counted.allocations += counts ? 1 : 0;
  add(block);
  return block;
}

}  // namespace

CountedMemory counted_memory() noexcept { return counted; }
void count_allocations(bool on) noexcept { counts = on; }

}  // namespace mqloop::bench

extern "C" {

void* malloc(std::size_t size) { return mqloop::bench::made(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return mqloop::bench::made(__libc_calloc(count, size)); }
void* memalign(std::size_t alignment, std::size_t size) {
  return mqloop::bench::made(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void* realloc(void* block, std::size_t size) {
  mqloop::bench::take_off(block);
  void* moved = __libc_realloc(block, size);
  if (moved == nullptr && size != 0) mqloop::bench::add(block);
  return mqloop::bench::made(moved);
}
void free(void* block) {
  mqloop::bench::take_off(block);
  __libc_free(block);
}
}
