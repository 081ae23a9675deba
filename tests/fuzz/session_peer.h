// What session_fuzz.cc makes of one network connection: a Line reads with the decoders of core/mqtt what was sent to
// the broker and what came back, and holds the broker to what one connection can see of the standard. The Ledger,
// shared by all lines, knows who may have subscribed what and until when, so that a delivery which nobody asked for is
// seen. A broken promise aborts: the fuzzer keeps the input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/mqtt/decoder.h"
#include "core/mqtt/topic.h"
#include "core/mqtt/topic_alias.h"
#include "tests/support/simulated_network.h"

namespace mqloop::sim::fuzz {

inline void require(bool promise, const char* what) {
  if (promise) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Time here is a count of things that happened.
class Ledger {
 public:
  static constexpr std::uint64_t kForEver = ~std::uint64_t{0};

  explicit Ledger(std::uint64_t salt) noexcept : salt_(salt) {}

  [[nodiscard]] std::uint64_t now() const noexcept { return now_; }
  std::uint64_t tick() noexcept { return ++now_; }

  // A payload that tells when it was sent, and that no mutation makes of another one.
  [[nodiscard]] std::string stamp() {
    const std::uint64_t at = tick();
    return "#" + std::to_string(at) + ":" + std::to_string(mix(at));
  }
  // When a payload was sent; 0, before everything, for what carries no stamp.
  [[nodiscard]] std::uint64_t sent_at(std::string_view payload) const {
    if (payload.size() < 3 || payload.front() != '#') return 0;
    char* end = nullptr;
    const std::string text(payload);
    const std::uint64_t at = std::strtoull(text.c_str() + 1, &end, 10);
    if (*end != ':') return 0;
    const std::string sum = end + 1;
    return at <= now_ && sum == std::to_string(mix(at)) ? at : 0;
  }

  struct Held {
    LinkId line;
    std::string filter;
    std::uint64_t ended = kForEver;
  };
  [[nodiscard]] std::vector<Held>& of(const std::string& identity) { return held_[identity]; }

  // May a message of this topic, sent at that time, still come to this client?
  [[nodiscard]] bool may_get(const std::string& identity, std::string_view topic, std::uint64_t sent_at) {
    const std::vector<Held>& held = of(identity);
    return std::any_of(held.begin(), held.end(), [&](const Held& one) {
      const auto shared = mqtt::parse_shared(one.filter);
      return one.ended > sent_at && mqtt::matches(shared ? shared->filter : one.filter, topic);
    });
  }

 private:
  [[nodiscard]] std::uint64_t mix(std::uint64_t value) const noexcept { return (value ^ salt_) * 0x9e3779b97f4a7c15U; }

  std::uint64_t salt_;
  std::uint64_t now_ = 0;
  std::map<std::string, std::vector<Held>> held_;
};

class Line {
 public:
  Line(LinkId link, Ledger& ledger, const SimulatedNetwork& network, const std::map<LinkId, Line>& lines)
      : link_(link), ledger_(ledger), network_(network), lines_(lines) {}

  [[nodiscard]] LinkId link() const noexcept { return link_; }
  [[nodiscard]] const std::string& identity() const noexcept { return identity_; }
  [[nodiscard]] bool is_dead() const { return !network_.is_open_at_broker(link_); }
  // The version of the CONNECT that was sent; nothing while none was.
  [[nodiscard]] std::optional<ProtocolVersion> version() const noexcept { return version_; }

  // ---- what the broker will read
  void sent(std::span<const std::uint8_t> bytes) {
    if (misread_) return;
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    for (;;) {
      mqtt::Packet packet;
      const mqtt::DecodeResult result = sender_.decode(std::span(out_).subspan(at), packet);
      misread_ = result.kind == mqtt::DecodeResult::Kind::kError;
      if (result.kind != mqtt::DecodeResult::Kind::kPacket) break;
      std::visit([this](const auto& one) { note(one); }, packet);
      at += result.size;
    }
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // ---- what it answers
  void received(std::span<const std::uint8_t> bytes) {
    if (!version_) return;  // a refusal of what is no CONNECT, in whatever form
    in_.insert(in_.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    for (;;) {
      mqtt::Packet packet;
      const mqtt::DecodeResult result = receiver_.decode(std::span(in_).subspan(at), packet);
      // A CONNECT of 5.0 may be refused in the form of 3.1.1 only where 5.0 is switched off, which it is not here.
      if (result.kind == mqtt::DecodeResult::Kind::kError) {
        for (std::size_t i = at; i != std::min(in_.size(), at + 64); ++i) std::fprintf(stderr, "%02x ", in_[i]);
        require(false, std::string(result.verdict().explanation).c_str());
      }
      if (result.kind != mqtt::DecodeResult::Kind::kPacket) break;
      require(!ended_, "the broker sent a packet after its DISCONNECT");
      std::visit([this](const auto& one) { judge(one); }, packet);
      at += result.size;
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // ---- what a client owes: taken by the driver, which answers or does not
  struct Owed {
    mqtt::PacketType type;
    std::uint16_t packet_id;
  };
  [[nodiscard]] std::optional<Owed> take_owed() {
    if (owed_.empty()) return {};
    const Owed first = owed_.front();
    owed_.erase(owed_.begin());
    return first;
  }

 private:
  struct Request {
    std::size_t filters;
    std::vector<std::size_t> ends;  // of the ledger's entries, for an UNSUBSCRIBE
  };

  // ---- sent
  void note(const mqtt::ConnectPacket& packet) {
    version_ = packet.version;
    identity_ = packet.client_id.empty() ? "assigned to " + std::to_string(link_) : std::string(packet.client_id);
    mqtt::DecoderLimits limits;
    if (const auto most = packet.properties.maximum_packet_size()) limits.maximum_packet_size = *most;
    receiver_ = mqtt::Decoder(mqtt::Role::kClient, limits);
    receiver_.set_version(packet.version);
    receiver_.set_authentication_method_used(packet.properties.authentication_method().has_value());
    const bool five = packet.version == ProtocolVersion::kV5;
    if (five) receive_maximum_ = packet.properties.receive_maximum();
    aliases_ = mqtt::InboundTopicAliases(static_cast<std::uint16_t>(
        five ? packet.properties.number(mqtt::PropertyId::kTopicAliasMaximum).value_or(0) : 0));
    // Whether this connection is sure to be the last one of its client: then a CONNACK without a session says that
    // nothing of the earlier ones is left.
    last_ = true;
    for (const auto& [link, line] : lines_) {
      if (link == link_ || line.identity_ != identity_) continue;
      if (!line.is_dead()) last_ = false;
      line.last_ = false;
    }
  }
  void note(const mqtt::PublishPacket& packet) {
    if (packet.qos != QoS::kAtMostOnce) ++expected_[{ack_of(packet.qos), packet.packet_id}];
  }
  void note(const mqtt::AckPacket& packet) {
    if (packet.type == mqtt::PacketType::kPubrel) ++expected_[{mqtt::PacketType::kPubcomp, packet.packet_id}];
    if (packet.type == mqtt::PacketType::kPuback || packet.type == mqtt::PacketType::kPubcomp ||
        (packet.type == mqtt::PacketType::kPubrec && is_error(packet.reason_code))) {
      in_flight_.erase(packet.packet_id);
    }
  }
  void note(const mqtt::SubscribePacket& packet) {
    Request request{0, {}};
    for (const mqtt::SubscriptionRequest& one : packet.subscriptions) {
      ledger_.of(identity_).push_back({link_, std::string(one.filter)});
      ++request.filters;
    }
    subscribes_[packet.packet_id].push_back(request);
  }
  void note(const mqtt::UnsubscribePacket& packet) {
    Request request{0, {}};
    const std::vector<Ledger::Held>& held = ledger_.of(identity_);
    for (const std::string_view filter : packet.filters) {
      ++request.filters;
      for (std::size_t i = 0; i != held.size(); ++i) {
        if (held[i].line == link_ && held[i].filter == filter) request.ends.push_back(i);
      }
    }
    unsubscribes_[packet.packet_id].push_back(request);
  }
  void note(const mqtt::PingreqPacket& /*packet*/) { ++pings_; }
  template <typename Other>
  void note(const Other& /*packet*/) {}

  // ---- received
  void judge(const mqtt::ConnackPacket& packet) {
    if (is_error(packet.reason_code)) {
      require(!packet.session_present, "Session Present with a refusal [MQTT-3.2.2-6]");
      ended_ = true;
      return;
    }
    sender_.connack_sent();
    if (packet.session_present || !last_ || version_ == ProtocolVersion::kV31) return;  // 3.1 does not say
    const std::uint64_t now = ledger_.tick();
    for (Ledger::Held& one : ledger_.of(identity_)) {
      if (one.line != link_) one.ended = std::min(one.ended, now);
    }
  }
  void judge(const mqtt::PublishPacket& packet) {
    std::string_view topic = packet.topic;
    if (const std::uint16_t alias = packet.properties.topic_alias(); alias != 0) {
      require(aliases_.resolve(alias, topic) == mqtt::Fault::kNone, "an alias that was not allowed or not set");
    }
    require(mqtt::validate_topic_name(topic).ok(), "a topic name that is none");
    const std::string_view payload(reinterpret_cast<const char*>(packet.payload.data()), packet.payload.size());
    require(ledger_.may_get(identity_, topic, ledger_.sent_at(payload)), "a delivery without a subscription");
    if (packet.qos == QoS::kAtMostOnce) return;
    require(in_flight_.insert(packet.packet_id).second, "a packet identifier that is in use [MQTT-2.2.1-4]");
    require(in_flight_.size() <= receive_maximum_, "more than the Receive Maximum [MQTT-3.3.4-9]");
    owed_.push_back(
        {packet.qos == QoS::kAtLeastOnce ? mqtt::PacketType::kPuback : mqtt::PacketType::kPubrec, packet.packet_id});
  }
  void judge(const mqtt::AckPacket& packet) {
    if (packet.type == mqtt::PacketType::kPubrel) {
      owed_.push_back({mqtt::PacketType::kPubcomp, packet.packet_id});
      return;
    }
    const auto found = expected_.find({packet.type, packet.packet_id});
    require(found != expected_.end() && found->second != 0, "an acknowledgement of nothing");
    --found->second;
    if (packet.type == mqtt::PacketType::kPubrec && !is_error(packet.reason_code)) {
      owed_.push_back({mqtt::PacketType::kPubrel, packet.packet_id});
    }
  }
  void judge(const mqtt::SubackPacket& packet) {
    (void)take(subscribes_, packet.packet_id, packet.reason_codes.size());  // [MQTT-3.8.4-6]
  }
  void judge(const mqtt::UnsubackPacket& packet) {
    const bool has_codes = version_ == ProtocolVersion::kV5;
    const Request request =
        take(unsubscribes_, packet.packet_id, has_codes ? std::optional(packet.reason_codes.size()) : std::nullopt);
    const std::uint64_t now = ledger_.tick();
    std::vector<Ledger::Held>& held = ledger_.of(identity_);
    for (const std::size_t i : request.ends) held[i].ended = std::min(held[i].ended, now);
  }
  void judge(const mqtt::PingrespPacket& /*packet*/) { require(pings_-- > 0, "a PINGRESP that nobody asked for"); }
  void judge(const mqtt::DisconnectPacket& packet) {
    require(version_ == ProtocolVersion::kV5, "DISCONNECT to a client of 3.x");
    require(is_error(packet.reason_code) || packet.reason_code == ReasonCode::kNormalDisconnection,
            "a code of clients");
    ended_ = true;
  }
  void judge(const mqtt::AuthPacket& /*packet*/) {}
  template <typename Other>
  void judge(const Other& /*packet*/) {
    require(false, "a packet that only clients send");
  }

  [[nodiscard]] static mqtt::PacketType ack_of(QoS qos) noexcept {
    return qos == QoS::kAtLeastOnce ? mqtt::PacketType::kPuback : mqtt::PacketType::kPubrec;
  }
  // The oldest request with this identifier and, where the answer tells, so many filters. A client that uses an
  // identifier again before the answer came may get the answers in any order: the publisher decides when.
  [[nodiscard]] static Request take(std::map<std::uint16_t, std::vector<Request>>& requests, std::uint16_t packet_id,
                                    std::optional<std::size_t> filters) {
    std::vector<Request>& waiting = requests[packet_id];
    const auto found = std::find_if(waiting.begin(), waiting.end(),
                                    [&](const Request& one) { return one.filters == filters.value_or(one.filters); });
    require(found != waiting.end(), "an answer to a request that was not made, or with another number of codes");
    Request first = std::move(*found);
    waiting.erase(found);
    return first;
  }

  LinkId link_;
  Ledger& ledger_;
  const SimulatedNetwork& network_;
  const std::map<LinkId, Line>& lines_;
  std::string identity_;
  std::optional<ProtocolVersion> version_;
  mutable bool last_ = false;

  mqtt::Decoder sender_{mqtt::Role::kServer};
  std::vector<std::uint8_t> out_;
  bool misread_ = false;  // the broker ends the connection here
  std::map<std::pair<mqtt::PacketType, std::uint16_t>, unsigned> expected_;
  std::map<std::uint16_t, std::vector<Request>> subscribes_;
  std::map<std::uint16_t, std::vector<Request>> unsubscribes_;
  int pings_ = 0;

  mqtt::Decoder receiver_{mqtt::Role::kClient};
  std::vector<std::uint8_t> in_;
  bool ended_ = false;
  mqtt::InboundTopicAliases aliases_;
  std::uint16_t receive_maximum_ = 65535;
  std::set<std::uint16_t> in_flight_;
  std::vector<Owed> owed_;
};

}  // namespace mqloop::sim::fuzz
