// What the writer counts and report() shows. Written by the writer alone, read by anybody.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace mqloop::publisher_sqlite {

// A number that one thread changes and others read.
class Gauge {
 public:
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(std::uint64_t more) noexcept { set(get() + more); }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// How often which values came, in steps of an eighth.
class Histogram {
 public:
  void add(std::uint64_t value) noexcept {
    buckets_[bucket_of(value)].add(1);
    if (value > most_.get()) most_.set(value);
  }
  // The upper end of the step below which `thousandths` of all values lie; 0 without any.
  [[nodiscard]] std::uint64_t quantile(unsigned thousandths) const noexcept {
    std::uint64_t all = 0;
    for (const Gauge& bucket : buckets_) all += bucket.get();
    std::uint64_t left = (all * thousandths + 999) / 1000;
    for (std::size_t i = 0; all != 0 && i != buckets_.size(); ++i) {
      const std::uint64_t here = buckets_[i].get();
      if (here >= left) return end_of(i) < most_.get() ? end_of(i) : most_.get();
      left -= here;
    }
    return most_.get();
  }
  [[nodiscard]] std::uint64_t most() const noexcept { return most_.get(); }

 private:
  static constexpr std::size_t kSteps = 8;

  [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kSteps) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 4;
    const std::size_t bucket = kSteps * (shift + 1) + static_cast<std::size_t>((value >> shift) - kSteps);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  [[nodiscard]] static std::uint64_t end_of(std::size_t bucket) noexcept {
    if (bucket < kSteps) return bucket;
    const std::size_t shift = bucket / kSteps - 1;
    return ((std::uint64_t{bucket % kSteps} + kSteps + 1) << shift) - 1;
  }

  static constexpr std::size_t kBuckets = kSteps * 40;
  std::array<Gauge, kBuckets> buckets_;
  Gauge most_;
};

struct WriterFigures {
  Gauge commits;
  Gauge rows;
  Gauge elided;
  Gauge coalesced;
  Gauge acknowledged_not_durable;
  Gauge gathering_turns;
  Gauge kept_messages;
  Gauge degraded;  // 0 or 1
  Gauge failures;  // of commits and checkpoints
  Gauge checkpoints;
  Gauge database_bytes;
  Gauge wal_bytes;
  Gauge free_bytes;
  Histogram batch_rows;
  Histogram commit_us;
};

}  // namespace mqloop::publisher_sqlite
