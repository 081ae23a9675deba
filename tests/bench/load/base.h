// What every file of the load generator stands on: the clock, the way out, and numbers written without allocation. The
// generator is one thread with one epoll set; nothing in this folder is touched by another.
#pragma once

#include <charconv>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace mqloop::load {

inline constexpr uint64_t kSecond = 1'000'000'000;  // in ns, as all times here that are not called seconds

inline uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

// A run that cannot go on says why and has no figures.
[[noreturn, gnu::format(printf, 1, 2)]] inline void die(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fputs("load: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::exit(1);
}

inline char* append(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

inline char* append(char* out, uint64_t number) { return std::to_chars(out, out + 20, number).ptr; }

inline uint8_t byte_of(char c) { return static_cast<uint8_t>(c); }

}  // namespace mqloop::load
