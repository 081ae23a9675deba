// The Stream over WebSocket, on a socket and on a Stream in memory, which stands for one of TLS.
#include "plugins/transport_websocket/web_socket_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"
#include "tests/unit/transport_websocket/frames.h"

namespace mqloop::websocket {

namespace {

using event::testing::TestReactor;
using testing::frame;
using testing::ServerFrames;

const std::string kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

// The peer's side of whatever is below.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void send(const std::string& bytes) = 0;
  // What has come since the last call; "<end>" behind it when no more will.
  virtual std::string receive() = 0;
};

// As TLS does, it may hold bytes of which no event tells.
class MemoryStream final : public Stream, public Peer {
 public:
  ~MemoryStream() override { *is_gone = true; }
  Status attach(ReactorApi& /*reactor*/, StreamOwner& owner) noexcept override {
    owner_ = &owner;
    reads_ = true;
    return ok();
  }
  bool detach() noexcept override {
    owner_ = nullptr;
    return true;
  }
  void settle() noexcept override { settled = true; }
  IoResult read(std::span<std::uint8_t> into) noexcept override {
    ++reads;
    if (incoming_.empty()) return {at_end ? IoOutcome::kEnd : IoOutcome::kWouldBlock};
    const std::size_t size = std::min({into.size(), incoming_.size(), most_at_a_time});
    std::copy_n(incoming_.begin(), size, into.begin());
    incoming_.erase(0, size);
    return {IoOutcome::kDone, 0, size};
  }
  IoResult write(std::span<const iovec> parts) noexcept override {
    if (is_broken) return {IoOutcome::kError, ECONNRESET};
    std::size_t done = 0;
    for (const iovec& part : parts) {
      const std::size_t size = std::min(part.iov_len, room);
      outgoing_.append(static_cast<const char*>(part.iov_base), size);
      room -= size;
      done += size;
    }
    if (done == 0) return {IoOutcome::kWouldBlock};
    return {IoOutcome::kDone, 0, done};
  }
  void watch_readable(bool on) noexcept override { reads_ = on; }
  void watch_writable(bool on) noexcept override { writes_ = on; }
  bool has_unread() const noexcept override { return !incoming_.empty() && !tells; }
  void finish_writing() noexcept override { outgoing_ += "<end>"; }
  std::string_view peer_address() const noexcept override { return "192.0.2.1:5"; }
  bool peer_is_loopback() const noexcept override { return true; }

  void send(const std::string& bytes) override {
    incoming_ += bytes;
    if (reads_ && owner_ != nullptr) owner_->on_readable();
  }
  std::string receive() override { return std::exchange(outgoing_, {}); }
  void turn() {
    if (reads_ && owner_ != nullptr && tells && !incoming_.empty()) owner_->on_readable();
  }
  void make_room(std::size_t size) {
    room = size;
    if (writes_ && owner_ != nullptr) owner_->on_writable();
  }
  bool is_watched_for_writing() const { return writes_; }

  std::shared_ptr<bool> is_gone = std::make_shared<bool>(false);
  std::size_t room = SIZE_MAX;
  std::size_t most_at_a_time = SIZE_MAX;
  bool tells = true;
  bool is_broken = false;
  bool at_end = false;
  bool settled = false;
  int reads = 0;

 private:
  StreamOwner* owner_ = nullptr;
  std::string incoming_;
  std::string outgoing_;
  bool reads_ = false;
  bool writes_ = false;
};

class SocketPeer final : public Peer {
 public:
  explicit SocketPeer(int fd) : fd_(fd) {}
  ~SocketPeer() override { close(fd_); }
  void send(const std::string& bytes) override {
    CHECK(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  std::string receive() override {
    std::string received;
    std::array<char, 65536> bytes;
    for (;;) {
      const ssize_t size = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size == 0) return received + "<end>";
      if (size < 0) return received;
      received.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  int fd_;
};

// Two ends of a connection by TCP.
std::array<int, 2> connected_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener, 1) == 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  CHECK(connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0);
  const int server = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  close(listener);
  return {server, client};
}

// The broker: it reads what it can.
struct Reader final : StreamOwner {
  void on_readable() noexcept override {
    std::array<std::uint8_t, 5000> bytes;
    do {
      const IoResult result = stream->read(std::span(bytes).first(room));
      if (result.outcome == IoOutcome::kWouldBlock) return;
      if (result.outcome != IoOutcome::kDone) {
        end = result.outcome;
        stream->watch_readable(false);
        return;
      }
      got.append(reinterpret_cast<const char*>(bytes.data()), result.bytes);
    } while (stream->has_unread());
  }
  void on_writable() noexcept override { ++writables; }

  Stream* stream = nullptr;
  std::string got;
  IoOutcome end = IoOutcome::kDone;
  std::size_t room = 5000;
  int writables = 0;
};

enum class Below { kSocket, kMemory };
constexpr std::array kEither{Below::kSocket, Below::kMemory};

// One connection and its peer.
struct Connection {
  explicit Connection(Below below, bool is_upgraded = true) {
    if (below == Below::kMemory) {
      auto made = std::make_unique<MemoryStream>();
      memory = made.get();
      stream = std::make_unique<WebSocketStream>(std::move(made), policy, reactors);
    } else {
      const auto [server, client] = connected_pair();
      socket = std::make_unique<SocketPeer>(client);
      AcceptedSocket accepted;
      accepted.fd = server;
      accepted.peer_address = "192.0.2.1:5";
      accepted.peer_is_loopback = true;
      stream = std::make_unique<WebSocketStream>(std::move(accepted), policy, reactors);
    }
    reader.stream = stream.get();
    CHECK(stream->attach(*first, reader).ok());
    if (!is_upgraded) return;
    peer().send(kRequest);
    turn();
    const std::string answer = peer().receive();
    CHECK(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"));
    CHECK(answer.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
  }
  Peer& peer() { return memory == nullptr ? static_cast<Peer&>(*socket) : *memory; }
  void turn() {
    for (int i = 0; i != 3; ++i) {
      (void)first->run_once(event::Reactor::Wait::kNo);
      (void)second->run_once(event::Reactor::Wait::kNo);
      if (memory != nullptr) memory->turn();
    }
  }
  void send(const std::string& bytes) {
    peer().send(bytes);
    turn();
  }
  void move() {
    CHECK(stream->detach());
    CHECK(stream->attach(is_second ? *first : *second, reader).ok());
    is_second = !is_second;
  }
  IoResult write(std::string bytes) {
    const iovec part{bytes.data(), bytes.size()};
    return stream->write({&part, 1});
  }
  // The frames that have come, in the order of ServerFrames.
  ServerFrames frames() {
    ServerFrames read;
    received = peer().receive();
    is_ended = received.ends_with("<end>");
    if (is_ended) received.resize(received.size() - 5);
    CHECK(read.read(received));
    return read;
  }

  TestReactor first;
  TestReactor second;
  LwsReactors reactors;
  Ref<UpgradePolicy> policy = Ref<UpgradePolicy>::adopt(new UpgradePolicy);
  MemoryStream* memory = nullptr;
  std::unique_ptr<SocketPeer> socket;
  std::unique_ptr<WebSocketStream> stream;
  Reader reader;
  std::string received;
  bool is_ended = false;
  bool is_second = false;
};

std::string close_control(int code, const std::string& reason = {}) {
  return "8" + std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason + ';';
}

}  // namespace

TEST_GROUP(WebSocketStream){};

TEST(WebSocketStream, reads_a_request_and_frames_cut_at_every_byte) {
  const std::string bytes = kRequest + frame(0x02, "first") + frame(0x89, "p") + frame(0x80, "last") + frame(0x82, "x");
  for (const Below below : kEither) {
    for (std::size_t cut = 1; cut < bytes.size(); cut += cut < kRequest.size() - 2 ? 7 : 1) {
      Connection connection(below, false);
      connection.send(bytes.substr(0, cut));
      connection.send(bytes.substr(cut));
      STRCMP_EQUAL("firstlastx", connection.reader.got.c_str());
      const std::string answer = connection.peer().receive();
      CHECK(answer.starts_with("HTTP/1.1 101 "));
      CHECK(answer.ends_with("\r\n\r\n\x8a\x01p"));
    }
  }
}

TEST(WebSocketStream, gives_a_reader_with_little_room_all_of_it_and_tells_that_there_is_more) {
  for (const Below below : kEither) {
    Connection connection(below, false);
    connection.reader.room = 1;
    connection.send(kRequest + frame(0x82, "that came with the request"));
    connection.send(frame(0x82, std::string(3000, 'x')) + frame(0x82, "y"));
    const std::string all = "that came with the request" + std::string(3000, 'x') + 'y';
    for (int i = 0; i != 3000 && connection.reader.got.size() != all.size(); ++i) connection.turn();
    CHECK(all == connection.reader.got);
    CHECK(!connection.stream->has_unread());
  }
}

TEST(WebSocketStream, reads_what_the_stream_below_holds_without_an_event) {
  Connection connection(Below::kMemory);
  connection.memory->tells = false;
  connection.memory->most_at_a_time = 3;
  connection.send(frame(0x82, "through") + frame(0x02, "") + frame(0x80, "and through"));
  STRCMP_EQUAL("throughand through", connection.reader.got.c_str());
}

TEST(WebSocketStream, goes_on_in_the_next_turn_with_frames_that_carry_nothing) {
  Connection connection(Below::kMemory);
  connection.memory->tells = false;
  connection.memory->most_at_a_time = 6;
  connection.memory->reads = 0;
  std::string empty;
  for (int i = 0; i != 100; ++i) empty += frame(0x82, "");
  connection.peer().send(empty + frame(0x82, "x"));
  CHECK(connection.memory->reads < 50);
  for (int i = 0; i != 20; ++i) connection.turn();
  STRCMP_EQUAL("x", connection.reader.got.c_str());
}

TEST(WebSocketStream, makes_one_message_of_what_is_written_at_once) {
  for (const Below below : kEither) {
    for (const std::size_t size : {1U, 125U, 126U, 65535U, 65536U, 100000U}) {
      Connection connection(below);
      std::string head = "head";
      std::string tail(size, 't');
      const std::array parts{iovec{head.data(), head.size()}, iovec{tail.data(), tail.size()}};
      const IoResult result = connection.stream->write(parts);
      CHECK(result.outcome == IoOutcome::kDone);
      LONGS_EQUAL(size + 4, result.bytes);
      const ServerFrames read = connection.frames();
      LONGS_EQUAL(1, read.messages);
      CHECK(head + tail == read.payload);
    }
  }
}

TEST(WebSocketStream, waits_for_who_does_not_read_and_loses_nothing) {
  for (const Below below : kEither) {
    Connection connection(below);
    if (connection.memory != nullptr) connection.memory->room = 200000;
    std::string written;
    std::size_t waiting = 0;
    for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
      const std::string message(50000, letter);
      const IoResult result = connection.write(message);
      if (result.outcome == IoOutcome::kWouldBlock) break;
      CHECK(result.outcome == IoOutcome::kDone);
      written += message;
      waiting = message.size() - result.bytes;
    }
    // It tells that all but a byte has gone.
    LONGS_EQUAL(1, waiting);
    connection.stream->watch_writable(true);
    connection.turn();
    LONGS_EQUAL(0, connection.reader.writables);
    std::string received;
    for (int i = 0; i != 1000 && connection.reader.writables == 0; ++i) {
      if (connection.memory != nullptr) {
        connection.memory->make_room(1000);
      }
      received += connection.peer().receive();
      connection.turn();
    }
    CHECK(connection.reader.writables > 0);
    if (connection.memory != nullptr) connection.memory->room = SIZE_MAX;
    CHECK(connection.write("z").bytes == 1);  // the byte that was kept back
    connection.stream->watch_writable(false);
    received += connection.peer().receive();
    ServerFrames read;
    CHECK(read.read(received));
    CHECK(written == read.payload);
    CHECK(connection.write("more").bytes == 4);
    STRCMP_EQUAL("more", connection.frames().payload.c_str());
  }
}

TEST(WebSocketStream, answers_the_last_ping_when_there_is_room_again) {
  Connection connection(Below::kMemory);
  connection.memory->room = 3;
  connection.send(frame(0x89, "first"));
  CHECK(connection.memory->is_watched_for_writing());
  for (int i = 0; i != 1000; ++i) connection.send(frame(0x89, std::string(100, 'x')));
  connection.send(frame(0x89, "last"));
  connection.memory->make_room(SIZE_MAX);
  STRCMP_EQUAL("10first;10last;", connection.frames().control.c_str());
  CHECK(!connection.memory->is_watched_for_writing());
}

TEST(WebSocketStream, moves_to_another_reactor_at_every_byte) {
  const std::string bytes = frame(0x02, "first") + frame(0x89, "ping") + frame(0x00, std::string(200, 'm')) +
                            frame(0x80, "last") + frame(0x82, "end");
  for (const Below below : kEither) {
    for (std::size_t cut = 0; cut <= bytes.size(); cut += cut < 40 ? 1 : 5) {
      Connection connection(below);
      connection.send(bytes.substr(0, cut));
      connection.move();
      connection.turn();
      connection.send(bytes.substr(cut));
      if (cut % 2 == 0) connection.move();
      CHECK(connection.write("answer").bytes == 6);
      CHECK("first" + std::string(200, 'm') + "lastend" == connection.reader.got);
      const ServerFrames read = connection.frames();
      STRCMP_EQUAL("answer", read.payload.c_str());
      STRCMP_EQUAL("10ping;", read.control.c_str());
      connection.stream->settle();
      CHECK(!connection.stream->detach());
      connection.send(frame(0x82, "more"));
      CHECK(connection.reader.got.ends_with("more"));
    }
  }
}

TEST(WebSocketStream, moves_before_the_request_is_whole_and_with_frames_behind_it) {
  for (const Below below : kEither) {
    Connection connection(below, false);
    connection.send(kRequest.substr(0, 30));
    connection.move();
    connection.reader.room = 2;
    connection.stream->watch_readable(false);
    connection.send(kRequest.substr(30) + frame(0x82, "early"));
    std::array<std::uint8_t, 2> bytes;
    CHECK(connection.stream->read(bytes).bytes == 0 || connection.stream->has_unread());
    connection.move();
    connection.turn();
    CHECK(std::string("early").ends_with(connection.reader.got) && connection.reader.got.size() >= 3);
    CHECK(connection.peer().receive().starts_with("HTTP/1.1 101 "));
  }
}

TEST(WebSocketStream, takes_what_waits_below_to_another_reactor) {
  Connection connection(Below::kMemory);
  connection.memory->room = 3;
  CHECK(connection.write("message").bytes == 6);
  connection.move();
  connection.memory->make_room(SIZE_MAX);
  STRCMP_EQUAL("message", connection.frames().payload.c_str());
}

TEST(WebSocketStream, stays_where_libwebsockets_has_something_to_send) {
  Connection connection(Below::kSocket);
  while (connection.write(std::string(100000, 'x')).outcome != IoOutcome::kWouldBlock) {
  }
  CHECK(!connection.stream->detach());
}

TEST(WebSocketStream, sends_a_close_frame_and_then_the_end) {
  for (const Below below : kEither) {
    Connection connection(below);
    CHECK(connection.write("last").bytes == 4);
    connection.stream->finish_writing();
    const ServerFrames read = connection.frames();
    STRCMP_EQUAL("last", read.payload.c_str());
    CHECK(close_control(1000) == read.control);
    CHECK(connection.is_ended);
    CHECK(connection.write("later").outcome == IoOutcome::kError);
    // The peer has not closed yet, and its last words are read.
    connection.send(frame(0x82, "bye") + frame(0x88, std::string("\x03\xe8", 2)));
    STRCMP_EQUAL("bye", connection.reader.got.c_str());
    CHECK(connection.reader.end == IoOutcome::kEnd);
    CHECK(connection.peer().receive().find('\x88') == std::string::npos);
  }
}

TEST(WebSocketStream, ends_only_when_all_has_gone_that_was_written) {
  Connection connection(Below::kMemory);
  connection.memory->room = 3;
  CHECK(connection.write("message").bytes == 6);
  connection.stream->finish_writing();
  STRCMP_EQUAL("\x82\x07m", connection.peer().receive().c_str());
  connection.memory->make_room(SIZE_MAX);
  CHECK("essage" + std::string("\x88\x02\x03\xe8", 4) + "<end>" == connection.peer().receive());
}

TEST(WebSocketStream, says_goodbye_when_it_is_destroyed) {
  for (const Below below : kEither) {
    Connection connection(below);
    const std::shared_ptr<bool> is_gone = connection.memory ? connection.memory->is_gone : nullptr;
    connection.peer().send(connection.memory ? "" : frame(0x82, "unread"));
    MemoryStream* const memory = connection.memory;
    if (memory != nullptr) memory->room = 4;  // of the close frame, and it is not waited for more
    if (memory != nullptr) {
      connection.stream = nullptr;
      CHECK(*is_gone);
      connection.memory = nullptr;
    } else {
      connection.stream = nullptr;
      CHECK(close_control(1000) == connection.frames().control);
      CHECK(connection.is_ended);
    }
  }
}

TEST(WebSocketStream, answers_a_close_frame_and_ends) {
  for (const Below below : kEither) {
    Connection connection(below);
    connection.send(frame(0x82, "bye") + frame(0x88, std::string("\x0f\xa1why", 5)) + frame(0x82, "late"));
    STRCMP_EQUAL("bye", connection.reader.got.c_str());
    CHECK(connection.reader.end == IoOutcome::kEnd);
    CHECK(close_control(4001, "why") == connection.frames().control);
    connection.stream = nullptr;
    CHECK(connection.memory != nullptr || connection.peer().receive() == "<end>");
    connection.memory = nullptr;
  }
}

TEST(WebSocketStream, closes_on_a_violation_before_and_after_it_is_settled) {
  for (const Below below : kEither) {
    for (const bool is_settled : {false, true}) {
      Connection connection(below);
      if (is_settled) connection.stream->settle();
      connection.send(frame(0x82, "good") + std::string("\x82\x01x", 3));
      STRCMP_EQUAL("good", connection.reader.got.c_str());
      CHECK(connection.reader.end == IoOutcome::kError);
      CHECK(close_control(1002, "unmasked frame") == connection.frames().control);
    }
  }
}

TEST(WebSocketStream, tells_the_end_of_the_stream_below) {
  Connection over_memory(Below::kMemory);
  over_memory.memory->at_end = true;
  over_memory.send("");
  CHECK(over_memory.reader.end == IoOutcome::kEnd);
  Connection over_socket(Below::kSocket);
  over_socket.socket = nullptr;
  over_socket.turn();
  CHECK(over_socket.reader.end == IoOutcome::kEnd);
}

TEST(WebSocketStream, tells_that_the_stream_below_is_broken) {
  Connection connection(Below::kMemory);
  connection.memory->room = 0;
  CHECK(connection.write("x").outcome == IoOutcome::kWouldBlock);
  connection.memory->is_broken = true;
  connection.memory->make_room(0);
  connection.turn();
  CHECK(connection.reader.end == IoOutcome::kError);
  CHECK(connection.write("x").outcome == IoOutcome::kError);
  Connection over_socket(Below::kSocket);
  over_socket.socket = nullptr;
  // The first may still go, and is answered with a reset.
  (void)over_socket.write("x");
  CHECK(over_socket.write("x").outcome == IoOutcome::kError);
}

TEST(WebSocketStream, refuses_in_http) {
  for (const Below below : kEither) {
    Connection connection(below, false);
    connection.send("POST /mqtt HTTP/1.1\r\n\r\n");
    const std::string answer = connection.peer().receive();
    CHECK(answer.starts_with("HTTP/1.1 405 "));
    CHECK(answer.ends_with("<end>"));
    CHECK(connection.reader.end == IoOutcome::kError);
  }
}

TEST(WebSocketStream, passes_on_what_the_stream_below_knows_of_the_peer) {
  for (const Below below : kEither) {
    Connection connection(below);
    STRCMP_EQUAL("192.0.2.1:5", std::string(connection.stream->peer_address()).c_str());
    CHECK(connection.stream->peer_is_loopback());
    connection.stream->settle();
    CHECK(connection.memory == nullptr || connection.memory->settled);
  }
}

TEST(WebSocketStream, a_reactor_serves_many_and_gives_back_what_they_had) {
  Connection connection(Below::kSocket);
  const auto free_descriptor = [] {
    const int fd = dup(0);
    close(fd);
    return fd;
  };
  const int before = free_descriptor();
  for (int round = 0; round != 3; ++round) {
    std::vector<std::unique_ptr<SocketPeer>> peers;
    std::vector<std::unique_ptr<WebSocketStream>> streams;
    std::vector<std::unique_ptr<Reader>> readers;
    for (int i = 0; i != 200; ++i) {
      const auto [server, client] = connected_pair();
      peers.push_back(std::make_unique<SocketPeer>(client));
      AcceptedSocket accepted;
      accepted.fd = server;
      streams.push_back(std::make_unique<WebSocketStream>(std::move(accepted), connection.policy, connection.reactors));
      readers.push_back(std::make_unique<Reader>());
      readers.back()->stream = streams.back().get();
      CHECK(streams.back()->attach(*connection.first, *readers.back()).ok());
      peers.back()->send(kRequest + frame(0x82, std::to_string(i)));
    }
    for (int i = 0; i != 50; ++i) connection.turn();
    for (int i = 0; i != 200; ++i) STRCMP_EQUAL(std::to_string(i).c_str(), readers[i]->got.c_str());
  }
  // One context that has no connection may be kept.
  CHECK(free_descriptor() <= before + 1);
}

}  // namespace mqloop::websocket
