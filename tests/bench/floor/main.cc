// floor: what `relay.h` tells, on 127.0.0.1.
//   floor PORT [ws] [each|raw]      PORT 0: the system chooses. The first line of the output is the port.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/bench/floor/relay.h"

namespace {

[[noreturn]] void print_usage() {
  std::fputs("usage: floor PORT [ws] [each|raw]\n", stderr);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) print_usage();
  mqloop::floor::Mode mode;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "ws") {
      mode.web_socket = true;
    } else if (word == "each") {
      mode.each = true;
    } else if (word == "raw") {
      mode.raw = true;
    } else {
      print_usage();
    }
  }
  if (mode.web_socket && mode.raw) print_usage();
  std::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  mqloop::floor::Relay relay(mode);
  const uint16_t port = relay.listen(static_cast<uint16_t>(std::atoi(argv[1])));
  if (port == 0) {
    std::perror("floor");
    return 1;
  }
  std::printf("%d\n", port);
  std::fflush(stdout);
  relay.run();
}
