#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <mqloop/log.h>
#include <mqloop/socket.h>

#include "core/event/address_set.h"
#include "core/event/listening_sockets.h"
#include "core/event/proxy_reception.h"
#include "core/event/users.h"

namespace mqloop {

namespace {

constexpr int kBatch = 64;
// After exhaustion, while nothing could be accepted since: each pause is twice as long as the one before.
constexpr std::chrono::milliseconds kShortestPause{10};
constexpr std::chrono::milliseconds kLongestPause{500};
constexpr std::chrono::minutes kBetweenWarnings{1};
// Proxies whose header is awaited. With more nothing is accepted until one has spoken.
constexpr std::size_t kMostWaiting = 1024;

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

// Who may speak the PROXY protocol, as the options say it.
class TrustedProxies {
 public:
  Status read(const ProxyProtocol& said, bool by_user) {
    for (const std::string& from : said.from) {
      if (!by_user) {
        if (Status status = addresses_.add(from); !status.ok()) return status;
      } else if (const auto user = event::user_id(from)) {
        users_.insert(*user);
      } else {
        return not_found("there is no user '" + from + "' on this machine");
      }
    }
    return ok();
  }
  [[nodiscard]] bool has(const AcceptedSocket& socket, const sockaddr& peer) const noexcept {
    if (!socket.is_tcp) return socket.identity && users_.contains(socket.identity->process->user_id);
    const auto address = event::ip_of(peer);
    return address && addresses_.contains(*address);
  }

 private:
  event::AddressSet addresses_;
  std::set<uid_t> users_;
};

struct SocketListener::Impl final : private event::ProxyReception::Owner {
  Impl(SocketListener& self, Options given)
      : listener(self),
        options(std::move(given)),
        proxies(options.proxy.value_or(ProxyProtocol()).version, options.proxy.value_or(ProxyProtocol()).header_timeout,
                *this) {}
  ~Impl() { stop(); }

  // One listening socket; its address is fixed once events are set.
  struct Socket {
    Socket(Impl& impl, event::Descriptor descriptor) : owner(impl), fd(std::move(descriptor)) {}
    Impl& owner;
    event::Descriptor fd;
    ::event readable;
  };

  Status open(const Impl* running);
  event::OpenOutcome open_sockets(const Impl* running, std::vector<event::Descriptor>& opened);
  [[nodiscard]] Status refusal(const std::string& where, const Status& why) const;
  void note_address(int fd);

  void start(ReactorApi& on, StreamSink& into) noexcept;
  void stop() noexcept;
  void update() noexcept;
  void accept_batch(int fd) noexcept;
  [[nodiscard]] AcceptedSocket describe(int fd, const sockaddr& peer);
  [[nodiscard]] const std::string& name_of(uid_t user);
  void take(int fd, const sockaddr& peer) noexcept;
  void hand_over(AcceptedSocket socket) noexcept;
  void exhausted(int error) noexcept;

  // ProxyReception::Owner
  void proxy_spoke(AcceptedSocket proxy, const event::ProxyHeader& header) noexcept override;
  void proxy_refused(std::string_view peer_address, std::string_view reason) noexcept override;
  void proxy_left() noexcept override;

  [[nodiscard]] bool accepting() const noexcept {
    return sink != nullptr && !paused && !resting && proxies.waiting() < kMostWaiting;
  }

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
  Ref<event::BoundPath> bound_path;  // of a Unix socket that this process has made
  std::string address;
  bool loopback = true;
  TrustedProxies trusted;

  ReactorApi* reactor = nullptr;
  StreamSink* sink = nullptr;  // null: stopped
  bool paused = false;         // by the broker
  bool resting = false;        // after exhaustion
  std::chrono::milliseconds next_pause = kShortestPause;
  bool watching = false;
  ::event rested;
  std::optional<MonotonicTime> warned;
  Counters counters;
  std::map<uid_t, std::string> user_names;  // of those who have connected
  event::ProxyReception proxies;
};

Status SocketListener::Impl::refusal(const std::string& where, const Status& why) const {
  std::string text = "cannot listen on " + where;
  if (!options.origin.empty()) text += " (" + options.origin + ')';
  return {why.code(), text + ": " + std::string(why.message())};
}

event::OpenOutcome SocketListener::Impl::open_sockets(const Impl* running, std::vector<event::Descriptor>& opened) {
  if (!options.systemd_socket.empty()) return event::take_systemd_sockets(options, opened);
  std::vector<int> reusable;
  if (running != nullptr && running->options.systemd_socket.empty()) {
    for (const auto& socket : running->sockets) reusable.push_back(socket->fd.get());
    bound_path = running->bound_path;
  }
  if (options.unix_socket) return event::open_unix(options, reusable, bound_path, opened);
  bound_path = nullptr;
  return event::open_tcp(options, reusable, opened);
}

Status SocketListener::Impl::open(const Impl* running) {
  if (options.proxy) {
    loopback = false;  // whoever comes, it is not known from where before the proxy has spoken
    if (Status status = trusted.read(*options.proxy, options.unix_socket.has_value()); !status.ok()) {
      return refusal("what proxy_protocol.from says", status);
    }
  }
  std::vector<event::Descriptor> opened;
  const event::OpenOutcome outcome = open_sockets(running, opened);
  if (!outcome.status.ok()) return refusal(outcome.where, outcome.status);
  for (event::Descriptor& fd : opened) {
    note_address(fd.get());
    sockets.push_back(std::make_unique<Socket>(*this, std::move(fd)));
  }
  return ok();
}

void SocketListener::Impl::note_address(int fd) {
  sockaddr_storage bound{};
  auto& name = reinterpret_cast<sockaddr&>(bound);
  socklen_t size = sizeof bound;
  getsockname(fd, &name, &size);
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
  proxies.clear();
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

const std::string& SocketListener::Impl::name_of(uid_t user) {
  const auto [name, is_new] = user_names.try_emplace(user);
  if (is_new) name->second = event::user_name(user);
  return name->second;
}

AcceptedSocket SocketListener::Impl::describe(int fd, const sockaddr& peer) {
  AcceptedSocket socket{fd, peer.sa_family != AF_UNIX, address_is_loopback(peer), {}, {}};
  if (socket.is_tcp) {
    socket.peer_address = address_text(peer);
    return socket;
  }
  socket.peer_address = "unix";
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return socket;
  PeerIdentity identity;
  identity.process = {who.uid, who.gid, who.pid, name_of(who.uid)};
  socket.peer_address += ':' + identity.process->user_name + ':' + std::to_string(who.pid);
  socket.identity = std::make_unique<PeerIdentity>(std::move(identity));
  return socket;
}

void SocketListener::Impl::take(int fd, const sockaddr& peer) noexcept {
  AcceptedSocket socket = describe(fd, peer);
  if (!options.proxy) return hand_over(std::move(socket));
  if (trusted.has(socket, peer)) {
    proxies.begin(*reactor, std::move(socket));
    update();
    return;
  }
  proxy_refused(socket.peer_address, "no proxy that proxy_protocol.from names");
  close(socket.fd);
}

void SocketListener::Impl::hand_over(AcceptedSocket socket) noexcept {
  std::unique_ptr<Stream> stream = listener.wrap(std::move(socket));
  if (stream == nullptr) {
    ++counters.failed;
    return;
  }
  ++counters.accepted;
  sink->accepted(std::move(stream));
}

// The proxy is no client, so nothing of what is known of it is said of the client. Only when it speaks for itself it is
// who it is.
void SocketListener::Impl::proxy_spoke(AcceptedSocket proxy, const event::ProxyHeader& header) noexcept {
  if (header.kind != event::ProxyHeader::Kind::kLocal) {
    PeerIdentity identity;
    identity.certificate = header.certificate;
    identity.is_encrypted_to_proxy = header.is_encrypted;
    identity.proxy_address = proxy.peer_address;
    proxy.identity = std::make_unique<PeerIdentity>(std::move(identity));
    proxy.peer_is_loopback = false;
    if (header.kind == event::ProxyHeader::Kind::kClient) proxy.peer_address = header.address;
  }
  hand_over(std::move(proxy));
  update();
}

void SocketListener::Impl::proxy_refused(std::string_view peer_address, std::string_view reason) noexcept {
  ++counters.refused;
  sink->refused(peer_address, reason);
  update();
}

void SocketListener::Impl::proxy_left() noexcept {
  ++counters.failed;
  update();
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

Status SocketListener::open() { return impl_->open(nullptr); }

Status SocketListener::open_in_place_of(const TransportListener& running) {
  const auto* const same = dynamic_cast<const SocketListener*>(&running);
  return impl_->open(same == nullptr ? nullptr : same->impl_.get());
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

std::unique_ptr<Stream> SocketListener::wrap(AcceptedSocket socket) noexcept {
  return make_socket_stream(std::move(socket));
}

}  // namespace mqloop
