// What a reactor offers to plugins. A reactor is one thread with one event loop; a plugin is told of each reactor once,
// at its start, and may keep the reference until stop(). Unless a function says «any thread», it is for the reactor's
// own thread alone.
#pragma once

#include <chrono>
#include <cstdint>

#include <mqloop/clock.h>
#include <mqloop/export.h>

struct event_base;  // libevent's

namespace mqloop {

class Log;

class MQLOOP_API ReactorApi {
 public:
  virtual ~ReactorApi();

  // 0 .. number of reactors - 1. Any thread.
  [[nodiscard]] virtual std::uint32_t index() const noexcept = 0;
  // The libevent loop of this reactor, for descriptors of one's own. It has no locks: use it on this thread only. Null
  // in a simulated reactor, where nothing may wait for descriptors.
  [[nodiscard]] virtual ::event_base* event_base() noexcept = 0;
  // The time at the start of this turn of the loop: cheap, and the same for everything that happens in the turn.
  [[nodiscard]] virtual MonotonicTime now() const noexcept = 0;
  [[nodiscard]] virtual WallTime wall_now() const noexcept = 0;
  // Calls `run(argument)` on this reactor's thread, after what was posted before by the same thread. Any thread.
  virtual void post(void (*run)(void*) noexcept, void* argument) noexcept = 0;
  // Calls `run(argument)` on this reactor once `delay` has passed. It cannot be called back: let `argument` know
  // whether it is still wanted.
  virtual void call_after(std::chrono::milliseconds delay, void (*run)(void*) noexcept, void* argument) noexcept = 0;
  // Calls `work(argument)` on a worker thread, where it may block, then `done(argument)` on this reactor. False when
  // the queue of waiting work is full: nothing will be called, refuse or try later.
  virtual bool submit(void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept = 0;
  // Any thread.
  [[nodiscard]] virtual Log& log() noexcept = 0;
};

}  // namespace mqloop
