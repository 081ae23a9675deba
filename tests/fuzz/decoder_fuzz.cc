// Any bytes from any side in any state: nothing outside of them is read, a packet shows only what is in them, and a
// beginning of them never says something else than the whole.
// Input: one byte of choices {bit 0: we are the client, bits 1-2: version, bit 3: first packet, bit 4: small limits},
// one byte that places a cut, then the stream.
#include "core/mqtt/encoder.h"
#include "tests/fuzz/mqtt_input.h"

namespace {

using namespace mqloop;        // NOLINT(google-build-using-namespace)
using namespace mqloop::mqtt;  // NOLINT(google-build-using-namespace)

ProtocolVersion version_of(std::uint8_t choice) {
  const unsigned index = (choice >> 1) & 3U;
  return index == 0 ? ProtocolVersion::kV31 : index == 1 ? ProtocolVersion::kV311 : ProtocolVersion::kV5;
}

Decoder make_decoder(std::uint8_t choice) {
  DecoderLimits limits;
  if ((choice & 16U) != 0) {
    limits.maximum_packet_size = 64;
    limits.properties = {.maximum_length = 24, .maximum_user_properties = 1};
  }
  Decoder decoder((choice & 1U) != 0 ? Role::kClient : Role::kServer, limits);
  decoder.set_version(version_of(choice));
  decoder.set_authentication_method_used(true);
  return decoder;
}

// Takes a decoder past CONNECT or CONNACK by packets that are always good.
void open(Decoder& decoder, std::uint8_t choice) {
  static constexpr std::uint8_t kConnect31[] = {0x10, 0x0E, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 0, 0, 0};
  static constexpr std::uint8_t kConnect311[] = {0x10, 0x0C, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0};
  static constexpr std::uint8_t kConnect5[] = {0x10, 0x11, 0, 4,    'M', 'Q', 'T', 'T', 5, 2,
                                               0,    0,    4, 0x15, 0,   1,   'm', 0,   0};
  static constexpr std::uint8_t kConnack3[] = {0x20, 2, 0, 0};
  static constexpr std::uint8_t kConnack5[] = {0x20, 3, 0, 0, 0};
  Packet packet;
  const ProtocolVersion version = version_of(choice);
  std::span<const std::uint8_t> bytes = kConnect5;
  if ((choice & 1U) != 0) {
    bytes = version == ProtocolVersion::kV5 ? std::span<const std::uint8_t>(kConnack5) : kConnack3;
  } else if (version != ProtocolVersion::kV5) {
    bytes = version == ProtocolVersion::kV31 ? std::span<const std::uint8_t>(kConnect31) : kConnect311;
  }
  fuzz::require(decoder.decode(bytes, packet).kind == DecodeResult::Kind::kPacket);
  decoder.connack_sent();
}

void check_beginning(Decoder decoder, std::span<const std::uint8_t> bytes, std::uint8_t cut,
                     const DecodeResult& whole) {
  const std::size_t end = whole.kind == DecodeResult::Kind::kPacket ? whole.size : bytes.size();
  if (end == 0) return;
  const fuzz::ExactBlock part(bytes.first(cut % end));
  Packet packet;
  const DecodeResult result = decoder.decode(part.bytes(), packet);
  if (whole.kind == DecodeResult::Kind::kError) {
    fuzz::require(result.kind == DecodeResult::Kind::kNeedMore || result.fault == whole.fault);
  } else {
    fuzz::require(result.kind == DecodeResult::Kind::kNeedMore);
    fuzz::require(result.size == 0 || result.size == whole.size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::uint8_t choice = data[0];
  Decoder decoder = make_decoder(choice);
  if ((choice & 8U) == 0) open(decoder, choice);
  std::span<const std::uint8_t> rest(data + 2, size - 2);
  for (;;) {
    const fuzz::ExactBlock block(rest);
    const Decoder before = decoder;
    Packet packet;
    const DecodeResult result = decoder.decode(block.bytes(), packet);
    check_beginning(before, rest, data[1], result);
    if (result.kind == DecodeResult::Kind::kError) {
      fuzz::require(result.fault != Fault::kNone && is_error(result.verdict().code));
      fuzz::Reader().read(result.subject);
    }
    if (result.kind != DecodeResult::Kind::kPacket) return 0;
    fuzz::require(result.size >= 2 && result.size <= rest.size());
    fuzz::Reader reader;
    std::visit(reader, packet);
    // What was taken can be sent on, in no more bytes than it came in; but a refusal in the form of 3.x grows in 5.0.
    const bool refusal_of_3x = std::holds_alternative<ConnackPacket>(packet) && result.size == 4;
    fuzz::require(refusal_of_3x || encoded_size(packet, decoder.version()) <= result.size);
    rest = rest.subspan(result.size);
  }
}
