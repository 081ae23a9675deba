// decode(encode(x)) == x for any packet x that may be sent, and an answer that was made to fit is decoded as well.
// The input is read as choices (FuzzedDataProvider): a version, a packet type, then its fields.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/base/utf8.h"
#include "core/mqtt/encoder.h"
#include "core/mqtt/property_writer.h"
#include "core/mqtt/reason_codes.h"
#include "core/mqtt/topic.h"
#include "tests/fuzz/mqtt_input.h"

namespace {

using namespace mqloop;        // NOLINT(google-build-using-namespace)
using namespace mqloop::mqtt;  // NOLINT(google-build-using-namespace)

// Owns what a packet points to while it is being encoded.
class Maker {
 public:
  explicit Maker(FuzzedDataProvider& choices) : choices_(choices) {
    version_ = choices.PickValueInArray({ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5});
    sender_ = choices.ConsumeBool() ? Role::kClient : Role::kServer;
  }

  [[nodiscard]] ProtocolVersion version() const { return version_; }
  [[nodiscard]] Role sender() const { return sender_; }
  [[nodiscard]] bool v5() const { return version_ == ProtocolVersion::kV5; }

  Packet make() {
    switch (choices_.ConsumeIntegralInRange(0, 9)) {
      case 0:
        return connect();
      case 1:
        return connack();
      case 2:
        return publish();
      case 3:
        return ack();
      case 4:
        return subscribe();
      case 5:
        return suback();
      case 6:
        return unsubscribe();
      case 7:
        return unsuback();
      case 8:
        return disconnect();
      default:
        return auth();
    }
  }

 private:
  std::uint16_t id() { return choices_.ConsumeIntegralInRange<std::uint16_t>(1, 65535); }
  QoS qos() { return static_cast<QoS>(choices_.ConsumeIntegralInRange(0, 2)); }

  std::string_view keep(std::string text) {
    texts_.push_back(std::make_unique<std::string>(std::move(text)));
    return *texts_.back();
  }
  std::span<const std::uint8_t> bytes() {
    const std::string_view text = keep(choices_.ConsumeRandomLengthString(40));
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }
  std::string_view text() {
    std::string text = choices_.ConsumeRandomLengthString(40);
    return keep(is_utf8_without_nul(text) ? text : "text");
  }
  std::string_view topic() {
    const std::string_view name = text();
    return validate_topic_name(name).ok() ? name : "topic";
  }
  std::string_view filter() {
    const std::string_view filter = text();
    return validate_topic_filter(filter).ok() ? filter : "filter/#";
  }
  ReasonCode code(PacketType type, Role sender) {
    std::vector<ReasonCode> legal;
    for (int value = 0; value < 256; ++value) {
      if (may_carry(type, static_cast<ReasonCode>(value), sender)) legal.push_back(static_cast<ReasonCode>(value));
    }
    const ReasonCode chosen = legal[choices_.ConsumeIntegralInRange<std::size_t>(0, legal.size() - 1)];
    return v5() ? chosen : ReasonCode::kSuccess;
  }
  std::span<const ReasonCode> codes(PacketType type) {
    codes_.clear();
    if (!v5() && type == PacketType::kUnsuback) return codes_;
    do {
      const ReasonCode one = code(type, Role::kServer);
      codes_.push_back(v5() || !is_error(one) ? one : ReasonCode::kUnspecifiedError);
    } while (choices_.ConsumeBool());
    return codes_;
  }

  void add(PropertyWriter& writer, const PropertySpec& spec) {
    switch (spec.type) {
      case PropertyType::kUtf8Pair:
        writer.add_user_property(text(), text());
        break;
      case PropertyType::kUtf8:
        writer.add(spec.id, spec.id == PropertyId::kResponseTopic ? topic() : text());
        break;
      case PropertyType::kBinary:
        writer.add(spec.id, text_of(bytes()));
        break;
      default:
        writer.add(spec.id, choices_.ConsumeIntegralInRange(spec.minimum, spec.maximum));
        break;
    }
  }
  Properties section(PropertyPlaces place, Role sender, bool with_method) {
    if (!v5()) return {};
    writers_.push_back(std::make_unique<PropertyWriter>());
    PropertyWriter& writer = *writers_.back();
    if (with_method) writer.add(PropertyId::kAuthenticationMethod, "m");
    for (const PropertySpec& spec : property_table()) {
      const bool allowed = ((sender == Role::kClient ? spec.from_client : spec.from_server) & place) != 0;
      const bool twice = (spec.repeatable & place) != 0;
      // Authentication Data needs its method, which `with_method` stands for.
      const bool apart =
          spec.id == PropertyId::kAuthenticationMethod || (spec.id == PropertyId::kAuthenticationData && !with_method);
      if (!allowed || apart) continue;
      for (int i = 0; i < (twice ? 3 : 1) && choices_.ConsumeBool(); ++i) add(writer, spec);
    }
    return writer.properties();
  }
  Properties properties(PacketType type, Role sender) { return section(place_of(type), sender, false); }

  ConnectPacket connect() {
    sender_ = Role::kClient;
    ConnectPacket packet;
    packet.version = version_;
    packet.clean_start = choices_.ConsumeBool();
    packet.keep_alive = choices_.ConsumeIntegral<std::uint16_t>();
    packet.client_id = text();
    if (choices_.ConsumeBool()) {
      packet.will = Will{qos(), choices_.ConsumeBool(), topic(), bytes(), section(kWillPlace, sender_, false)};
    }
    if (choices_.ConsumeBool()) packet.user_name = text();
    if (choices_.ConsumeBool() && (v5() || packet.user_name)) packet.password = bytes();
    packet.properties = section(place_of(PacketType::kConnect), sender_, choices_.ConsumeBool());
    return packet;
  }
  ConnackPacket connack() {
    sender_ = Role::kServer;
    ConnackPacket packet;
    packet.reason_code = code(PacketType::kConnack, sender_);
    packet.session_present =
        version_ != ProtocolVersion::kV31 && !is_error(packet.reason_code) && choices_.ConsumeBool();
    packet.properties = section(place_of(PacketType::kConnack), sender_, choices_.ConsumeBool());
    return packet;
  }
  PublishPacket publish() {
    PublishPacket packet;
    packet.qos = qos();
    packet.dup = packet.qos != QoS::kAtMostOnce && choices_.ConsumeBool();
    packet.retain = choices_.ConsumeBool();
    packet.packet_id = packet.qos == QoS::kAtMostOnce ? std::uint16_t{0} : id();
    packet.properties = properties(PacketType::kPublish, sender_);
    packet.topic = packet.properties.topic_alias() != 0 && choices_.ConsumeBool() ? std::string_view() : topic();
    packet.payload = bytes();
    return packet;
  }
  AckPacket ack() {
    AckPacket packet;
    packet.type = choices_.PickValueInArray(
        {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp});
    packet.packet_id = id();
    packet.reason_code = code(packet.type, sender_);
    packet.properties = properties(packet.type, sender_);
    return packet;
  }
  SubscribePacket subscribe() {
    sender_ = Role::kClient;
    do {
      const std::string_view wanted = filter();
      SubscriptionOptions options;
      options.maximum_qos = qos();
      if (v5()) {
        options.no_local = !is_shared(wanted) && choices_.ConsumeBool();
        options.retain_as_published = choices_.ConsumeBool();
        options.retain_handling = static_cast<RetainHandling>(choices_.ConsumeIntegralInRange(0, 2));
      }
      subscriptions_.add(wanted, options);
    } while (choices_.ConsumeBool());
    return {id(), properties(PacketType::kSubscribe, sender_), subscriptions_.list()};
  }
  SubackPacket suback() {
    sender_ = Role::kServer;
    return {id(), properties(PacketType::kSuback, sender_), codes(PacketType::kSuback)};
  }
  UnsubackPacket unsuback() {
    sender_ = Role::kServer;
    return {id(), properties(PacketType::kUnsuback, sender_), codes(PacketType::kUnsuback)};
  }
  UnsubscribePacket unsubscribe() {
    sender_ = Role::kClient;
    do {
      filters_.add(filter());
    } while (choices_.ConsumeBool());
    return {id(), properties(PacketType::kUnsubscribe, sender_), filters_.list()};
  }
  DisconnectPacket disconnect() {
    if (!v5()) sender_ = Role::kClient;
    return {code(PacketType::kDisconnect, sender_), properties(PacketType::kDisconnect, sender_)};
  }
  AuthPacket auth() {
    version_ = ProtocolVersion::kV5;
    return {code(PacketType::kAuth, sender_), section(place_of(PacketType::kAuth), sender_, true)};
  }

  static std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  FuzzedDataProvider& choices_;
  ProtocolVersion version_;
  Role sender_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<std::unique_ptr<PropertyWriter>> writers_;
  std::vector<ReasonCode> codes_;
  SubscriptionListWriter subscriptions_;
  TopicFilterListWriter filters_;
};

// A decoder that waits for this very packet.
Decoder decoder_for(const Packet& packet, Role sender, ProtocolVersion version) {
  static constexpr std::uint8_t kConnect[] = {0x10, 0x11, 0, 4,    'M', 'Q', 'T', 'T', 5, 2,
                                              0,    0,    4, 0x15, 0,   1,   'm', 0,   0};
  static constexpr std::uint8_t kConnack[] = {0x20, 3, 0, 0, 0};
  Decoder decoder(peer_of(sender));
  const PacketType type = type_of(packet);
  Packet first;
  if (sender == Role::kServer) decoder.set_version(ProtocolVersion::kV5);
  if (type != PacketType::kConnect && type != PacketType::kConnack) {
    (void)decoder.decode(sender == Role::kClient ? std::span<const std::uint8_t>(kConnect) : kConnack, first);
    decoder.connack_sent();
  }
  decoder.set_authentication_method_used(true);
  decoder.set_version(version);
  return decoder;
}

void check(const Packet& packet, Role sender, ProtocolVersion version) {
  const std::size_t size = encoded_size(packet, version);
  fuzz::require(size >= 2);
  const std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[size]);
  fuzz::require(encode(packet, version, block.get()) == block.get() + size);

  Packet again;
  const DecodeResult result = decoder_for(packet, sender, version).decode({block.get(), size}, again);
  fuzz::require(result.kind == DecodeResult::Kind::kPacket && result.size == size);
  fuzz::require(type_of(again) == type_of(packet));
  fuzz::Reader before;
  fuzz::Reader after;
  std::visit(before, packet);
  std::visit(after, again);
  fuzz::require(before.sum() == after.sum());

  std::vector<std::uint8_t> bytes;
  fuzz::require(append(again, version, bytes));
  fuzz::require(bytes.size() == size && std::memcmp(bytes.data(), block.get(), size) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider choices(data, size);
  const auto maximum = choices.ConsumeIntegralInRange<std::uint32_t>(2, 200);
  const bool problem_information = choices.ConsumeBool();
  Maker maker(choices);
  Packet packet = maker.make();
  check(packet, maker.sender(), maker.version());

  const PeerLimits peer{maximum, problem_information};
  std::visit(
      [&](auto& concrete) {
        if constexpr (requires { fit(concrete, maker.version(), peer); }) {
          if (!fit(concrete, maker.version(), peer)) return;
          fuzz::require(encoded_size(concrete, maker.version()) <= maximum);
          check(packet, maker.sender(), maker.version());
        }
      },
      packet);
  return 0;
}
