// The server's half of WebSocket: just enough for the load generator, which puts whole packets into unfragmented
// frames.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mqloop::floor {

inline constexpr size_t kLongestRequest = 16384;

// The answer to an upgrade request, or nothing when it has no key.
std::string upgrade_answer(std::string_view request);

struct Frame {
  unsigned opcode = 0;
  std::string_view payload;  // unmasked where it lies
  char* end = nullptr;       // nullptr: it is not whole yet
  bool is_bad = false;
};
Frame read_frame(char* begin, char* end, size_t largest);

}  // namespace mqloop::floor
