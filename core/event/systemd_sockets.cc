// Sockets that systemd, or whoever speaks as it does (sd_listen_fds(3)), has opened before it started this process:
// those from descriptor 3 on, as many as $LISTEN_FDS says, with names in $LISTEN_FDNAMES, for the process $LISTEN_PID
// alone. The protocol is fixed, and these three variables are all of it: no library is needed for that.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/event/listening_sockets.h"
#include "core/event/socket_address.h"

namespace mqloop::event {

namespace {

constexpr int kFirst = 3;
constexpr int kMost = 1024;

std::string_view variable(const char* name) noexcept {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here writes the environment
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// 0 where there is no number.
long number_in(std::string_view text) noexcept {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

int sockets_passed() noexcept {
  if (number_in(variable("LISTEN_PID")) != getpid()) return 0;
  const long count = number_in(variable("LISTEN_FDS"));
  return count > 0 && count <= kMost ? static_cast<int>(count) : 0;
}

int integer_option(int fd, int name) noexcept {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// Whether a listener of this kind can accept there.
bool is_of_kind(int fd, bool unix_sockets) noexcept {
  if (integer_option(fd, SO_TYPE) != SOCK_STREAM || integer_option(fd, SO_ACCEPTCONN) != 1) return false;
  const int family = integer_option(fd, SO_DOMAIN);
  return unix_sockets ? family == AF_UNIX : family == AF_INET || family == AF_INET6;
}

}  // namespace

OpenOutcome take_systemd_sockets(const SocketListener::Options& options, std::vector<Descriptor>& into) {
  const std::string& wanted = options.systemd_socket;
  const std::string where = "the socket '" + wanted + "' of systemd";
  const int count = sockets_passed();
  if (count == 0) return {not_found("none were passed: is there a socket unit for this service?"), where};
  std::string_view names = variable("LISTEN_FDNAMES");
  for (int fd = kFirst; fd != kFirst + count; ++fd) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (name != wanted) continue;
    if (!is_of_kind(fd, options.unix_socket.has_value())) {
      return {invalid_argument(options.unix_socket ? "it is no Unix stream socket that listens"
                                                   : "it is no TCP socket that listens"),
              where};
    }
    Descriptor own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (own.get() < 0 || fcntl(own.get(), F_SETFL, fcntl(own.get(), F_GETFL) | O_NONBLOCK) != 0) {
      return {from_errno(errno, "cannot take it"), where};
    }
    if (!options.unix_socket) apply_tcp_options(own.get(), options);
    into.push_back(std::move(own));
  }
  if (!into.empty()) return {ok()};
  return {
      not_found("there is none of this name among those that were passed: " + std::string(variable("LISTEN_FDNAMES"))),
      where};
}

}  // namespace mqloop::event
