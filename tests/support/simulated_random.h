// The chance of a simulation: one seed, one sequence of numbers, on every machine. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <mqloop/clock.h>

namespace mqloop::sim {

class SimulatedRandom final : public Random {
 public:
  explicit SimulatedRandom(std::uint64_t seed) noexcept : state_(seed) {}

  // SplitMix64.
  [[nodiscard]] std::uint64_t next() noexcept override {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  // 0 .. bound - 1; `bound` is not 0.
  [[nodiscard]] std::size_t below(std::size_t bound) noexcept { return next() % bound; }
  [[nodiscard]] std::size_t between(std::size_t least, std::size_t most) noexcept {
    return least + below(most - least + 1);
  }
  [[nodiscard]] bool chance(unsigned percent) noexcept { return below(100) < percent; }
  template <typename T>
  [[nodiscard]] const T& pick(const std::vector<T>& from) noexcept {
    return from[below(from.size())];
  }
  template <typename T>
  void shuffle(std::vector<T>& items) noexcept {
    for (std::size_t left = items.size(); left > 1; --left) std::swap(items[left - 1], items[below(left)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace mqloop::sim
