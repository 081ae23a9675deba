#include "tests/unit/mqtt/samples.h"

namespace mqloop::mqtt::test {
namespace {

constexpr Role kC = Role::kClient;
constexpr Role kS = Role::kServer;

void add_3x(std::vector<Sample>& all, ProtocolVersion version) {
  const auto add = [&](const char* name, Role sender, const char* bytes, bool shorter = false) {
    all.push_back({name, sender, version, wire(bytes), shorter});
  };
  add("CONNACK accepted", kS, "20 02 00 00");
  add("CONNACK refused", kS, "20 02 00 05");
  for (const Role sender : {kC, kS}) {
    add("PUBLISH QoS 0", sender, "30 07 00 03 'a/b' 'hi'", true);
    add("PUBLISH QoS 0, empty payload", sender, "31 05 00 03 'a/b'");
    add("PUBLISH QoS 1", sender, "32 09 00 03 'a/b' 12 34 'hi'", true);
    add("PUBLISH QoS 2, DUP, RETAIN", sender, "3D 09 00 03 'a/b' FF FF 'hi'", true);
    add("PUBACK", sender, "40 02 12 34");
    add("PUBREC", sender, "50 02 12 34");
    add("PUBREL", sender, "62 02 12 34");
    add("PUBCOMP", sender, "70 02 12 34");
  }
  add("SUBSCRIBE", kC, "82 0E 00 0A 00 03 'a/b' 01 00 03 'c/#' 02");
  add("SUBACK", kS, "90 06 00 0A 00 01 02 80", true);
  add("UNSUBSCRIBE", kC, "A2 0C 00 0A 00 03 'a/b' 00 03 'c/#'");
  add("UNSUBACK", kS, "B0 02 00 0A");
  add("PINGREQ", kC, "C0 00");
  add("PINGRESP", kS, "D0 00");
  add("DISCONNECT", kC, "E0 00");
}

void add_v5(std::vector<Sample>& all) {
  const auto add = [&](const char* name, Role sender, const char* bytes, bool shorter = false) {
    all.push_back({name, sender, ProtocolVersion::kV5, wire(bytes), shorter});
  };
  add("CONNECT", kC, "10 10 00 04 'MQTT' 05 02 00 3C 00 00 03 'abc'");
  add("CONNECT with everything", kC,
      "10 90 01 00 04 'MQTT' 05 EE 00 3C 53"
      " 11 00 00 00 0A 21 00 14 27 00 01 00 00 22 00 05 19 01 17 00 15 00 03 'xyz' 16 00 02 00 FF"
      " 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 02 'v2' 26 00 00 00 00 26 00 0D 'a longer name' 00 0E 'a longer value'"
      " 00 03 'abc'"
      " 17 18 00 00 00 05 01 01 02 00 00 00 3C 26 00 01 'a' 00 01 'b' 03 00 01 't'"
      " 00 04 'will' 00 03 'bye' 00 04 'user' 00 02 00 01");
  add("CONNECT with a password alone", kC, "10 12 00 04 'MQTT' 05 42 00 3C 00 00 01 'c' 00 02 'pw'");
  add("CONNACK", kS, "20 03 01 00 00");
  add("CONNACK refused", kS, "20 0E 00 86 0B 1F 00 08 'no entry'");
  add("CONNACK with everything", kS,
      "20 49 00 00 46 11 00 00 00 0A 21 00 14 24 01 25 00 27 00 00 10 00 12 00 02 'id' 22 00 0A 1F 00 01 'r'"
      " 26 00 01 'k' 00 01 'v' 28 00 29 01 2A 01 13 00 1E 1A 00 02 'ri' 1C 00 02 'sr' 15 00 01 'm' 16 00 01 'd'"
      " 26 00 01 'k' 00 01 'w'");
  for (const Role sender : {kC, kS}) {
    add("PUBLISH QoS 0", sender, "30 08 00 03 'a/b' 00 'hi'", true);
    add("PUBLISH QoS 1", sender, "32 0A 00 03 'a/b' 12 34 00 'hi'", true);
    add("PUBLISH QoS 2, DUP, RETAIN", sender, "3D 0A 00 03 'a/b' FF FF 00 'hi'", true);
    add("PUBLISH by alias", sender, "30 08 00 00 03 23 00 07 'hi'", true);
    add("PUBLISH with everything", sender,
        "33 31 00 03 'a/b' 12 34 27 01 01 02 00 00 00 3C 03 00 01 't' 08 00 03 'r/t' 09 00 02 00 FF 23 00 01"
        " 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 'hi'",
        true);
    add("PUBACK", sender, "40 02 12 34");
    add("PUBACK refused", sender, "40 03 12 34 87", true);
    add("PUBACK explained", sender, "40 0F 12 34 97 0B 1F 00 01 'r' 26 00 01 'k' 00 01 'v'", true);
    add("PUBREC", sender, "50 02 12 34");
    add("PUBREC refused", sender, "50 03 12 34 91", true);
    add("PUBREC explained", sender, "50 08 12 34 00 04 1F 00 01 'r'", true);
    add("PUBREL", sender, "62 02 12 34");
    add("PUBREL unknown", sender, "62 03 12 34 92", true);
    add("PUBREL explained", sender, "62 0B 12 34 92 07 26 00 01 'k' 00 01 'v'", true);
    add("PUBCOMP", sender, "70 02 12 34");
    add("PUBCOMP unknown", sender, "70 03 12 34 92", true);
    add("DISCONNECT", sender, "E0 00");
    add("DISCONNECT with a code", sender, "E0 01 81", true);
    add("DISCONNECT explained", sender, "E0 06 81 04 1F 00 01 'r'", true);
    add("AUTH", sender, "F0 0A 18 08 15 00 01 'm' 16 00 01 'd'");
  }
  add("PUBLISH with Subscription Identifiers", kS, "30 0B 00 01 't' 07 0B 01 0B FF FF FF 7F");
  add("PUBACK without a subscriber", kS, "40 03 12 34 10", true);
  add("SUBSCRIBE", kC, "82 0F 00 0A 00 00 03 'a/b' 01 00 03 'c/#' 2E");
  add("SUBSCRIBE shared, with everything", kC,
      "82 1C 00 0A 0B 0B 80 01 26 00 02 'k1' 00 01 'v' 00 0B '$share/gr/+' 02");
  add("SUBACK", kS, "90 07 00 0A 00 00 01 02 87", true);
  add("SUBACK explained", kS, "90 08 00 0A 04 1F 00 01 'r' 8F");
  add("UNSUBSCRIBE", kC, "A2 0D 00 0A 00 00 03 'a/b' 00 03 'c/#'");
  add("UNSUBACK", kS, "B0 05 00 0A 00 00 11", true);
  add("PINGREQ", kC, "C0 00");
  add("PINGRESP", kS, "D0 00");
  add("DISCONNECT with the will", kC, "E0 01 04", true);
  add("DISCONNECT with an expiry", kC, "E0 07 00 05 11 00 00 00 3C");
  add("DISCONNECT to another server", kS, "E0 08 9C 06 1C 00 03 'a:1'", true);
  add("AUTH again", kC, "F0 06 19 04 15 00 01 'm'");
  add("AUTH succeeded", kS, "F0 06 00 04 15 00 01 'm'");
}

std::vector<Sample> make_samples() {
  std::vector<Sample> all;
  all.push_back({"CONNECT", kC, ProtocolVersion::kV31, wire("10 11 00 06 'MQIsdp' 03 02 00 3C 00 03 'abc'")});
  all.push_back(
      {"CONNECT with everything", kC, ProtocolVersion::kV31,
       wire("10 26 00 06 'MQIsdp' 03 F6 00 3C 00 03 'abc' 00 04 'will' 00 03 'bye' 00 04 'user' 00 02 'pw'")});
  add_3x(all, ProtocolVersion::kV31);
  all.push_back({"CONNECT", kC, ProtocolVersion::kV311, wire("10 0F 00 04 'MQTT' 04 00 00 3C 00 03 'abc'")});
  all.push_back(
      {"CONNECT without an identifier", kC, ProtocolVersion::kV311, wire("10 0C 00 04 'MQTT' 04 02 FF FF 00 00")});
  all.push_back({"CONNECT with everything", kC, ProtocolVersion::kV311,
                 wire("10 24 00 04 'MQTT' 04 EE 00 3C 00 03 'abc' 00 04 'will' 00 03 'bye' 00 04 'user' 00 02 'pw'")});
  add_3x(all, ProtocolVersion::kV311);
  all.push_back({"CONNACK resumed", kS, ProtocolVersion::kV311, wire("20 02 01 00")});
  add_v5(all);
  return all;
}

}  // namespace

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = make_samples();
  return all;
}

}  // namespace mqloop::mqtt::test
