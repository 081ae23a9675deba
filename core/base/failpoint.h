// Failpoints: places at which a test can have the process killed. `MQLOOP_FAILPOINT("commit_before")` is nothing at all
// unless the build was configured with --enable-failpoints; then the environment MQLOOP_FAILPOINT=commit_before:3 kills
// the process by SIGKILL when it comes to that place for the third time (without `:3` for the first), from whatever
// thread. A name may stand at several places, which count together, each shared object for itself. To be included by
// .cc files only, since `make failpoints` compiles anew no other files than those.
#pragma once

#ifndef MQLOOP_FAILPOINTS
#define MQLOOP_FAILPOINT(name) static_cast<void>(0)
#else
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#define MQLOOP_FAILPOINT(name)                                        \
  do {                                                                \
    static const bool is_armed = ::mqloop::failpoint::is_armed(name); \
    if (is_armed) ::mqloop::failpoint::pass();                        \
  } while (false)

namespace mqloop::failpoint {

struct Order {
  std::string_view name;
  std::uint64_t passage = 1;
};

inline Order read_order() {
  const char* text = std::getenv("MQLOOP_FAILPOINT");
  if (text == nullptr) return {};
  Order order{.name = text};
  if (const auto colon = order.name.find(':'); colon != std::string_view::npos) {
    const std::string_view count = order.name.substr(colon + 1);
    order.name = order.name.substr(0, colon);
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), order.passage);
    if (error != std::errc() || end != count.data() + count.size()) std::abort();  // no test may pass by a slip
  }
  return order;
}

inline const Order& order() {
  static const Order order = read_order();
  return order;
}

inline bool is_armed(std::string_view name) { return order().name == name; }

inline void pass() {
  static std::atomic<std::uint64_t> passages{0};
  if (++passages != order().passage) return;
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();  // no further step, even if the signal takes its time
}

}  // namespace mqloop::failpoint
#endif
