// Which packet may come when: every first byte in every phase, for both ends and three versions.
#include <string>

#include <CppUTest/TestHarness.h>

#include "tests/unit/mqtt/wire.h"

namespace mqloop::mqtt::test {
namespace {

constexpr ProtocolVersion kVersions[] = {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5};
// The first byte of each type with the flags that it needs.
constexpr std::uint8_t kFirstBytes[] = {0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x62, 0x70,
                                        0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0};
constexpr int kClientSends = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 14;
constexpr int kServerSends = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 11 | 1 << 13;

// What a decoder says to the first byte alone.
Fault fault_of(Decoder decoder, std::uint8_t first) {
  Packet packet;
  return decoder.decode({&first, 1}, packet).fault;
}

void expect(Fault expected, const Decoder& decoder, int type, ProtocolVersion version) {
  const std::string what = "type " + std::to_string(type) + ", version " + std::to_string(static_cast<int>(version));
  LONGS_EQUAL_TEXT(static_cast<int>(expected), static_cast<int>(fault_of(decoder, kFirstBytes[type])), what.c_str());
}

}  // namespace

TEST_GROUP(Phase){};

TEST(Phase, cve_2023_0809_the_first_byte_that_a_server_takes_is_that_of_connect) {
  for (int byte = 0; byte < 256; ++byte) {
    const Fault fault = fault_of(Decoder(Role::kServer), static_cast<std::uint8_t>(byte));
    if (byte == 0x10) {
      CHECK(fault == Fault::kNone);
    } else {
      CHECK(fault == (byte >> 4 == 1 ? Fault::kReservedFlags : Fault::kFirstPacketNotConnect));
    }
  }
}

TEST(Phase, cve_2021_28166_an_open_server_takes_what_clients_send_and_no_second_connect) {
  for (const ProtocolVersion version : kVersions) {
    const Decoder decoder = open_decoder(Role::kServer, version);
    for (int type = 0; type < 16; ++type) {
      Fault expected = (kClientSends >> type & 1) != 0 ? Fault::kNone : Fault::kNotForServer;
      if (type == 1) expected = Fault::kSecondConnect;
      if (type == 0) expected = Fault::kReservedPacketType;
      if (type == 15) expected = is_v5(version) ? Fault::kNone : Fault::kReservedPacketType;
      expect(expected, decoder, type, version);
    }
  }
}

TEST(Phase, a_client_takes_connack_or_auth_first) {
  for (const ProtocolVersion version : kVersions) {
    Decoder decoder(Role::kClient);
    decoder.set_version(version);
    decoder.set_authentication_method_used(is_v5(version));
    for (int type = 0; type < 16; ++type) {
      const bool sent_by_server = (kServerSends >> type & 1) != 0 || (type == 14 && is_v5(version));
      Fault expected = sent_by_server ? Fault::kFirstPacketNotConnack : Fault::kNotForClient;
      if (type == 2) expected = Fault::kNone;
      if (type == 0) expected = Fault::kReservedPacketType;
      if (type == 15) expected = is_v5(version) ? Fault::kNone : Fault::kReservedPacketType;
      expect(expected, decoder, type, version);
    }
  }
}

TEST(Phase, an_open_client_takes_what_servers_send_and_no_second_connack) {
  for (const ProtocolVersion version : kVersions) {
    const Decoder decoder = open_decoder(Role::kClient, version);
    for (int type = 0; type < 16; ++type) {
      Fault expected = (kServerSends >> type & 1) != 0 ? Fault::kNone : Fault::kNotForClient;
      if (type == 14 && is_v5(version)) expected = Fault::kNone;
      if (type == 2) expected = Fault::kSecondConnack;
      if (type == 0) expected = Fault::kReservedPacketType;
      if (type == 15) expected = is_v5(version) ? Fault::kNone : Fault::kReservedPacketType;
      expect(expected, decoder, type, version);
    }
  }
}

TEST(Phase, a_client_that_authenticates_sends_auth_and_disconnect_alone_until_connack) {
  Decoder decoder(Role::kServer);
  Packet packet;
  CHECK(decoder.decode(minimal_connect(ProtocolVersion::kV5, true), packet).kind == DecodeResult::Kind::kPacket);
  for (int type = 3; type < 16; ++type) {
    const bool allowed = type == 14 || type == 15;
    const bool from_client = (kClientSends >> type & 1) != 0;
    const Fault expected = allowed ? Fault::kNone : from_client ? Fault::kOnlyAuthBeforeConnack : Fault::kNotForServer;
    expect(expected, decoder, type, ProtocolVersion::kV5);
  }
  decoder.connack_sent();
  CHECK(fault_of(decoder, 0x30) == Fault::kNone);
  CHECK(fault_of(decoder, 0x10) == Fault::kSecondConnect);
}

TEST(Phase, a_client_without_a_method_sends_no_auth) {
  Decoder decoder(Role::kServer);
  Packet packet;
  CHECK(decoder.decode(minimal_connect(ProtocolVersion::kV5), packet).kind == DecodeResult::Kind::kPacket);
  CHECK(fault_of(decoder, 0xF0) == Fault::kAuthWithoutMethod);
  CHECK(fault_of(decoder, 0x30) == Fault::kNone);
  decoder.connack_sent();
  CHECK(fault_of(decoder, 0xF0) == Fault::kAuthWithoutMethod);
}

TEST(Phase, a_server_learns_the_version_from_connect) {
  for (const ProtocolVersion version : kVersions) {
    Decoder decoder(Role::kServer);
    Packet packet;
    CHECK(decoder.decode(minimal_connect(version), packet).kind == DecodeResult::Kind::kPacket);
    CHECK(decoder.version() == version);
  }
}

}  // namespace mqloop::mqtt::test
