// The four functions that turn a password and a salt into a hash; libcrypto and libargon2 do the work. Any thread.
#pragma once

#include <string_view>

#include "core/password/password_hash.h"

namespace mqloop::password {

// Writes `size` bytes to `out`; for kSha512 that is 64. False when there is not the memory for it.
[[nodiscard]] bool derive_key(const Cost& cost, std::string_view password, std::string_view salt, unsigned char* out,
                              std::size_t size);

// How much memory scrypt works in.
[[nodiscard]] std::uint64_t scrypt_memory(const Cost& cost) noexcept;

}  // namespace mqloop::password
