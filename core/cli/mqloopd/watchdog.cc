#include "core/cli/mqloopd/watchdog.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mqloop::cli {

void Watchdog::start(const std::vector<event::Loop*>& loops) {
  if (manager_.watchdog_period().count() == 0) return;
  for (event::Loop* loop : loops) {
    Watched& watched = watched_.emplace_back();
    watched.watchdog = this;
    watched.loop = loop;
  }
  on_time(this);
}

void Watchdog::on_time(void* self) noexcept {
  auto& watchdog = *static_cast<Watchdog*>(self);
  if (watchdog.missing_.load(std::memory_order_acquire) == 0) {
    watchdog.begin_round();
  } else {
    watchdog.tell_who_is_stuck();
  }
  const auto pause = std::max(watchdog.manager_.watchdog_period() / 2, std::chrono::milliseconds(1));
  watchdog.watched_[0].loop->call_after(pause, &Watchdog::on_time, self);
}

void Watchdog::begin_round() noexcept {
  told_ = false;
  missing_.store(static_cast<std::uint32_t>(watched_.size()), std::memory_order_release);
  for (Watched& watched : watched_) {
    watched.missing.store(true, std::memory_order_relaxed);
    watched.loop->post(&Watchdog::on_ping, &watched);
  }
}

void Watchdog::on_ping(void* watched) noexcept {
  auto& one = *static_cast<Watched*>(watched);
  one.missing.store(false, std::memory_order_relaxed);
  Watchdog& watchdog = *one.watchdog;
  if (watchdog.missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) watchdog.manager_.feed_watchdog();
}

void Watchdog::tell_who_is_stuck() noexcept {
  if (std::exchange(told_, true)) return;
  std::string stuck;
  for (const Watched& watched : watched_) {
    if (!watched.missing.load(std::memory_order_relaxed)) continue;
    stuck += (stuck.empty() ? "" : ",") + std::to_string(watched.loop->index());
  }
  log_.write(LogLevel::kError, "mqloopd", "a reactor does not turn its loop: the watchdog is not fed",
             {{"reactors", stuck}});
}

}  // namespace mqloop::cli
