#include "core/mqtt/packet.h"

namespace mqloop::mqtt {
namespace {

struct TypeOf {
  PacketType operator()(const std::monostate&) const noexcept { return PacketType::kReserved; }
  PacketType operator()(const ConnectPacket&) const noexcept { return PacketType::kConnect; }
  PacketType operator()(const ConnackPacket&) const noexcept { return PacketType::kConnack; }
  PacketType operator()(const PublishPacket&) const noexcept { return PacketType::kPublish; }
  PacketType operator()(const AckPacket& packet) const noexcept { return packet.type; }
  PacketType operator()(const SubscribePacket&) const noexcept { return PacketType::kSubscribe; }
  PacketType operator()(const SubackPacket&) const noexcept { return PacketType::kSuback; }
  PacketType operator()(const UnsubscribePacket&) const noexcept { return PacketType::kUnsubscribe; }
  PacketType operator()(const UnsubackPacket&) const noexcept { return PacketType::kUnsuback; }
  PacketType operator()(const PingreqPacket&) const noexcept { return PacketType::kPingreq; }
  PacketType operator()(const PingrespPacket&) const noexcept { return PacketType::kPingresp; }
  PacketType operator()(const DisconnectPacket&) const noexcept { return PacketType::kDisconnect; }
  PacketType operator()(const AuthPacket&) const noexcept { return PacketType::kAuth; }
};

}  // namespace

PacketType type_of(const Packet& packet) noexcept { return std::visit(TypeOf{}, packet); }

}  // namespace mqloop::mqtt
