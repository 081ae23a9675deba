// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/transport_tcp/transport_tcp.cc"

#include <optional>

#include <CppUTest/TestHarness.h>

#include "tests/unit/config/config_fixture.h"

namespace mqloop {

namespace {

// The listener of one item of `listeners:`, and the tree that it was made from.
class ConfiguredListener {
 public:
  explicit ConfiguredListener(std::string_view item) {
    schema_.string("name", "the listener's name");
    transport_.describe_listener(schema_);
    checked_.emplace(schema_, item);
    listener_ = transport_.make_listener(checked_->root()).value();
  }
  TransportListener* operator->() { return listener_.get(); }
  [[nodiscard]] ConfigNode root() const { return checked_->root(); }
  [[nodiscard]] std::string errors() const { return checked_->errors(); }

 private:
  TcpTransport transport_;
  Schema schema_;
  std::optional<config::CheckedText> checked_;
  std::unique_ptr<TransportListener> listener_;
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

TEST(TransportTcp, says_what_it_is) {
  const mqloop_plugin_block* block = mqloop_builtin_TcpTransport();
  CHECK(block->magic == MQLOOP_PLUGIN_MAGIC);
  STRCMP_EQUAL("transport_tcp", block->name);
}

}  // namespace mqloop
