#include <mqloop/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using testing::mail;
using testing::TestReactor;

// The two ends of a TCP connection on the loopback; `mine` is non-blocking.
struct TcpPair {
  TcpPair() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener, 1);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    theirs = socket(AF_INET, SOCK_STREAM, 0);
    connect(theirs, reinterpret_cast<sockaddr*>(&address), size);
    mine = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    close(listener);
  }
  ~TcpPair() { close_theirs(); }
  void close_theirs() {
    if (theirs >= 0) close(theirs);
    theirs = -1;
  }
  void send(std::string_view text) const { (void)!write(theirs, text.data(), text.size()); }
  // What has come until the end or an error, which `error` tells.
  std::string receive_all() {
    std::string text;
    char bytes[4096];
    ssize_t size;
    while ((size = recv(theirs, bytes, sizeof bytes, 0)) > 0) text.append(bytes, static_cast<std::size_t>(size));
    error = size < 0 ? errno : 0;
    return text;
  }
  int mine = -1;
  int theirs = -1;
  int error = 0;
};

struct Owner final : StreamOwner {
  void on_readable() noexcept override {
    ++readable;
    at_readable();
  }
  void on_writable() noexcept override {
    ++writable;
    at_writable();
  }
  int readable = 0;
  int writable = 0;
  std::function<void()> at_readable = [] {};
  std::function<void()> at_writable = [] {};
};

std::string read_from(Stream& stream) {
  std::uint8_t bytes[256];
  const IoResult result = stream.read(bytes);
  if (result.outcome != IoOutcome::kDone) return {};
  return {reinterpret_cast<char*>(bytes), result.bytes};
}

IoResult write_to(Stream& stream, std::string_view text) {
  const iovec part{const_cast<char*>(text.data()), text.size()};
  return stream.write({&part, 1});
}

bool has(IoOutcome expected, const IoResult& result) { return result.outcome == expected; }

// Writes until the system takes no more, and returns how much that was.
std::size_t fill(Stream& stream) {
  const std::string block(65536, 'x');
  std::size_t written = 0;
  for (;;) {
    const IoResult result = write_to(stream, block);
    if (result.outcome != IoOutcome::kDone) return written;
    written += result.bytes;
  }
}

}  // namespace

TEST_GROUP(SocketStream) {
  TestReactor reactor;
  TcpPair pair;
  Owner owner;
  std::unique_ptr<Stream> stream = make_socket_stream(pair.mine);

  void turn() { CHECK(reactor->run_once(Reactor::Wait::kNo).ok()); }
  bool turn_until(const std::function<bool()>& condition) { return reactor.turn_until(condition); }
};

TEST(SocketStream, names_its_peer) {
  sockaddr_in theirs{};
  socklen_t size = sizeof theirs;
  getsockname(pair.theirs, reinterpret_cast<sockaddr*>(&theirs), &size);
  const std::string expected = "127.0.0.1:" + std::to_string(ntohs(theirs.sin_port));
  STRCMP_EQUAL(expected.c_str(), std::string(stream->peer_address()).c_str());
  CHECK(stream->peer_is_loopback());
}

TEST(SocketStream, reads_what_is_there_then_would_block_then_ends) {
  std::uint8_t bytes[4];
  CHECK(has(IoOutcome::kWouldBlock, stream->read(bytes)));
  pair.send("abcdef");
  const IoResult first = stream->read(bytes);
  CHECK(has(IoOutcome::kDone, first));
  LONGS_EQUAL(4, first.bytes);
  STRCMP_EQUAL("ef", read_from(*stream).c_str());
  pair.close_theirs();
  CHECK(has(IoOutcome::kEnd, stream->read(bytes)));
}

TEST(SocketStream, writes_all_parts_in_order) {
  std::string texts[] = {"one ", "two ", "three"};
  std::vector<iovec> parts;
  for (std::string& text : texts) parts.push_back({text.data(), text.size()});
  const IoResult result = stream->write(parts);
  CHECK(has(IoOutcome::kDone, result));
  LONGS_EQUAL(13, result.bytes);
  stream.reset();
  STRCMP_EQUAL("one two three", pair.receive_all().c_str());
}

TEST(SocketStream, more_parts_than_the_system_takes_are_a_partial_write) {
  std::string byte = "x";
  const std::vector<iovec> parts(3000, iovec{byte.data(), 1});
  const IoResult result = stream->write(parts);
  CHECK(has(IoOutcome::kDone, result));
  CHECK(result.bytes >= 1 && result.bytes <= 3000);
}

TEST(SocketStream, a_write_to_a_peer_that_reset_is_an_error_and_no_signal) {
  const linger hard{1, 0};
  setsockopt(pair.theirs, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  pair.close_theirs();
  const IoResult first = write_to(*stream, "x");
  CHECK(has(IoOutcome::kError, first));
  CHECK(first.error == ECONNRESET || first.error == EPIPE);
  CHECK(has(IoOutcome::kError, write_to(*stream, "x")));  // EPIPE, which would raise SIGPIPE
}

TEST(SocketStream, tells_its_owner_when_bytes_come) {
  CHECK(stream->attach(*reactor, owner).ok());
  turn();
  LONGS_EQUAL(0, owner.readable);
  LONGS_EQUAL(0, owner.writable);
  owner.at_readable = [&] { read_from(*stream); };
  pair.send("x");
  CHECK(turn_until([&] { return owner.readable == 1; }));
  turn();
  LONGS_EQUAL(1, owner.readable);
}

TEST(SocketStream, tells_nothing_while_it_is_not_watched) {
  CHECK(stream->attach(*reactor, owner).ok());
  stream->watch_readable(false);
  pair.send("x");
  turn();
  turn();
  LONGS_EQUAL(0, owner.readable);
  stream->watch_readable(true);
  CHECK(turn_until([&] { return owner.readable > 0; }));
}

TEST(SocketStream, is_writable_again_when_the_peer_has_read) {
  CHECK(stream->attach(*reactor, owner).ok());
  const std::size_t written = fill(*stream);
  stream->watch_writable(true);
  turn();
  LONGS_EQUAL(0, owner.writable);
  std::string taken(written / 2, '\0');
  CHECK(recv(pair.theirs, taken.data(), taken.size(), MSG_WAITALL) > 0);
  owner.at_writable = [&] { stream->watch_writable(false); };
  CHECK(turn_until([&] { return owner.writable == 1; }));
  turn();
  LONGS_EQUAL(1, owner.writable);
}

TEST(SocketStream, both_directions_ready_are_both_told) {
  CHECK(stream->attach(*reactor, owner).ok());
  stream->watch_writable(true);
  pair.send("x");
  CHECK(turn_until([&] { return owner.readable > 0 && owner.writable > 0; }));
}

TEST(SocketStream, both_directions_ready_do_not_starve_reading) {
  CHECK(stream->attach(*reactor, owner).ok());
  stream->watch_writable(true);
  pair.send("x");
  turn();
  turn();
  CHECK(owner.readable >= 1);
}

TEST(SocketStream, may_be_destroyed_when_it_is_writable_though_it_is_readable_too) {
  CHECK(stream->attach(*reactor, owner).ok());
  stream->watch_writable(true);
  pair.send("x");
  owner.at_writable = [&] { stream.reset(); };
  turn();
  turn();
  LONGS_EQUAL(1, owner.writable);
  LONGS_EQUAL(0, owner.readable);
}

TEST(SocketStream, may_be_destroyed_when_it_is_readable) {
  CHECK(stream->attach(*reactor, owner).ok());
  pair.send("x");
  owner.at_readable = [&] { stream.reset(); };
  turn();
  turn();
  LONGS_EQUAL(1, owner.readable);
}

TEST(SocketStream, one_may_destroy_another_that_is_ready_in_the_same_batch) {
  TcpPair other_pair;
  Owner other_owner;
  std::unique_ptr<Stream> other = make_socket_stream(other_pair.mine);
  CHECK(stream->attach(*reactor, owner).ok());
  CHECK(other->attach(*reactor, other_owner).ok());
  owner.at_readable = [&] { other.reset(); };
  other_owner.at_readable = [&] { stream.reset(); };
  pair.send("x");
  other_pair.send("x");
  turn();
  turn();
  CHECK((stream == nullptr) != (other == nullptr));
  CHECK((owner.readable == 0) != (other_owner.readable == 0));
}

TEST(SocketStream, the_peer_sees_the_end_after_the_last_byte) {
  CHECK(has(IoOutcome::kDone, write_to(*stream, "last words")));
  stream->finish_writing();
  STRCMP_EQUAL("last words", pair.receive_all().c_str());
  pair.send("answer");
  STRCMP_EQUAL("answer", read_from(*stream).c_str());
}

TEST(SocketStream, unread_bytes_do_not_turn_a_close_into_a_reset) {
  pair.send(std::string(5000, 'x'));
  CHECK(has(IoOutcome::kDone, write_to(*stream, "last words")));
  stream.reset();
  STRCMP_EQUAL("last words", pair.receive_all().c_str());
  LONGS_EQUAL(0, pair.error);
}

TEST(SocketStream, cannot_be_attached_twice_or_to_a_simulated_reactor) {
  struct Simulated final : Loop {
    using Loop::Loop;
    void wake() noexcept override {}
  } simulated({.clock = reactor.clock, .log = reactor.log});
  CHECK(stream->attach(simulated, owner).code() == StatusCode::kInvalidArgument);
  CHECK(stream->attach(*reactor, owner).ok());
  CHECK(stream->attach(*reactor, owner).code() == StatusCode::kInternal);
}

TEST(SocketStream, moves_to_another_reactor_with_its_unread_bytes) {
  TestReactor other;
  Owner other_owner;
  CHECK(stream->attach(*reactor, owner).ok());
  pair.send("unread");
  CHECK(turn_until([&] { return owner.readable > 0; }));
  const int told = owner.readable;
  CHECK(stream->detach());
  turn();
  LONGS_EQUAL(told, owner.readable);
  CHECK(stream->attach(*other, other_owner).ok());
  CHECK(other.turn_until([&] { return other_owner.readable > 0; }));
  STRCMP_EQUAL("unread", read_from(*stream).c_str());
}

TEST_GROUP(SocketAddress){};

TEST(SocketAddress, is_shown_as_people_write_it) {
  const auto shown_v6 = [](const char* host) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(1883);
    inet_pton(AF_INET6, host, &address.sin6_addr);
    return address_text(reinterpret_cast<const sockaddr&>(address)) +
           (address_is_loopback(reinterpret_cast<const sockaddr&>(address)) ? " loopback" : "");
  };
  STRCMP_EQUAL("[2001:db8::1]:1883", shown_v6("2001:db8::1").c_str());
  STRCMP_EQUAL("[::1]:1883 loopback", shown_v6("::1").c_str());
  STRCMP_EQUAL("[::]:1883", shown_v6("::").c_str());
  STRCMP_EQUAL("192.0.2.1:1883", shown_v6("::ffff:192.0.2.1").c_str());
  STRCMP_EQUAL("127.0.0.9:1883 loopback", shown_v6("::ffff:127.0.0.9").c_str());
}

TEST(SocketAddress, a_unix_socket_without_a_name_is_loopback) {
  int ends[2];
  LONGS_EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
  const std::unique_ptr<Stream> stream = make_socket_stream(ends[0]);
  STRCMP_EQUAL("unix", std::string(stream->peer_address()).c_str());
  CHECK(stream->peer_is_loopback());
  CHECK(has(IoOutcome::kDone, write_to(*stream, "x")));
  close(ends[1]);
}

TEST_GROUP(ThreadedSocketStream){};

// A connection that travels between two reactors on two threads, told readable in the very moment, loses no byte.
TEST(ThreadedSocketStream, travels_between_running_reactors_without_losing_a_byte) {
  constexpr int kBytes = 20'000;
  TestReactor reactors[2];
  TcpPair pair;
  struct Traveller final : StreamOwner {
    void arrive(int where) {
      at = where;
      failed = failed || !stream->attach(*(*reactors)[where], *this).ok();
    }
    void on_readable() noexcept override {
      std::uint8_t bytes[7];
      const IoResult result = stream->read(bytes);
      if (result.outcome == IoOutcome::kEnd) {
        stream.reset();
        (*reactors)[0]->stop();
        (*reactors)[1]->stop();
        return;
      }
      received += static_cast<int>(result.bytes);
      stream->detach();
      const int next = 1 - at;
      (*reactors)[next]->post(mail([this, next] { arrive(next); }));
    }
    void on_writable() noexcept override {}
    TestReactor (*reactors)[2] = nullptr;
    std::unique_ptr<Stream> stream;
    int at = 0;
    int received = 0;
    bool failed = false;
  } traveller;
  traveller.reactors = &reactors;
  traveller.stream = make_socket_stream(pair.mine);
  reactors[0]->post(mail([&] { traveller.arrive(0); }));
  std::thread other([&] { (void)reactors[1]->run().ok(); });
  std::thread peer([&] {
    for (int sent = 0; sent < kBytes; sent += 10) pair.send("0123456789");
    shutdown(pair.theirs, SHUT_WR);
  });
  CHECK(reactors[0]->run().ok());
  other.join();
  peer.join();
  CHECK(!traveller.failed);
  LONGS_EQUAL(kBytes, traveller.received);
}

}  // namespace mqloop::event
