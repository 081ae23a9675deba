#include "core/broker/memory_guard.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "core/broker/broker.h"
#include "core/broker/shard.h"
#include "core/event/post.h"

namespace mqloop::broker {

namespace {

using event::post;

// Of the limit, in percent; by MemoryStage.
constexpr std::array<std::uint64_t, 5> kBegins = {0, 80, 90, 95, 100};
constexpr std::uint64_t kHysteresis = 10;

constexpr std::chrono::milliseconds kAtLeisure{1000};
constexpr std::chrono::milliseconds kUnderPressure{100};

constexpr MemoryStage stage_at(std::size_t index) noexcept { return static_cast<MemoryStage>(index); }

}  // namespace

std::string_view name_of(MemoryStage stage) noexcept {
  constexpr std::array<std::string_view, 5> kNames = {"none", "stop_accepting", "hold_publishers", "drop_qos0",
                                                      "disconnect"};
  return kNames[static_cast<std::size_t>(stage)];
}

MemoryStage next_stage(MemoryStage stage, std::uint64_t held, std::uint64_t limit, bool impatient) noexcept {
  // In doubles: percent of any size.
  const double percent = static_cast<double>(held) * 100 / static_cast<double>(limit);
  auto index = static_cast<std::size_t>(stage);
  while (index + 1 != kBegins.size() && percent >= static_cast<double>(kBegins[index + 1])) ++index;
  while (index != 0 && percent < static_cast<double>(kBegins[index] - kHysteresis)) --index;
  if (stage_at(index) == stage && impatient && stage >= MemoryStage::kHoldPublishers &&
      stage != MemoryStage::kDisconnect) {
    ++index;
  }
  return stage_at(index);
}

std::uint64_t resident_bytes() noexcept {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long pages = 0;
  if (std::fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
  std::fclose(file);
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t MemoryGuard::held() const noexcept {
  return broker_.total(&Counters::bytes_held) + broker_.total(&Counters::bytes_waiting) +
         broker_.total(&Counters::messages_waiting) * sizeof(OutboundEntry) + broker_.routes().footprint() +
         broker_.retained().bytes() + broker_.retained().footprint();
}

void MemoryGuard::look() noexcept {
  timer_.stop();
  const std::uint64_t limit = broker_.settings().limits.memory;
  event::Loop& loop = broker_.shard(0).loop();
  if (limit == 0) {
    if (stage_ != MemoryStage::kNone) enter(MemoryStage::kNone, 0);
    return;
  }
  std::uint64_t now_held = held();
  if (now_held >= limit / 2) {
    const std::uint64_t resident = resident_bytes();
    if (resident != 0) now_held = std::min(now_held, resident);
  }
  const MemoryStage next = next_stage(stage_, now_held, limit, loop.now() - since_ >= kPatience);
  if (next != stage_) enter(next, now_held);
  if (stage_ == MemoryStage::kDisconnect && answers_missing_ == 0) ask_for_the_heaviest();
  loop.timers().start(timer_, loop.now() + (now_held >= limit / 2 ? kUnderPressure : kAtLeisure));
}

void MemoryGuard::enter(MemoryStage stage, std::uint64_t held) noexcept {
  const bool worse = stage > stage_;
  stage_ = stage;
  since_ = broker_.shard(0).loop().now();
  broker_.log().write(worse ? LogLevel::kWarn : LogLevel::kInfo, "memory", "stage",
                      {{"stage", name_of(stage)},
                       {"held", std::to_string(held)},
                       {"limit", std::to_string(broker_.settings().limits.memory)}});
  broker_.pause_listeners(ListenerGate::Pause::kMemory, stage >= MemoryStage::kStopAccepting);
  for (std::uint32_t i = 0; i != broker_.reactors(); ++i) {
    post(broker_.shard(i).loop(), [&shard = broker_.shard(i), stage] { shard.set_memory_stage(stage); });
  }
}

void MemoryGuard::ask_for_the_heaviest() {
  answers_missing_ = broker_.reactors();
  heaviest_ = {};
  for (std::uint32_t i = 0; i != broker_.reactors(); ++i) {
    post(broker_.shard(i).loop(), [this, &shard = broker_.shard(i)] {
      post(broker_.shard(0).loop(), [this, heaviest = shard.heaviest()] { answer(heaviest); });
    });
  }
}

void MemoryGuard::answer(const Heaviest& heaviest) {
  if (heaviest.bytes > heaviest_.bytes) heaviest_ = heaviest;
  if (--answers_missing_ != 0 || heaviest_.bytes == 0 || stage_ != MemoryStage::kDisconnect) return;
  Shard& shard = broker_.shard(heaviest_.reactor);
  post(shard.loop(), [&shard, heaviest = heaviest_] { shard.relieve_of(heaviest); });
}

}  // namespace mqloop::broker
