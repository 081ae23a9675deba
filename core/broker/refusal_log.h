// RefusalLog: the lines that tell what was refused to a client, or to who comes from an address: one a refusal, and so
// many a minute of each, so that nobody fills the log by asking for what is refused. Those beyond are written at level
// `debug`, and counted in the next line that passes. Owned by a Shard, whose thread alone uses it.
// Invariant: at most kMost clients and addresses are remembered; beyond, the others share one allowance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>

#include <mqloop/clock.h>
#include <mqloop/log.h>

#include "core/base/log_brake.h"
#include "core/base/seeded_hash.h"

namespace mqloop::broker {

class RefusalLog {
 public:
  static constexpr std::uint32_t kLinesAMinute = 10;
  static constexpr std::size_t kMost = 1024;

  RefusalLog(Log& log, HashSeed seed) noexcept : log_(log), seed_(seed) {}

  // Of an address, which is written as Stream::peer_address() says; a peer without one is like all others without.
  void of_address(MonotonicTime now, std::string_view peer, std::string_view module, std::string_view event,
                  std::span<const LogField> fields);
  // Of a client, by Session::client_key().
  void of_client(MonotonicTime now, std::uint64_t client_key, std::string_view event, std::span<const LogField> fields);

 private:
  void write(MonotonicTime now, std::uint64_t about, std::string_view module, std::string_view event,
             std::span<const LogField> fields);
  [[nodiscard]] LogBrake& brake_of(std::uint64_t about, MonotonicTime now);

  Log& log_;
  HashSeed seed_;
  std::unordered_map<std::uint64_t, LogBrake> brakes_;  // by keyed hashes
  LogBrake others_{kLinesAMinute};
  MonotonicTime next_sweep_{};
};

}  // namespace mqloop::broker
