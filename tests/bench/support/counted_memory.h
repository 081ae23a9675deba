// Counts what the program that it is linked into allocates, malloc() and operator new alike: counted_memory.cc takes
// the C library's functions over. One thread counts at a time; not for programs with a sanitizer, which has its own.
#pragma once

#include <cstdint>

namespace mqloop::bench {

struct CountedMemory {
  std::uint64_t allocations = 0;  // since the program began, while counting was on; growing by realloc() is one
  std::uint64_t bytes = 0;        // allocated now, the allocator's eight bytes for each included
};

[[nodiscard]] CountedMemory counted_memory() noexcept;
void count_allocations(bool on) noexcept;

}  // namespace mqloop::bench
