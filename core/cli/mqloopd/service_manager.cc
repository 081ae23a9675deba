#include "core/cli/mqloopd/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace mqloop::cli {

namespace {

constexpr char kSocketVariable[] = "NOTIFY_SOCKET";
constexpr char kPeriodVariable[] = "WATCHDOG_USEC";
constexpr char kPidVariable[] = "WATCHDOG_PID";
// A supervisor that does not read for so long does not learn what it was to be told.
constexpr timeval kPatience{5, 0};

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

// 0 for what is no number.
std::uint64_t number_in(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::chrono::milliseconds watchdog_from_environment() {
  const std::uint64_t period = number_in(take_variable(kPeriodVariable));
  const std::string pid = take_variable(kPidVariable);
  if (!pid.empty() && number_in(pid) != static_cast<std::uint64_t>(getpid())) return {};
  constexpr std::uint64_t kLongest = 1'000'000ULL * 3600 * 24 * 365;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::microseconds(std::min(period, kLongest)));
}

Result<int> connect_to(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((name[0] != '/' && name[0] != '@') || name.size() >= sizeof address.sun_path) {
    return invalid_argument(std::string(kSocketVariable) + ": '" + name + "' is no address of a socket");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace; its names have no end mark
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/' ? 1 : 0));
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return from_errno(errno, kSocketVariable);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    const Status status = from_errno(errno, std::string(kSocketVariable) + ": " + name);
    close(socket);
    return status;
  }
  return socket;
}

}  // namespace

Result<std::unique_ptr<ServiceManager>> ServiceManager::from_environment() {
  const std::string name = take_variable(kSocketVariable);
  const std::chrono::milliseconds period = watchdog_from_environment();
  if (name.empty()) return std::unique_ptr<ServiceManager>(new ServiceManager(-1, {}));
  const Result<int> socket = connect_to(name);
  if (!socket.ok()) return socket.status();
  return std::unique_ptr<ServiceManager>(new ServiceManager(socket.value(), period));
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) close(socket_);
}

void ServiceManager::ready(std::string_view status) noexcept { tell("READY=1\nSTATUS=" + std::string(status), 0); }

void ServiceManager::reloading() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + "\nSTATUS=reading the configuration", 0);
}

void ServiceManager::stopping() noexcept { tell("STOPPING=1\nSTATUS=saying good-bye to the clients", 0); }

// A reactor never waits for it: when it is lost, the next one counts.
void ServiceManager::feed_watchdog() noexcept { tell("WATCHDOG=1", MSG_DONTWAIT); }

void ServiceManager::tell(std::string_view state, int flags) noexcept {
  if (socket_ < 0) return;
  while (send(socket_, state.data(), state.size(), flags | MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

}  // namespace mqloop::cli
