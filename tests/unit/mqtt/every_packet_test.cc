// What holds for every packet: the bytes come back, any split gives the same, no truncation is taken or read beyond.
#include <cstring>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/mqtt/samples.h"

namespace mqloop::mqtt::test {
namespace {

std::string describe(const Sample& sample) {
  return sample.name + " of version " + std::to_string(static_cast<int>(sample.version)) +
         (sample.sender == Role::kClient ? " from a client" : " from a server");
}

// What came out of a stream, in a form that can be compared: the packets encoded again.
struct Stream {
  explicit Stream(Decoder decoder_) : decoder(std::move(decoder_)) {}
  Decoder decoder;
  Bytes tail;
  Bytes out;
  std::size_t packets = 0;
  bool failed = false;

  void feed(std::span<const std::uint8_t> bytes) {
    tail.insert(tail.end(), bytes.begin(), bytes.end());
    for (;;) {
      const ExactBlock block(tail);
      Packet packet;
      const DecodeResult result = decoder.decode(block.bytes(), packet);
      failed = failed || result.kind == DecodeResult::Kind::kError;
      if (result.kind != DecodeResult::Kind::kPacket) return;
      append(packet, decoder.version(), out);
      ++packets;
      tail.erase(tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(result.size));
      if (type_of(packet) == PacketType::kConnect) decoder.connack_sent();
    }
  }
};

bool begins_connection(const Sample& sample) {
  const auto type = static_cast<PacketType>(sample.bytes[0] >> 4);
  return type == PacketType::kConnect || type == PacketType::kConnack;
}

// All that one side may send after another on one connection.
Bytes session_of(Role sender, ProtocolVersion version, std::size_t& packets) {
  Bytes bytes;
  for (const Sample& sample : samples()) {
    if (sample.sender != sender || sample.version != version || begins_connection(sample)) continue;
    bytes = bytes + sample.bytes;
    ++packets;
  }
  return bytes;
}

}  // namespace

TEST_GROUP(EveryPacket){};

TEST(EveryPacket, there_are_samples_of_all_fifteen_types) {
  bool seen[16] = {};
  for (const Sample& sample : samples()) seen[sample.bytes[0] >> 4] = true;
  for (int type = 1; type < 16; ++type) CHECK_TEXT(seen[type], std::to_string(type).c_str());
}

TEST(EveryPacket, decodes_whole_and_encodes_to_the_same_bytes) {
  for (const Sample& sample : samples()) {
    const Decoded decoded = decode_from(sample.sender, sample.version, sample.bytes);
    CHECK_TEXT(decoded.result.kind == DecodeResult::Kind::kPacket, describe(sample).c_str());
    LONGS_EQUAL_TEXT(sample.bytes.size(), decoded.result.size, describe(sample).c_str());
    LONGS_EQUAL_TEXT(sample.bytes[0] >> 4, static_cast<int>(type_of(decoded.packet)), describe(sample).c_str());
    const Bytes again = encoded(decoded.packet, sample.version);
    STRCMP_EQUAL_TEXT(hex(sample.bytes).c_str(), hex(again).c_str(), describe(sample).c_str());
    LONGS_EQUAL_TEXT(sample.bytes.size(), encoded_size(decoded.packet, sample.version), describe(sample).c_str());
  }
}

TEST(EveryPacket, cut_anywhere_waits_for_the_rest_and_says_how_much_it_needs) {
  for (const Sample& sample : samples()) {
    for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
      const Bytes cut(sample.bytes.begin(), sample.bytes.begin() + static_cast<std::ptrdiff_t>(size));
      const Role self = peer_of(sample.sender);
      Decoder decoder = begins_connection(sample) ? Decoder(self) : open_decoder(self, sample.version);
      if (self == Role::kClient) decoder.set_version(sample.version);
      const ExactBlock block(cut);
      Packet packet;
      const DecodeResult result = decoder.decode(block.bytes(), packet);
      CHECK_TEXT(result.kind == DecodeResult::Kind::kNeedMore, describe(sample).c_str());
      const std::size_t fixed_header = sample.bytes.size() > 129 ? 3 : 2;
      LONGS_EQUAL_TEXT(size < fixed_header ? 0 : sample.bytes.size(), result.size, describe(sample).c_str());
      CHECK(std::holds_alternative<std::monostate>(packet));
    }
  }
}

TEST(EveryPacket, with_a_remaining_length_that_cuts_it_is_malformed_or_one_of_its_short_forms) {
  for (const Sample& sample : samples()) {
    const std::size_t fixed_header = sample.bytes.size() > 129 ? 3 : 2;
    const Bytes body(sample.bytes.begin() + static_cast<std::ptrdiff_t>(fixed_header), sample.bytes.end());
    for (std::size_t size = 0; size < body.size(); ++size) {
      const Bytes cut = framed(sample.bytes[0], {body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size)});
      const Decoded decoded = decode_from(sample.sender, sample.version, cut);
      CHECK_TEXT(decoded.result.kind != DecodeResult::Kind::kNeedMore, describe(sample).c_str());
      if (decoded.result.kind == DecodeResult::Kind::kPacket) {
        // A payload or a list may end anywhere; PUBACK and its like, DISCONNECT and AUTH have forms without the rest.
        const std::string what = describe(sample) + " cut to " + std::to_string(size);
        const bool subscribe_list = (sample.bytes[0] == 0x82 || sample.bytes[0] == 0xA2) && size > 6;
        const bool empty_disconnect = (sample.bytes[0] & 0xF0) == 0xE0 && size <= 1;
        const bool refusal_of_3x = (sample.bytes[0] & 0xF0) == 0x20 && size == 2 && body[1] != 0;
        CHECK_TEXT(sample.has_shorter_forms || subscribe_list || empty_disconnect || refusal_of_3x, what.c_str());
      }
    }
  }
}

TEST(EveryPacket, with_a_byte_too_many_is_malformed_unless_it_ends_in_a_payload_or_a_list) {
  for (const Sample& sample : samples()) {
    const std::size_t fixed_header = sample.bytes.size() > 129 ? 3 : 2;
    Bytes body(sample.bytes.begin() + static_cast<std::ptrdiff_t>(fixed_header), sample.bytes.end());
    body.push_back(0);
    const Decoded decoded = decode_from(sample.sender, sample.version, framed(sample.bytes[0], body));
    const auto type = static_cast<PacketType>(sample.bytes[0] >> 4);
    const bool takes_any_byte = type == PacketType::kPublish || type == PacketType::kSuback ||
                                (type == PacketType::kUnsuback && is_v5(sample.version));
    const bool has_optional_tail =
        is_v5(sample.version) && (sample.bytes.size() <= 5) &&
        (type == PacketType::kPuback || type == PacketType::kPubrec || type == PacketType::kPubrel ||
         type == PacketType::kPubcomp || type == PacketType::kDisconnect);
    if (takes_any_byte || has_optional_tail) continue;
    CHECK_TEXT(decoded.result.kind == DecodeResult::Kind::kError, describe(sample).c_str());
    LONGS_EQUAL_TEXT(0x81, static_cast<int>(decoded.result.verdict().code), describe(sample).c_str());
  }
}

TEST(EveryPacket, split_at_every_byte_of_a_session_gives_the_same_packets) {
  for (const Role sender : {Role::kClient, Role::kServer}) {
    for (const ProtocolVersion version : {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5}) {
      std::size_t packets = 0;
      const Bytes session = session_of(sender, version, packets);
      for (std::size_t border = 0; border <= session.size(); ++border) {
        Stream stream(open_decoder(peer_of(sender), version));
        stream.feed(std::span(session).first(border));
        stream.feed(std::span(session).subspan(border));
        CHECK_FALSE(stream.failed);
        LONGS_EQUAL(packets, stream.packets);
        CHECK(stream.out == session);
      }
    }
  }
}

TEST(EveryPacket, fed_byte_by_byte_gives_the_same_packets) {
  for (const Role sender : {Role::kClient, Role::kServer}) {
    std::size_t packets = 0;
    const Bytes session = session_of(sender, ProtocolVersion::kV5, packets);
    Stream stream(open_decoder(peer_of(sender), ProtocolVersion::kV5));
    for (const std::uint8_t byte : session) stream.feed({&byte, 1});
    LONGS_EQUAL(packets, stream.packets);
    CHECK(stream.out == session);
  }
}

TEST(EveryPacket, a_connect_and_what_follows_it_in_one_segment_are_told_apart) {
  for (const Sample& sample : samples()) {
    if (static_cast<PacketType>(sample.bytes[0] >> 4) != PacketType::kConnect) continue;
    const Bytes both = sample.bytes + wire("E0 00");
    for (std::size_t border = 0; border <= both.size(); ++border) {
      Stream stream{Decoder(Role::kServer)};
      stream.feed(std::span(both).first(border));
      stream.feed(std::span(both).subspan(border));
      LONGS_EQUAL_TEXT(2, stream.packets, describe(sample).c_str());
      CHECK(stream.out == both);
    }
  }
}

}  // namespace mqloop::mqtt::test
