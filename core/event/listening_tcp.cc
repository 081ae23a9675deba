#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>

#include "core/event/listening_sockets.h"
#include "core/event/socket_address.h"

namespace mqloop::event {

namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

std::string text_of(const Endpoint& bind) {
  const bool is_v6 = bind.host.find(':') != std::string::npos;
  return (is_v6 ? '[' + bind.host + ']' : bind.host) + ':' + std::to_string(bind.port);
}

Result<Addresses> resolve(const Endpoint& bind) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(bind.host.c_str(), std::to_string(bind.port).c_str(), &hints, &list);
  if (error == 0) return Addresses(list);
  const std::string text = error == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(error);
  return Status(StatusCode::kNotFound, "cannot resolve '" + bind.host + "': " + text);
}

// A name may have the same address twice ("localhost" in both families of /etc/hosts).
bool is_repeated(const addrinfo* first, const addrinfo* address) {
  for (; first != address; first = first->ai_next) {
    if (first->ai_addrlen == address->ai_addrlen &&
        std::memcmp(first->ai_addr, address->ai_addr, address->ai_addrlen) == 0) {
      return true;
    }
  }
  return false;
}

int integer_option(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

void set_option(int fd, int level, int name, int value) noexcept { setsockopt(fd, level, name, &value, sizeof value); }

std::string interface_of(int fd) {
  char name[IFNAMSIZ] = {};
  socklen_t size = sizeof name;
  getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &size);
  return {name, strnlen(name, sizeof name)};
}

class TcpOpener {
 public:
  TcpOpener(const SocketListener::Options& options, std::span<const int> running) noexcept
      : options_(options), running_(running) {}

  OpenOutcome open(sockaddr& wanted, std::vector<Descriptor>& into) {
    if (chosen_port_ != 0) set_port(wanted, chosen_port_);
    Descriptor fd = same_that_runs(wanted);
    if (fd.get() < 0) {
      fd = Descriptor(socket(wanted.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
      if (fd.get() < 0) return failure(wanted);
      if (OpenOutcome outcome = bind_it(fd.get(), wanted); !outcome.status.ok()) return outcome;
    }
    apply_tcp_options(fd.get(), options_);
    if (listen(fd.get(), options_.backlog) != 0) return failure(wanted);
    note_port(fd.get());
    into.push_back(std::move(fd));
    return {ok()};
  }

 private:
  static OpenOutcome failure(const sockaddr& wanted) { return {listen_failure(errno, wanted), address_text(wanted)}; }

  [[nodiscard]] bool is_v6_only() const noexcept { return options_.bind.host != "::" || !options_.dual_stack; }

  OpenOutcome bind_it(int fd, const sockaddr& wanted) {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (wanted.sa_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_v6_only() ? 1 : 0);
    const std::string& device = options_.interface;
    if (!device.empty() &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.c_str(), static_cast<socklen_t>(device.size())) != 0) {
      const int error = errno;
      if (error == ENODEV) {
        return {not_found("there is no network interface '" + device + "'"), address_text(wanted)};
      }
      return {from_errno(error, "interface '" + device + "'"), address_text(wanted)};
    }
    return ::bind(fd, &wanted, length_of(wanted)) == 0 ? OpenOutcome{ok()} : failure(wanted);
  }

  // Of the sockets of the listener whose place is taken the one that is bound as this one would be.
  [[nodiscard]] Descriptor same_that_runs(const sockaddr& wanted) const {
    for (const int fd : running_) {
      sockaddr_storage bound{};
      auto& name = reinterpret_cast<sockaddr&>(bound);
      socklen_t size = sizeof bound;
      if (getsockname(fd, &name, &size) != 0 || name.sa_family != wanted.sa_family || size != length_of(wanted) ||
          std::memcmp(&name, &wanted, size) != 0 || interface_of(fd) != options_.interface) {
        continue;
      }
      if (wanted.sa_family == AF_INET6 && (integer_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) != is_v6_only()) {
        continue;
      }
      return Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    }
    return Descriptor();
  }

  void note_port(int fd) noexcept {
    sockaddr_storage bound{};
    auto& name = reinterpret_cast<sockaddr&>(bound);
    socklen_t size = sizeof bound;
    getsockname(fd, &name, &size);
    chosen_port_ = port_of(name);
  }

  const SocketListener::Options& options_;
  const std::span<const int> running_;
  std::uint16_t chosen_port_ = 0;  // by the system for the first socket, where port 0 was asked for
};

}  // namespace

// Connections inherit all of it from the socket that they are accepted on.
void apply_tcp_options(int fd, const SocketListener::Options& options) noexcept {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, options.nodelay ? 1 : 0);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, options.keep_alive ? 1 : 0);
  if (!options.keep_alive) return;
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options.keep_alive->idle.count()));
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(options.keep_alive->interval.count()));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keep_alive->probes);
}

OpenOutcome open_tcp(const SocketListener::Options& options, std::span<const int> running,
                     std::vector<Descriptor>& into) {
  const Result<Addresses> addresses = resolve(options.bind);
  if (!addresses.ok()) return {addresses.status(), text_of(options.bind)};
  TcpOpener opener(options, running);
  OpenOutcome last;
  for (const addrinfo* at = addresses.value().get(); at != nullptr; at = at->ai_next) {
    if (is_repeated(addresses.value().get(), at)) continue;
    OpenOutcome outcome = opener.open(*at->ai_addr, into);
    if (outcome.status.ok()) continue;
    if (outcome.status.code() != StatusCode::kUnavailable) return outcome;
    last = std::move(outcome);
  }
  return into.empty() ? last : OpenOutcome{ok()};
}

}  // namespace mqloop::event
