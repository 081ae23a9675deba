// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/transport_tcp/transport_tcp.cc"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <optional>

#include <CppUTest/TestHarness.h>

#include "tests/unit/config/config_fixture.h"
#include "tests/unit/event/accepting.h"
#include "tests/unit/event/support.h"

namespace mqloop {

namespace {

// The listener of one item of `listeners:`, and the tree that it was made from.
class ConfiguredListener {
 public:
  explicit ConfiguredListener(std::string_view item) {
    schema_.string("name", "the listener's name");
    transport_.describe_listener(schema_);
    checked_.emplace(schema_, item);
    if (!checked_->errors().empty()) return;
    Result<std::unique_ptr<TransportListener>> made = transport_.make_listener(checked_->root());
    if (made.ok()) {
      listener_ = *std::move(made);
    } else {
      complaint_ = made.status().message();
    }
  }
  TransportListener* operator->() { return listener_.get(); }
  [[nodiscard]] ConfigNode root() const { return checked_->root(); }
  TransportListener& operator*() { return *listener_; }
  [[nodiscard]] std::string errors() const { return checked_->errors(); }
  // Of the transport itself.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  TcpTransport transport_;
  Schema schema_;
  std::optional<config::CheckedText> checked_;
  std::unique_ptr<TransportListener> listener_;
  std::string complaint_;
};

// What the options of the listener say of a connection that it has accepted.
struct Seen {
  explicit Seen(std::string_view item) {
    struct Looking final : SocketListener {
      Looking(Options options, Seen& to) : SocketListener(std::move(options)), seen(to) {}
      std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
        const auto ask = [&socket](int level, int name) {
          int value = -1;
          socklen_t size = sizeof value;
          getsockopt(socket.fd, level, name, &value, &size);
          return value;
        };
        seen.nodelay = ask(IPPROTO_TCP, TCP_NODELAY) != 0;
        seen.keep_alive = ask(SOL_SOCKET, SO_KEEPALIVE) != 0;
        seen.idle = ask(IPPROTO_TCP, TCP_KEEPIDLE);
        seen.interval = ask(IPPROTO_TCP, TCP_KEEPINTVL);
        seen.probes = ask(IPPROTO_TCP, TCP_KEEPCNT);
        return SocketListener::wrap(std::move(socket));
      }
      Seen& seen;
    };
    Schema schema;
    schema.string("name", "the listener's name");
    SocketListener::describe_tcp(schema);
    const config::CheckedText checked(schema, item);
    STRCMP_EQUAL("", checked.errors().c_str());
    Looking listener(SocketListener::tcp_options(checked.root()).value(), *this);
    CHECK(listener.open().ok());
    CHECK(listener.start(*reactor, sink).ok());
    client = event::testing::connect_tcp(event::testing::port_in(listener));
    CHECK(reactor.turn_until([&] { return sink.streams.size() == 1; }));
  }
  event::testing::TestReactor reactor;
  event::testing::AcceptingSink sink;
  event::Descriptor client;
  bool nodelay = false, keep_alive = false;
  int idle = 0, interval = 0, probes = 0;
};

}  // namespace

TEST_GROUP(TransportTcp){};

TEST(TransportTcp, listens_where_bind_says) {
  ConfiguredListener listener("{name: local, bind: '127.0.0.1:0'}");
  STRCMP_EQUAL("", listener.errors().c_str());
  CHECK(listener->open().ok());
  CHECK(listener->address().substr(0, 10) == "127.0.0.1:");
}

TEST(TransportTcp, binds_to_the_loopback_and_mqtts_port_by_default) {
  ConfiguredListener listener("{name: local}");
  const Endpoint bind = listener.root()["bind"].as_endpoint();
  STRCMP_EQUAL("127.0.0.1", bind.host.c_str());
  LONGS_EQUAL(1883, bind.port);
}

TEST(TransportTcp, a_refusal_says_which_listener_and_where_it_stands) {
  ConfiguredListener listener("\n\n{name: devices, bind: '192.0.2.1:1883'}");
  STRCMP_EQUAL(
      "cannot listen on 192.0.2.1:1883 (listener 'devices', t.yaml:3): no network interface of this machine has this "
      "address",
      std::string(listener->open().message()).c_str());
}

TEST(TransportTcp, a_bind_that_is_no_address_is_a_mistake_of_the_configuration) {
  ConfiguredListener listener("{name: local, bind: abc}");
  CHECK(listener.errors().find("'abc' is not host:port") != std::string::npos);
}

TEST(TransportTcp, what_the_configuration_says_holds_for_every_connection) {
  const Seen usual("{name: a, bind: '127.0.0.1:0'}");
  CHECK(usual.nodelay);
  CHECK(!usual.keep_alive);
  const Seen other(
      "{name: a, bind: '127.0.0.1:0', nodelay: false, tcp_keep_alive: {idle: 77s, interval: 7s, probes: 3}, "
      "interface: lo, backlog: 5}");
  CHECK(!other.nodelay);
  CHECK(other.keep_alive);
  LONGS_EQUAL(77, other.idle);
  LONGS_EQUAL(7, other.interval);
  LONGS_EQUAL(3, other.probes);
}

TEST(TransportTcp, an_interface_that_is_not_there_is_named) {
  ConfiguredListener listener("{name: a, bind: '127.0.0.1:0', interface: nowhere7}");
  STRCMP_EQUAL("cannot listen on 127.0.0.1:0 (listener 'a', t.yaml:1): there is no network interface 'nowhere7'",
               std::string(listener->open().message()).c_str());
}

TEST(TransportTcp, ipv6_alone_where_that_is_asked_for) {
  ConfiguredListener listener("{name: a, bind: '[::]:0', dual_stack: false}");
  if (!listener->open().ok()) return;  // a machine without IPv6
  CHECK(event::testing::connect_tcp(event::testing::port_in(*listener)).get() < 0);
}

TEST(TransportTcp, says_what_is_wrong_with_a_value) {
  const auto complaint = [](std::string_view rest) {
    return ConfiguredListener("{name: a, bind: '127.0.0.1:0', " + std::string(rest) + "}").complaint();
  };
  STRCMP_EQUAL("t.yaml:1:55: 1s500ms is not a whole number of seconds",
               complaint("tcp_keep_alive: {idle: 1s500ms}").c_str());
  STRCMP_CONTAINS("'home' is no IP address or network", complaint("proxy_protocol: {from: [home]}").c_str());
  STRCMP_CONTAINS("has both bind and systemd_socket: keep one", complaint("systemd_socket: mqtt").c_str());
  STRCMP_CONTAINS("a name of an interface is shorter", complaint("interface: a_name_that_is_too_long").c_str());
}

TEST(TransportTcp, proxy_protocol_needs_to_know_from_whom) {
  CHECK(!ConfiguredListener("{name: a, proxy_protocol: {version: v2}}").errors().empty());
  CHECK(!ConfiguredListener("{name: a, proxy_protocol: {from: []}}").errors().empty());
  CHECK(!ConfiguredListener("{name: a, proxy_protocol: v2}").errors().empty());
}

TEST(TransportTcp, the_next_one_takes_over_the_socket_with_those_who_wait) {
  event::testing::TestReactor reactor;
  event::testing::AcceptingSink sink;
  std::optional<ConfiguredListener> before("{name: a, bind: '127.0.0.1:0'}");
  CHECK((*before)->open().ok());
  const std::string port = std::to_string(event::testing::port_in(**before));
  const event::Descriptor client = event::testing::connect_tcp(event::testing::port_in(**before));
  ConfiguredListener after("{name: a, bind: '127.0.0.1:" + port + "', nodelay: false}");
  CHECK(!after->open().ok());
  CHECK(after->open_in_place_of(**before).ok());
  before.reset();
  CHECK(after->start(*reactor, sink).ok());
  CHECK(reactor.turn_until([&] { return sink.streams.size() == 1; }));
}

TEST(TransportTcp, the_next_one_elsewhere_opens_a_socket_of_its_own) {
  ConfiguredListener before("{name: a, bind: '127.0.0.1:0'}");
  ConfiguredListener after("{name: a, bind: '127.0.0.2:0'}");
  CHECK(before->open().ok());
  CHECK(after->open_in_place_of(*before).ok());
  CHECK(after->address().substr(0, 10) == "127.0.0.2:");
  CHECK(before->address() != after->address());
}

TEST(TransportTcp, says_what_it_is) {
  const mqloop_plugin_block* block = mqloop_builtin_TcpTransport();
  CHECK(block->magic == MQLOOP_PLUGIN_MAGIC);
  STRCMP_EQUAL("transport_tcp", block->name);
}

}  // namespace mqloop
