#include "tests/bench/floor/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/bench/floor/web_socket.h"

namespace mqloop::floor {

namespace {

constexpr size_t kReadBuffer = 4 << 20;

}  // namespace

Relay::Relay(Mode mode) : mode_(mode), epoll_(epoll_create1(EPOLL_CLOEXEC)), read_buffer_(new char[kReadBuffer]) {}

uint16_t Relay::listen(uint16_t port) {
  constexpr int kBacklog = 4096;
  const int on = 1;
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, kBacklog) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  return ntohs(address.sin_port);
}

void Relay::run() {
  constexpr int kEvents = 512;
  epoll_event events[kEvents];
  for (;;) {
    const int count = epoll_wait(epoll_, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[i].data.ptr);
      if (connection == nullptr) {
        accept_all();
        continue;
      }
      if (connection->is_dead) continue;
      if ((events[i].events & EPOLLOUT) != 0) flush(*connection);
      if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(*connection);
    }
    for (Connection* connection : dirty_) {
      connection->is_dirty = false;
      flush(*connection);
    }
    dirty_.clear();
    buried_.clear();
  }
}

void Relay::accept_all() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto* connection = new Connection;  // NOLINT: bury() takes it back
    connection->fd = fd;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
}

void Relay::on_readable(Connection& connection) {
  char* begin = read_buffer_.get();
  const size_t cut = connection.cut.size();
  std::memcpy(begin, connection.cut.data(), cut);
  const ssize_t size = recv(connection.fd, begin + cut, kReadBuffer - cut, 0);
  if (size <= 0) {
    if (size == 0 || errno != EAGAIN) bury(connection);
    return;
  }
  if (mode_.raw && connection.last_route != nullptr && connection.last_route->subscribers.size() == 1) {
    return put(*connection.last_route->subscribers.front(), {begin, static_cast<size_t>(size)});
  }
  char* end = begin + cut + size;
  begin = mode_.web_socket ? handle_frames(connection, begin, end) : handle_packets(connection, begin, end);
  connection.cut.assign(begin, static_cast<size_t>(end - begin));
}

char* Relay::handle_frames(Connection& connection, char* begin, char* end) {
  constexpr unsigned kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
  if (!connection.is_upgraded) {
    begin = handle_upgrade(connection, begin, end);
    if (!connection.is_upgraded) return begin;
  }
  while (!connection.is_dead) {
    const Frame frame = read_frame(begin, end, kReadBuffer / 2);
    if (frame.is_bad) bury(connection);
    if (frame.end == nullptr) break;
    if (frame.opcode == kBinary) {
      if (handle_packets(connection, frame.end - frame.payload.size(), frame.end) != frame.end) bury(connection);
    } else if (frame.opcode == kPing || frame.opcode == kClose) {
      char header[10];
      const bool is_close = frame.opcode == kClose;
      const size_t size =
          write_frame_header(header, static_cast<uint8_t>(is_close ? kClose : kPong), frame.payload.size());
      put_raw(connection, std::string(header, size) + std::string(frame.payload));
      if (is_close) {
        flush(connection);
        bury(connection);
      }
    }
    begin = frame.end;
  }
  return begin;
}

char* Relay::handle_upgrade(Connection& connection, char* begin, char* end) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::string_view text(begin, static_cast<size_t>(end - begin));
  const size_t size = text.find(kEnd);
  const std::string answer = size == std::string_view::npos ? "" : upgrade_answer(text.substr(0, size + 2));
  if (answer.empty()) {
    if (size != std::string_view::npos || text.size() > kLongestRequest) bury(connection);
    return begin;
  }
  put_raw(connection, answer);
  connection.is_upgraded = true;
  return begin + size + kEnd.size();
}

void Relay::put(Connection& connection, std::string_view packet) {
  if (mode_.web_socket) connection.open_frame();
  connection.out.append(packet);
  mode_.each ? flush(connection) : mark(connection);
}

void Relay::put_raw(Connection& connection, std::string_view bytes) {
  connection.seal();
  connection.out.append(bytes);
  mark(connection);
}

void Relay::mark(Connection& connection) {
  if (connection.is_dirty) return;
  connection.is_dirty = true;
  dirty_.push_back(&connection);
}

void Relay::flush(Connection& connection) {
  std::string& out = connection.out;
  if (connection.is_dead || connection.sent == out.size()) return;
  connection.seal();
  const ssize_t size = send(connection.fd, out.data() + connection.sent, out.size() - connection.sent, MSG_NOSIGNAL);
  connection.sent += size < 0 ? 0 : static_cast<size_t>(size);
  const bool waits = connection.sent < out.size();
  if (!waits) {
    out.clear();
    connection.sent = 0;
  }
  if (waits == connection.wants_writable) return;
  connection.wants_writable = waits;
  epoll_event event{};
  event.events = EPOLLIN | (waits ? uint32_t{EPOLLOUT} : 0);
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void Relay::bury(Connection& connection) {
  if (connection.is_dead) return;
  connection.is_dead = true;
  close(connection.fd);
  for (Topic* topic : connection.member_of) {
    std::erase(topic->subscribers, &connection);
    std::erase(topic->group, &connection);
  }
  buried_.emplace_back(&connection);
}

}  // namespace mqloop::floor
