// Counts of durations, log-linear: 64 slots an octave, so that a quantile is off by less than 1.6 %.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace mqloop::load {

class Histogram {
 public:
  void add(uint64_t ns) {
    ++slots_[slot_of(ns)];
    ++count_;
    max_ = std::max(max_, ns);
  }
  uint64_t count() const { return count_; }
  double max_us() const { return static_cast<double>(max_) / 1000; }
  double quantile_us(double quantile) const {
    const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(quantile * static_cast<double>(count_) + 0.5));
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
      seen += slots_[slot];
      if (seen >= wanted) return static_cast<double>(std::min(middle_of(slot), max_)) / 1000;
    }
    return max_us();
  }

 private:
  static constexpr uint32_t kBits = 6;
  static constexpr uint32_t kPerOctave = 1 << kBits;

  static uint32_t slot_of(uint64_t ns) {
    if (ns < kPerOctave) return static_cast<uint32_t>(ns);
    const auto octave = static_cast<uint32_t>(std::bit_width(ns)) - 1 - kBits;
    return ((octave + 1) << kBits) + (static_cast<uint32_t>(ns >> octave) & (kPerOctave - 1));
  }
  static uint64_t middle_of(uint32_t slot) {
    const uint32_t octave = slot >> kBits;
    const uint64_t rest = slot & (kPerOctave - 1);
    if (octave == 0) return rest;
    return ((kPerOctave + rest) << (octave - 1)) + ((uint64_t{1} << (octave - 1)) >> 1);
  }

  std::vector<uint64_t> slots_ = std::vector<uint64_t>(64 << kBits);
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace mqloop::load
