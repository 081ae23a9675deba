// Counts the system calls of a reactor and its sockets: counted_calls.cc takes over the C library's functions that
// libevent and core/event call in a turn. A look for events that finds none is not counted: a loop that has nothing
// else to do would have waited. One thread counts at a time.
#pragma once

#include <cstdint>

namespace mqloop::bench {

// Since the program began, while counting was on.
[[nodiscard]] std::uint64_t counted_calls() noexcept;
void count_calls(bool on) noexcept;

}  // namespace mqloop::bench
