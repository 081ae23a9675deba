#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <mqloop/log.h>
#include <mqloop/socket.h>

#include "core/event/socket_address.h"

namespace mqloop {

namespace {

constexpr int kBatch = 64;
// After exhaustion, while nothing could be accepted since: each pause is twice as long as the one before.
constexpr std::chrono::milliseconds kShortestPause{10};
constexpr std::chrono::milliseconds kLongestPause{500};
constexpr std::chrono::minutes kBetweenWarnings{1};

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

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

// Whether one connection has failed and the next may be accepted (accept(2), "Error handling").
bool concerns_one_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct SocketListener::Impl {
  Impl(SocketListener& self, Options given) : listener(self), options(std::move(given)) {}
  ~Impl() { stop(); }

  // One listening socket; its address is fixed once events are set.
  struct Socket {
    Socket(Impl& impl, Descriptor descriptor) : owner(impl), fd(std::move(descriptor)) {}
    Impl& owner;
    Descriptor fd;
    ::event readable;
  };

  Status open_all(const addrinfo* addresses);
  Status open_one(sockaddr& wanted);
  [[nodiscard]] Status refusal(const std::string& where, const Status& why) const;
  void note_address(int fd);

  void start(ReactorApi& on, StreamSink& into) noexcept;
  void stop() noexcept;
  void update() noexcept;
  void accept_batch(int fd) noexcept;
  void take(int fd, const sockaddr& peer) noexcept;
  void exhausted(int error) noexcept;

  [[nodiscard]] bool accepting() const noexcept { return sink != nullptr && !paused && !resting; }

  static void on_connections(int /*fd*/, short /*what*/, void* socket) {
    auto* ready = static_cast<Socket*>(socket);
    ready->owner.accept_batch(ready->fd.get());
  }
  static void on_rested(int /*fd*/, short /*what*/, void* self) {
    static_cast<Impl*>(self)->resting = false;
    static_cast<Impl*>(self)->update();
  }

  SocketListener& listener;
  const Options options;
  std::vector<std::unique_ptr<Socket>> sockets;
  std::string address;
  std::uint16_t chosen_port = 0;  // by the system for the first socket, where port 0 was asked for
  bool loopback = true;

  ReactorApi* reactor = nullptr;
  StreamSink* sink = nullptr;  // null: stopped
  bool paused = false;         // by the broker
  bool resting = false;        // after exhaustion
  std::chrono::milliseconds next_pause = kShortestPause;
  bool watching = false;
  ::event rested;
  std::optional<MonotonicTime> warned;
  Counters counters;
};

Status SocketListener::Impl::refusal(const std::string& where, const Status& why) const {
  std::string text = "cannot listen on " + where;
  if (!options.origin.empty()) text += " (" + options.origin + ')';
  return {why.code(), text + ": " + std::string(why.message())};
}

// One after the other; an address whose family the machine lacks is left out when the name has another one.
Status SocketListener::Impl::open_all(const addrinfo* addresses) {
  Status last;
  for (const addrinfo* at = addresses; at != nullptr; at = at->ai_next) {
    if (is_repeated(addresses, at)) continue;
    Status status = open_one(*at->ai_addr);
    if (status.ok()) continue;
    if (status.code() != StatusCode::kUnavailable) {
      sockets.clear();
      return status;
    }
    last = std::move(status);
  }
  return sockets.empty() ? last : ok();
}

Status SocketListener::Impl::open_one(sockaddr& wanted) {
  if (chosen_port != 0) event::set_port(wanted, chosen_port);
  Descriptor fd(socket(wanted.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (fd.get() < 0) return refusal(address_text(wanted), event::listen_failure(errno, wanted));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  if (wanted.sa_family == AF_INET6) {
    const int v6_only = options.bind.host == "::" ? 0 : 1;
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  }
  if (bind(fd.get(), &wanted, event::length_of(wanted)) != 0 || listen(fd.get(), options.backlog) != 0) {
    return refusal(address_text(wanted), event::listen_failure(errno, wanted));
  }
  note_address(fd.get());
  sockets.push_back(std::make_unique<Socket>(*this, std::move(fd)));
  return ok();
}

void SocketListener::Impl::note_address(int fd) {
  sockaddr_storage bound{};
  auto& name = reinterpret_cast<sockaddr&>(bound);
  socklen_t size = sizeof bound;
  getsockname(fd, &name, &size);
  chosen_port = event::port_of(name);
  if (!address.empty()) address += ", ";
  address += address_text(name);
  loopback = loopback && address_is_loopback(name);
}

void SocketListener::Impl::start(ReactorApi& on, StreamSink& into) noexcept {
  reactor = &on;
  sink = &into;
  ::event_base* base = on.event_base();
  event_assign(&rested, base, -1, 0, on_rested, this);
  for (const auto& socket : sockets) {
    event_assign(&socket->readable, base, socket->fd.get(), EV_READ | EV_PERSIST, on_connections, socket.get());
  }
  update();
}

void SocketListener::Impl::stop() noexcept {
  if (sink == nullptr) return;
  sink = nullptr;
  update();
  event_del(&rested);
  resting = false;
}

void SocketListener::Impl::update() noexcept {
  if (watching == accepting()) return;
  watching = accepting();
  for (const auto& socket : sockets) {
    if (watching) {
      event_add(&socket->readable, nullptr);
    } else {
      event_del(&socket->readable);
    }
  }
}

void SocketListener::Impl::accept_batch(int fd) noexcept {
  for (int i = 0; i < kBatch && accepting(); ++i) {
    sockaddr_storage address_of_peer{};
    auto& peer = reinterpret_cast<sockaddr&>(address_of_peer);
    socklen_t size = sizeof address_of_peer;
    const int accepted = accept4(fd, &peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      next_pause = kShortestPause;
      take(accepted, peer);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno == EINTR) {
      continue;
    } else if (concerns_one_connection(errno)) {
      ++counters.failed;
    } else {
      exhausted(errno);
      return;
    }
  }
}

void SocketListener::Impl::take(int fd, const sockaddr& peer) noexcept {
  std::unique_ptr<Stream> stream = listener.wrap(fd, peer);
  if (stream == nullptr) {
    ++counters.failed;
    return;
  }
  ++counters.accepted;
  sink->accepted(std::move(stream));
}

// The connection stays in the system's queue, and would raise its event for ever: nothing is watched for a while. As
// long as connections end and others take their descriptors that is a short while, so that a queue full of dead ones is
// gone through fast.
void SocketListener::Impl::exhausted(int error) noexcept {
  ++counters.exhaustions;
  resting = true;
  update();
  const timeval pause{0, std::chrono::microseconds(next_pause).count()};
  event_add(&rested, &pause);
  next_pause = std::min(2 * next_pause, kLongestPause);
  const MonotonicTime now = reactor->now();
  if (warned && now - *warned < kBetweenWarnings) return;
  warned = now;
  reactor->log().write(LogLevel::kWarn, "listener", "accepting paused: the system refuses more connections",
                       {{"address", address}, {"error", std::generic_category().message(error)}});
}

SocketListener::SocketListener(Options options) : impl_(std::make_unique<Impl>(*this, std::move(options))) {}

SocketListener::~SocketListener() = default;

Status SocketListener::open() {
  const Result<Addresses> addresses = resolve(impl_->options.bind);
  if (!addresses.ok()) return impl_->refusal(text_of(impl_->options.bind), addresses.status());
  return impl_->open_all(addresses.value().get());
}

std::string_view SocketListener::address() const noexcept { return impl_->address; }

bool SocketListener::is_loopback() const noexcept { return impl_->loopback; }

Status SocketListener::start(ReactorApi& reactor, StreamSink& sink) noexcept {
  if (reactor.event_base() == nullptr) {
    return {StatusCode::kInvalidArgument, "a simulated reactor cannot watch a socket"};
  }
  impl_->stop();
  impl_->start(reactor, sink);
  return ok();
}

void SocketListener::pause(bool on) noexcept {
  impl_->paused = on;
  impl_->update();
}

void SocketListener::stop() noexcept { impl_->stop(); }

SocketListener::Counters SocketListener::counters() const noexcept { return impl_->counters; }

std::unique_ptr<Stream> SocketListener::wrap(int fd, const sockaddr& peer) noexcept {
  return make_socket_stream(fd, peer);
}

}  // namespace mqloop
