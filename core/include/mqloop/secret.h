// Comparing what must not be guessed.
#pragma once

#include <string_view>

#include <mqloop/export.h>

namespace mqloop {

// Whether two secrets are equal, in a time that depends on the length of `given` alone: who measures how long a refusal
// takes learns nothing of `expected`, not even its length.
[[nodiscard]] MQLOOP_API bool same_secret(std::string_view expected, std::string_view given) noexcept;

}  // namespace mqloop
