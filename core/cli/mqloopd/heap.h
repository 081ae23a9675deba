// How the C library's heap is to treat memory that is freed. Called once, before the threads start.
#pragma once

namespace mqloop::cli {

// Keeps some MiB at the end of the heap rather than giving them back to the system at once. A broker that passes on
// large messages one by one would otherwise get and return the same pages for each of them, and of a message of 64 KiB
// the page faults cost more than all else.
void keep_freed_memory() noexcept;

}  // namespace mqloop::cli
