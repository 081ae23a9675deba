#include "core/event/reactor.h"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mqloop::event {

namespace {

constexpr timeval kAtOnce{0, 0};
constexpr std::chrono::milliseconds kLongestSleep = std::chrono::hours(1);

timeval to_timeval(std::chrono::milliseconds delay) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
  return {seconds.count(), std::chrono::microseconds(delay - seconds).count()};
}

::event_base* make_base() {
  ::event_config* config = event_config_new();
  if (config == nullptr) return nullptr;
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
  event_config_require_features(config, EV_FEATURE_ET);
  ::event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  return base;
}

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create(const LoopOptions& options, ::event_base* lent) {
  const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) return from_errno(errno, "cannot make the eventfd of a reactor");
  ::event_base* base = lent != nullptr ? lent : make_base();
  if (base == nullptr) {
    close(wake_fd);
    return Status(StatusCode::kResourceExhausted,
                  "libevent cannot make an event loop: descriptors or memory have run out");
  }
  std::unique_ptr<Reactor> reactor(new Reactor(options, base, lent != nullptr, wake_fd));
  if (event_add(&reactor->wake_event_, nullptr) != 0) {
    return Status(StatusCode::kResourceExhausted, "libevent cannot watch the eventfd of a reactor");
  }
  return reactor;
}

Reactor::Reactor(const LoopOptions& options, ::event_base* base, bool lent, int wake_fd)
    : Loop(options), base_(base), lent_(lent), wake_fd_(wake_fd) {
  // Edge-triggered, every write raises the event once and nothing need be read. Not every method that a lent base may
  // use can do that.
  const int trigger = lent_ ? 0 : EV_ET;
  event_assign(&wake_event_, base_, wake_fd_, static_cast<short>(EV_READ | EV_PERSIST | trigger), on_wake, this);
  event_assign(&wheel_event_, base_, -1, 0, on_wheel, this);
  event_assign(&turn_event_, base_, -1, 0, on_turn_end, this);
}

Reactor::~Reactor() {
  event_del(&wake_event_);
  event_del(&wheel_event_);
  event_del(&turn_event_);
  close(wake_fd_);
  if (!lent_) event_base_free(base_);
}

void Reactor::wake() noexcept {
  if (thread_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    request_turn();
    return;
  }
  const std::uint64_t one = 1;
  // It fails only when the counter is full: after 2^64 wakes, or where it is read, while a wake is under way.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void Reactor::on_wake(int fd, short /*what*/, void* self) {
  auto* reactor = static_cast<Reactor*>(self);
  std::uint64_t count;
  if (reactor->lent_) (void)!read(fd, &count, sizeof count);
  reactor->request_turn();
}

void Reactor::on_wheel(int /*fd*/, short /*what*/, void* self) {
  auto* reactor = static_cast<Reactor*>(self);
  reactor->wheel_armed_ = kNever;
  reactor->request_turn();
}

// In a base of its own every wait ends in a turn. In a lent one the turn's end becomes active now, and libevent runs it
// after everything else that is active.
void Reactor::turn_begun() const noexcept {
  if (lent_ && !in_turn_) event_active(&turn_event_, EV_TIMEOUT, 1);
}

void Reactor::finish_turn() noexcept {
  in_turn_ = true;
  run_turn();
  in_turn_ = false;
}

void Reactor::on_turn_end(int /*fd*/, short /*what*/, void* self) {
  auto* reactor = static_cast<Reactor*>(self);
  reactor->finish_turn();
  reactor->arm_wheel_event();
  // By way of a timer and not event_active(), which would keep libevent from looking at its descriptors.
  if (reactor->turn_requested()) event_add(&reactor->turn_event_, &kAtOnce);
}

void Reactor::arm_wheel_event() noexcept {
  const MonotonicTime next = timers().next_deadline();
  if (next >= wheel_armed_) return;  // waking too early does no harm, and most turns are spared a change
  const MonotonicTime present = clock().now();
  const auto delay = next <= present ? std::chrono::milliseconds::zero() : std::min(next - present, kLongestSleep);
  const timeval timeout = to_timeval(delay);
  if (event_add(&wheel_event_, &timeout) == 0) wheel_armed_ = present + delay;
}

Status Reactor::run() noexcept {
  while (!stopping_.load(std::memory_order_acquire)) {
    Status status = run_once(Wait::kUntilSomethingHappens);
    if (!status.ok()) return status;
  }
  return ok();
}

void Reactor::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  wake();
}

Status Reactor::run_once(Wait wait) noexcept {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  arm_wheel_event();
  forget_time();
  const bool may_wait = wait == Wait::kUntilSomethingHappens && !turn_requested();
  if (event_base_loop(base_, EVLOOP_ONCE | (may_wait ? 0 : EVLOOP_NONBLOCK)) < 0) {
    return from_errno(errno, "libevent cannot wait for events");
  }
  finish_turn();
  return ok();
}

}  // namespace mqloop::event
