#include "core/broker/refusal_log.h"

#include <chrono>
#include <string>
#include <vector>

#include "core/broker/address_counts.h"

namespace mqloop::broker {

namespace {

// A full table is searched for what can be forgotten no more often than this.
constexpr std::chrono::milliseconds kSweepPause{1000};

}  // namespace

void RefusalLog::of_address(MonotonicTime now, std::string_view peer, std::string_view module, std::string_view event,
                            std::span<const LogField> fields) {
  const auto address = AddressCounts::key_of(peer);
  const std::uint64_t about = address ? AddressCounts::Hash{seed_}(*address) : 0;
  write(now, about ^ seeded_hash(seed_, module), module, event, fields);
}

void RefusalLog::of_client(MonotonicTime now, std::uint64_t client_key, std::string_view event,
                           std::span<const LogField> fields) {
  write(now, client_key, "auth", event, fields);
}

void RefusalLog::write(MonotonicTime now, std::uint64_t about, std::string_view module, std::string_view event,
                       std::span<const LogField> fields) {
  LogBrake& brake = brake_of(about, now);
  const bool passes = brake.may_log(now);
  const LogLevel level = passes ? LogLevel::kInfo : LogLevel::kDebug;
  if (!log_.enabled(level, module)) return;
  const std::uint64_t left_out = passes ? brake.take_left_out() : 0;
  if (left_out == 0) {
    log_.write(level, module, event, fields);
    return;
  }
  const std::string count = std::to_string(left_out);
  std::vector<LogField> all(fields.begin(), fields.end());
  all.push_back({"left_out", count});
  log_.write(level, module, event, std::span<const LogField>(all));
}

LogBrake& RefusalLog::brake_of(std::uint64_t about, MonotonicTime now) {
  if (const auto found = brakes_.find(about); found != brakes_.end()) return found->second;
  if (brakes_.size() >= kMost) {
    if (now < next_sweep_) return others_;
    next_sweep_ = now + kSweepPause;
    std::erase_if(brakes_, [now](const auto& entry) { return !entry.second.holds(now); });
    if (brakes_.size() >= kMost) return others_;
  }
  return brakes_.emplace(about, LogBrake(kLinesAMinute)).first->second;
}

}  // namespace mqloop::broker
