// SipHash: a keyed hash for tables whose keys come from peers. Who does not know the seed cannot make keys that
// collide. Tables use one compression and three finalisation rounds (SipHash-1-3, as CPython and Rust do); the rounds
// are a parameter so that the algorithm can be checked against the published vectors of SipHash-2-4. No state, any
// thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <mqloop/clock.h>

namespace mqloop {

struct HashSeed {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;

  static HashSeed from(Random& random) noexcept {
    const std::uint64_t first = random.next();
    return {first, random.next()};
  }
};

class SipState {
 public:
  explicit constexpr SipState(HashSeed seed) noexcept
      : v0_(seed.k0 ^ 0x736f6d6570736575U),
        v1_(seed.k1 ^ 0x646f72616e646f6dU),
        v2_(seed.k0 ^ 0x6c7967656e657261U),
        v3_(seed.k1 ^ 0x7465646279746573U) {}

  template <int kRounds>
  constexpr void compress(std::uint64_t word) noexcept {
    v3_ ^= word;
    rounds<kRounds>();
    v0_ ^= word;
  }

  template <int kRounds>
  constexpr std::uint64_t finish() noexcept {
    v2_ ^= 0xff;
    rounds<kRounds>();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  template <int kRounds>
  constexpr void rounds() noexcept {
    for (int i = 0; i < kRounds; ++i) {
      v0_ += v1_;
      v2_ += v3_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v1_;
      v0_ += v3_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ = std::rotl(v2_, 32);
    }
  }

  std::uint64_t v0_, v1_, v2_, v3_;
};

template <int kCompression = 1, int kFinalization = 3>
[[nodiscard]] inline std::uint64_t seeded_hash(HashSeed seed, std::string_view bytes) noexcept {
  static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");
  SipState state(seed);
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    state.compress<kCompression>(word);
  }
  std::uint64_t last = 0;
  if (left != 0) std::memcpy(&last, at, left);
  last |= static_cast<std::uint64_t>(bytes.size()) << 56;
  state.compress<kCompression>(last);
  return state.finish<kFinalization>();
}

// For std::unordered_map keyed by strings, with look-up by string_view.
struct SeededStringHash {
  using is_transparent = void;
  HashSeed seed;
  std::size_t operator()(std::string_view text) const noexcept { return seeded_hash(seed, text); }
};

}  // namespace mqloop
