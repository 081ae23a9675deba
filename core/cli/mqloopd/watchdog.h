// Watchdog: feeds the service manager's watchdog for as long as every reactor turns its loop, and starves it otherwise.
// Owned by the daemon; start() and the timer are on the thread of reactor 0, the rest on every reactor's. It outlives
// the reactors' last turn.
//
// Twice in each period a round begins: a piece of mail for each reactor. Whoever answers last ends the round and feeds.
// A reactor that is stuck, be it by one hook that blocks, leaves its round open: no other begins and nobody feeds. The
// log names the reactors that have not answered; where reactor 0 itself is stuck nobody can, and only the service
// manager's own log tells.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include <mqloop/log.h>

#include "core/cli/mqloopd/service_manager.h"
#include "core/event/loop.h"

namespace mqloop::cli {

class Watchdog {
 public:
  // Feeds nobody when the manager does not watch.
  Watchdog(ServiceManager& manager, Log& log) : manager_(manager), log_(log) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // On loops[0]'s thread, once; all loops turn.
  void start(const std::vector<event::Loop*>& loops);

 private:
  struct Watched {
    Watchdog* watchdog = nullptr;
    event::Loop* loop = nullptr;
    std::atomic<bool> missing{false};  // has not answered in this round
  };
  static void on_time(void* self) noexcept;
  static void on_ping(void* watched) noexcept;
  void begin_round() noexcept;
  void tell_who_is_stuck() noexcept;

  ServiceManager& manager_;
  Log& log_;
  std::deque<Watched> watched_;  // by reactor
  std::atomic<std::uint32_t> missing_{0};
  bool told_ = false;  // of this round
};

}  // namespace mqloop::cli
