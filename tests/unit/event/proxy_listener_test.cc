// SocketListener with proxy_protocol: who may speak it, how long it may take, and what becomes of the connection.
#include <mqloop/socket.h>

#include <chrono>
#include <string>

#include <CppUTest/TestHarness.h>

#include "core/event/users.h"
#include "tests/unit/config/config_fixture.h"
#include "tests/unit/event/accepting.h"
#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using testing::AcceptingSink;
using testing::connect_tcp;
using testing::port_in;
using testing::read_text;
using testing::send_text;
using testing::TestReactor;
using namespace std::string_literals;

constexpr std::string_view kLine = "PROXY TCP4 192.0.2.1 198.51.100.2 51234 1883\r\n";

// Version 2 with a certificate's Common Name, for 192.0.2.1:51234.
std::string with_certificate() {
  const std::string tls = "\x03\0\0\0\0\x22\0\7sensor7"s;
  const std::string block = "\xC0\0\2\1\xC6\x33\x64\2\xC8\x22\7\x5B"s + "\x20\0"s + static_cast<char>(tls.size()) + tls;
  return "\r\n\r\n\0\r\nQUIT\n\x21\x11\0"s + static_cast<char>(block.size()) + block;
}

}  // namespace

TEST_GROUP(ProxyListener) {
  TestReactor reactor;
  AcceptingSink sink;
  SocketListener::Options options{.bind = {"127.0.0.1", 0}};
  std::unique_ptr<SocketListener> listener;

  void setup() override {
    options.proxy.emplace();
    options.proxy->from = {"127.0.0.0/8"};
  }
  void start() {
    listener = std::make_unique<SocketListener>(options);
    CHECK(listener->open().ok());
    CHECK(listener->start(*reactor, sink).ok());
  }
  Descriptor connect() {
    start();
    return connect_tcp(port_in(*listener));
  }
  bool is_accepted() {
    return reactor.turn_until([&] { return sink.streams.size() == 1; });
  }
  // Refused, for this reason, and closed.
  void check_refused(const Descriptor& client, const char* reason) {
    CHECK(reactor.turn_until([&] { return !sink.refusals.empty(); }));
    STRCMP_EQUAL(reason, sink.refusals[0].c_str());
    STRNCMP_EQUAL("127.0.0.1:", sink.peers[0].c_str(), 10);
    LONGS_EQUAL(1, listener->counters().refused);
    LONGS_EQUAL(0, sink.streams.size());
    char byte;
    CHECK(recv(client.get(), &byte, 1, 0) <= 0);
  }
};

TEST(ProxyListener, the_client_is_the_one_that_the_header_tells) {
  const Descriptor client = connect();
  CHECK(send_text(client, std::string(kLine) + "MQTT"));
  CHECK(is_accepted());
  Stream& stream = *sink.streams[0];
  STRCMP_EQUAL("192.0.2.1:51234", std::string(stream.peer_address()).c_str());
  CHECK(!stream.peer_is_loopback());
  STRNCMP_EQUAL("127.0.0.1:", stream.peer_identity()->proxy_address.c_str(), 10);
  STRCMP_EQUAL("MQTT", read_text(stream).c_str());
}

TEST(ProxyListener, a_header_may_come_in_pieces_and_only_the_header_is_taken) {
  const Descriptor client = connect();
  for (const char byte : kLine) {
    CHECK(send_text(client, {&byte, 1}));
    CHECK(reactor->run_once(Reactor::Wait::kNo).ok());
  }
  CHECK(is_accepted());
  CHECK(send_text(client, "MQTT"));
  CHECK(reactor.turn_until([&] { return read_text(*sink.streams[0]) == "MQTT"; }));
}

TEST(ProxyListener, a_certificate_that_the_proxy_was_shown_is_the_clients) {
  const Descriptor client = connect();
  CHECK(send_text(client, with_certificate()));
  CHECK(is_accepted());
  const PeerIdentity& identity = *sink.streams[0]->peer_identity();
  CHECK(identity.is_encrypted_to_proxy);
  CHECK(identity.certificate->is_verified);
  STRCMP_EQUAL("sensor7", identity.certificate->common_name.c_str());
}

// Somebody is behind the proxy, and nobody knows who: not one of this machine, though the proxy is.
TEST(ProxyListener, whom_the_proxy_does_not_know_is_no_local_client) {
  const Descriptor client = connect();
  CHECK(send_text(client, "PROXY UNKNOWN\r\n"));
  CHECK(is_accepted());
  STRNCMP_EQUAL("127.0.0.1:", std::string(sink.streams[0]->peer_address()).c_str(), 10);
  CHECK(!sink.streams[0]->peer_is_loopback());
}

TEST(ProxyListener, a_loopback_address_behind_a_proxy_is_no_local_client) {
  const Descriptor client = connect();
  CHECK(send_text(client, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"));
  CHECK(is_accepted());
  CHECK(!sink.streams[0]->peer_is_loopback());
}

TEST(ProxyListener, a_proxy_that_speaks_for_itself_is_who_it_is) {
  const Descriptor client = connect();
  CHECK(send_text(client, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s));
  CHECK(is_accepted());
  CHECK(sink.streams[0]->peer_is_loopback());
  CHECK(sink.streams[0]->peer_identity() == nullptr);
}

TEST(ProxyListener, nobody_else_may_speak_to_it) {
  options.proxy->from = {"127.0.0.2", "2001:db8::/32"};
  const Descriptor client = connect();
  check_refused(client, "no proxy that proxy_protocol.from names");
}

TEST(ProxyListener, a_client_without_a_header_is_refused) {
  const Descriptor client = connect();
  CHECK(send_text(client, "\x10\x0d\0\4MQTT"s));
  check_refused(client, "what came is no PROXY header");
}

TEST(ProxyListener, a_header_that_does_not_end_in_time_is_refused) {
  options.proxy->header_timeout = std::chrono::milliseconds(100);
  const Descriptor client = connect();
  CHECK(send_text(client, kLine.substr(0, 20)));
  check_refused(client, "no whole PROXY header in time");
}

TEST(ProxyListener, pieces_do_not_put_the_deadline_off) {
  options.proxy->header_timeout = std::chrono::milliseconds(100);
  const Descriptor client = connect();
  std::size_t sent = 0;
  CHECK(reactor.turn_until([&] {
    if (sent < kLine.size() - 2) (void)send_text(client, kLine.substr(sent++, 1));
    return !sink.refusals.empty();
  }));
  STRCMP_EQUAL("no whole PROXY header in time", sink.refusals[0].c_str());
}

TEST(ProxyListener, an_end_within_the_header_is_refused_and_one_before_it_is_no_matter) {
  Descriptor client = connect();
  CHECK(send_text(client, "PROXY"));
  LONGS_EQUAL(0, shutdown(client.get(), SHUT_WR));
  check_refused(client, "the connection ended within the PROXY header");
  client = connect_tcp(port_in(*listener));
  client = Descriptor();
  CHECK(reactor.turn_until([&] { return listener->counters().failed == 1; }));
  LONGS_EQUAL(1, sink.refusals.size());
}

TEST(ProxyListener, stopping_closes_those_who_have_not_spoken) {
  const Descriptor client = connect();
  CHECK(send_text(client, "PROXY"));
  for (int i = 0; i < 5; ++i) CHECK(reactor->run_once(Reactor::Wait::kNo).ok());
  listener->stop();
  char byte;
  LONGS_EQUAL(0, recv(client.get(), &byte, 1, 0));
  LONGS_EQUAL(0, sink.refusals.size());
}

TEST(ProxyListener, is_not_loopback_wherever_it_listens) {
  start();
  CHECK(!listener->is_loopback());
}

TEST(ProxyListener, on_a_unix_socket_users_are_believed) {
  const config::TestFolder folder;
  options.unix_socket = UnixSocketPath{folder.path() + "/mqtt.sock"};
  options.proxy->from = {std::to_string(geteuid())};
  start();
  const Descriptor client = testing::connect_unix(options.unix_socket->path);
  CHECK(send_text(client, kLine));
  CHECK(is_accepted());
  STRCMP_EQUAL("192.0.2.1:51234", std::string(sink.streams[0]->peer_address()).c_str());
  // The proxy's user is not the client's.
  CHECK(!sink.streams[0]->peer_identity()->process.has_value());
  STRCMP_EQUAL(("unix:" + user_name(geteuid()) + ":" + std::to_string(getpid())).c_str(),
               sink.streams[0]->peer_identity()->proxy_address.c_str());
}

TEST(ProxyListener, on_a_unix_socket_no_other_user_is_believed) {
  const config::TestFolder folder;
  options.unix_socket = UnixSocketPath{folder.path() + "/mqtt.sock"};
  options.proxy->from = {std::to_string(geteuid() + 1)};
  start();
  const Descriptor client = testing::connect_unix(options.unix_socket->path);
  CHECK(reactor.turn_until([&] { return !sink.refusals.empty(); }));
  STRCMP_EQUAL("no proxy that proxy_protocol.from names", sink.refusals[0].c_str());
}

}  // namespace mqloop::event
