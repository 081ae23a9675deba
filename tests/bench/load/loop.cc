#include "tests/bench/load/loop.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/bench/load/base.h"

namespace mqloop::load {

namespace {

constexpr uint32_t kReadBuffer = 4 << 20;
constexpr uint64_t kLongestWait = kSecond / 5;
constexpr uint64_t kHopeless = 1000;  // connects that failed

}  // namespace

// Hands what a WebSocketReader reads to the loop.
class Loop::Frames final : public FrameSink {
 public:
  Frames(Loop& loop, Connection& connection) : loop_(loop), connection_(connection) {}

  char* on_packets(char* begin, char* end) override { return loop_.handle_packets(connection_, begin, end); }
  bool is_closed() const override { return connection_.fd < 0; }
  void on_upgraded() override {
    connection_.out.release();
    loop_.mark(connection_);
  }
  void on_frame() override { ++loop_.counters_.frames_in; }
  void on_control(uint8_t opcode, std::string_view payload) override {
    loop_.on_control_frame(connection_, opcode, payload);
  }

 private:
  Loop& loop_;
  Connection& connection_;
};

Loop::Loop(const Options& options)
    : options_(options),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      read_buffer_(new char[kReadBuffer]),
      upgrade_(upgrade_request(options.host, options.port, options.ws_path)),
      end_ns_(now_ns() + static_cast<uint64_t>(options.limit * 1e9)) {
  broker_.sin_family = AF_INET;
  broker_.sin_port = htons(static_cast<uint16_t>(options.port));
  if (inet_pton(AF_INET, options.host.c_str(), &broker_.sin_addr) != 1) die("--host must be an IPv4 address");
  use_sources(1);
}

Loop::~Loop() { ::close(epoll_); }

void Loop::bind_source(int fd) {
  constexpr in_addr_t kFirst = 0x7F010001;  // 127.1.0.1, then 127.1.1.1 and so on, 200 of them in each 127.x
  constexpr int kBindAddressNoPort = 24;    // IP_BIND_ADDRESS_NO_PORT
  if (ntohl(broker_.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, kBindAddressNoPort, &on, sizeof on);
  const auto number = static_cast<in_addr_t>(next_source_++ % sources_);
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(kFirst + (number / 200 << 16) + (number % 200 << 8));
  if (bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0) die("bind: %s", std::strerror(errno));
}

void Loop::open(Connection& connection, const ConnectPacket& connect) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %s", std::strerror(errno));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bind_source(fd);
  connection.version = static_cast<uint8_t>(connect.version);
  connection.acks = 0;
  connection.is_closing = false;
  connection.out.clear();
  connection.cut.clear();
  connection.opened_ns = now_ns();
  if (::connect(fd, reinterpret_cast<sockaddr*>(&broker_), sizeof broker_) != 0 && errno != EINPROGRESS) {
    if (++counters_.connects_failed > kHopeless) die("connect: %s", std::strerror(errno));
    ::close(fd);
    return;
  }
  connection.fd = fd;
  connection.state = Connection::State::kConnecting;
  connection.wants_writable = true;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  if (options_.web_socket) {  // the CONNECT waits behind the request until that is answered
    connection.web_socket = std::make_unique<WebSocketReader>();
    connection.out.frame_as(options_.frame_per_packet ? OutBuffer::Framing::kPacket : OutBuffer::Framing::kRound,
                            &counters_.frames_out);
    std::memcpy(connection.out.raw(static_cast<uint32_t>(upgrade_.size())), upgrade_.data(), upgrade_.size());
    connection.out.hold();
  }
  const auto size = static_cast<uint32_t>(connect.bytes.size());
  std::memcpy(connection.out.packet(size), connect.bytes.data(), size);
}

void Loop::close(Connection& connection) {
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
  connection.state = Connection::State::kFree;
  connection.wants_writable = false;
  connection.out.clear();
  connection.cut = {};
}

void Loop::leave(Connection& connection) {
  if (connection.fd < 0) return;
  put(connection, kDisconnect);
  flush(connection);
  close(connection);
}

void Loop::lose(Connection& connection) {
  if (connection.state == Connection::State::kConnecting) {
    ++counters_.connects_failed;
  } else if (connection.state != Connection::State::kLeaving) {
    ++counters_.closed;
  }
  close(connection);
  handler_->on_close(connection);
}

void Loop::want_writable(Connection& connection, bool wanted) {
  if (connection.wants_writable == wanted) return;
  connection.wants_writable = wanted;
  epoll_event event{};
  event.events = EPOLLIN | (wanted ? uint32_t{EPOLLOUT} : 0);
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void Loop::flush(Connection& connection) {
  if (connection.fd < 0) return;
  const uint32_t size = connection.out.sendable();
  if (size != 0) {
    const ssize_t sent = ::send(connection.fd, connection.out.data(), size, MSG_NOSIGNAL);
    ++counters_.writes;
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) return;  // the read side reports the close
    if (sent > 0) connection.out.consume(static_cast<uint32_t>(sent));
  }
  want_writable(connection, connection.out.sendable() != 0);
}

void Loop::flush_all() {
  for (Connection* connection : dirty_) {
    connection->is_dirty = false;
    flush(*connection);
  }
  dirty_.clear();
}

void Loop::on_readable(Connection& connection) {
  char* begin = read_buffer_.get();
  char* fresh = begin + connection.cut.size();
  std::memcpy(begin, connection.cut.data(), connection.cut.size());
  char* end = fresh;
  if (connection.web_socket != nullptr) end = append(end, connection.web_socket->cut_header());
  const ssize_t size = ::recv(connection.fd, end, static_cast<size_t>(begin + kReadBuffer - end), 0);
  ++counters_.reads;
  if (size <= 0) {
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) lose(connection);
    return;
  }
  end += size;
  size_t rest = 0;
  if (connection.web_socket != nullptr) {
    Frames frames(*this, connection);
    rest = connection.web_socket->read(begin, fresh, end, frames);
  } else {
    begin = handle_packets(connection, begin, end);
    rest = static_cast<size_t>(end - begin);
  }
  if (connection.fd >= 0) connection.cut.assign(begin, rest);
}

void Loop::turn(uint64_t timeout_ns) {
  constexpr int kEvents = 512;
  epoll_event events[kEvents];
  const timespec timeout{0, static_cast<long>(std::min(timeout_ns, kLongestWait))};
  const int count = epoll_pwait2(epoll_, events, kEvents, &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
    if (connection.fd < 0) continue;
    if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0 && (events[i].events & EPOLLIN) == 0) {
      lose(connection);
      continue;
    }
    if ((events[i].events & EPOLLOUT) != 0) flush(connection);
    if (connection.fd >= 0 && (events[i].events & EPOLLIN) != 0) on_readable(connection);
  }
  if (now_ns() > end_ns_) die("the time limit (--limit) is reached in scenario %s", options_.scenario.c_str());
}

void Loop::settle(double seconds) {
  const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * options_.settle * 1e9);
  while (now_ns() < end) {
    turn(kSecond / 20);
    flush_all();
  }
}

void Loop::on_control_frame(Connection& connection, uint8_t opcode, std::string_view payload) {
  if (opcode == kPongFrame || connection.is_closing) return;
  connection.is_closing = opcode == kCloseFrame;  // the broker closes the connection next
  if (connection.is_closing) payload = payload.substr(0, 2);
  connection.out.seal();  // a control frame may stand between frames, not in one
  const auto size = static_cast<uint32_t>(payload.size());
  char* out = connection.out.raw(frame_header_size(size) + size);
  append(out + write_frame_header(out, connection.is_closing ? kCloseFrame : kPongFrame, size), payload);
  mark(connection);
}

}  // namespace mqloop::load
