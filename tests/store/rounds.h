// How many seeded rounds a test of this folder does, and from which seed on. STORE_ROUNDS and STORE_SEED choose others;
// a failure tells the seed, and `STORE_SEED=N STORE_ROUNDS=1` does it again.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace mqloop::store_test {

inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

inline std::uint64_t first_seed() { return number_from("STORE_SEED", 1); }
inline std::uint64_t rounds(std::uint64_t usual) { return number_from("STORE_ROUNDS", usual); }

}  // namespace mqloop::store_test
