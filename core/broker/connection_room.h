// How many connections the process has descriptors for.
#pragma once

#include <cstdint>

namespace mqloop::broker {

// `wanted`, or what the limit of open files leaves. Any thread.
[[nodiscard]] std::uint32_t connections_that_fit(std::uint32_t wanted) noexcept;

}  // namespace mqloop::broker
