// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/transport_unix/transport_unix.cc"

#include <string>

#include <CppUTest/TestHarness.h>

#include "tests/unit/config/config_fixture.h"

namespace mqloop {

namespace {

// What is wrong with an item of `listeners:`; empty when a listener could be made of it.
std::string complaint(std::string_view item) {
  const UnixTransport transport;
  Schema schema;
  schema.string("name", "the listener's name");
  transport.describe_listener(schema);
  const config::CheckedText checked(schema, item);
  if (!checked.errors().empty()) return checked.errors();
  return std::string(transport.make_listener(checked.root()).status().message());
}

}  // namespace

TEST_GROUP(TransportUnix){};

TEST(TransportUnix, takes_a_path_and_whose_it_is) {
  STRCMP_EQUAL("", complaint("{name: a, path: mqtt.sock}").c_str());
  STRCMP_EQUAL("", complaint("{name: a, path: /run/mqtt.sock, mode: \"0600\", owner: root, group: 0}").c_str());
  STRCMP_EQUAL("", complaint("{name: a, path: mqtt.sock, mode: 660, proxy_protocol: {from: [root, 12345]}}").c_str());
  STRCMP_EQUAL("", complaint("{name: a, systemd_socket: mqtt}").c_str());
}

TEST(TransportUnix, needs_to_know_where) {
  STRCMP_CONTAINS("a Unix socket needs path: or systemd_socket:", complaint("{name: a}").c_str());
  STRCMP_CONTAINS("has both path and systemd_socket: keep one",
                  complaint("{name: a, path: mqtt.sock, systemd_socket: mqtt}").c_str());
}

TEST(TransportUnix, a_mode_that_is_none_is_a_mistake) {
  for (const char* mode : {"0980", "66", "01777", "07777", "rw", "-660", "0x1b0", ""}) {
    STRCMP_CONTAINS(("'" + std::string(mode) + "' is no mode such as \"0660\"").c_str(),
                    complaint("{name: a, path: mqtt.sock, mode: '" + std::string(mode) + "'}").c_str());
  }
}

TEST(TransportUnix, who_is_not_of_this_machine_is_a_mistake) {
  STRCMP_CONTAINS("there is no user 'nobody-has-this-name' on this machine",
                  complaint("{name: a, path: mqtt.sock, owner: nobody-has-this-name}").c_str());
  STRCMP_CONTAINS("there is no group 'nobody-has-this-name' on this machine",
                  complaint("{name: a, path: mqtt.sock, group: nobody-has-this-name}").c_str());
  STRCMP_CONTAINS("there is no user '10.0.0.0/8' on this machine",
                  complaint("{name: a, path: mqtt.sock, proxy_protocol: {from: [10.0.0.0/8]}}").c_str());
}

TEST(TransportUnix, says_what_it_is) { STRCMP_EQUAL("transport_unix", mqloop_builtin_UnixTransport()->name); }

}  // namespace mqloop
