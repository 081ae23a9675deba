#include "core/event/proxy_reception.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace mqloop::event {

struct ProxyReception::Waiting {
  Waiting(ProxyReception& reception, ReactorApi& on, AcceptedSocket proxy)
      : owner(reception),
        reactor(on),
        socket(std::move(proxy)),
        deadline(on.now() + reception.timeout_),
        parser(reception.taken_) {
    event_assign(&event, on.event_base(), socket.fd, EV_READ, on_event, this);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    event_del(&event);
    if (socket.fd >= 0) close(socket.fd);
  }

  ProxyReception& owner;
  ReactorApi& reactor;
  AcceptedSocket socket;
  MonotonicTime deadline;
  ProxyHeaderParser parser;
  ::event event;
  Place place;
};

ProxyReception::ProxyReception(ProxyProtocol::Version taken, std::chrono::milliseconds timeout, Owner& owner)
    : taken_(taken), timeout_(timeout), owner_(owner) {}

ProxyReception::~ProxyReception() = default;

std::size_t ProxyReception::waiting() const noexcept { return waiting_.size(); }

void ProxyReception::clear() noexcept { waiting_.clear(); }

void ProxyReception::begin(ReactorApi& reactor, AcceptedSocket proxy) {
  const Place at = waiting_.emplace(waiting_.end(), *this, reactor, std::move(proxy));
  at->place = at;
  read(at);  // a proxy sends its header as soon as it has connected
}

void ProxyReception::on_event(int /*fd*/, short what, void* waiting) {
  auto* self = static_cast<Waiting*>(waiting);
  if ((what & EV_TIMEOUT) != 0) {
    self->owner.refuse(self->place, "no whole PROXY header in time");
  } else {
    self->owner.read(self->place);
  }
}

// Looks first, and then takes what is of the header.
void ProxyReception::read(Place at) noexcept {
  std::array<std::uint8_t, 1024> bytes;
  ProxyHeaderParser& parser = at->parser;
  while (parser.state() == ProxyHeaderParser::State::kNeedsMore) {
    const int fd = at->socket.fd;
    const ssize_t size = recv(fd, bytes.data(), bytes.size(), MSG_PEEK);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return wait_on(at);
    if (size <= 0) {
      if (parser.has_begun()) return refuse(at, "the connection ended within the PROXY header");
      close(take_out(at).fd);
      return owner_.proxy_left();
    }
    const std::size_t used = parser.feed(std::span(bytes).first(static_cast<std::size_t>(size)));
    while (recv(fd, bytes.data(), used, 0) < 0 && errno == EINTR) {
    }
  }
  if (parser.state() == ProxyHeaderParser::State::kRefused) return refuse(at, parser.refusal());
  const ProxyHeader header = parser.header();
  owner_.proxy_spoke(take_out(at), header);
}

void ProxyReception::wait_on(Place at) noexcept {
  const auto left = std::max(std::chrono::milliseconds(1),
                             std::chrono::duration_cast<std::chrono::milliseconds>(at->deadline - at->reactor.now()));
  const timeval wait{left.count() / 1000, (left.count() % 1000) * 1000};
  event_add(&at->event, &wait);
}

void ProxyReception::refuse(Place at, std::string_view reason) noexcept {
  const AcceptedSocket socket = take_out(at);
  owner_.proxy_refused(socket.peer_address, reason);
  close(socket.fd);
}

AcceptedSocket ProxyReception::take_out(Place at) noexcept {
  AcceptedSocket socket = std::move(at->socket);
  at->socket.fd = -1;
  waiting_.erase(at);
  return socket;
}

}  // namespace mqloop::event
