// What a reactor tells, in a test's words: fills parcels as a shard does.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <mqloop/message.h>

#include "plugins/publisher_sqlite/parcel.h"

namespace mqloop::publisher_sqlite_test {

using publisher_sqlite::Entry;
using publisher_sqlite::EntryKind;
using publisher_sqlite::Parcel;
using publisher_sqlite::SessionEntry;

inline Ref<const Message> message(std::uint64_t number, std::string_view payload = "x", std::string_view topic = "t",
                                  QoS qos = QoS::kAtLeastOnce) {
  Message::Content content;
  content.topic = topic;
  content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  content.qos = qos;
  content.number = number;
  return Message::create(content);
}

struct To {
  std::uint64_t session = 0;
  std::uint64_t delivery = 0;
  const Message* message = nullptr;
  std::uint16_t packet_id = 0;
  QoS qos = QoS::kAtLeastOnce;
  std::string_view group = {};
  std::span<const std::uint32_t> identifiers = {};
};

inline std::uint64_t targets(std::initializer_list<std::uint32_t> reactors) {
  std::uint64_t mask = 0;
  for (const std::uint32_t reactor : reactors) mask |= std::uint64_t{1} << reactor;
  return mask;
}

class Script {
 public:
  explicit Script(std::uint32_t reactor) : parcel(std::make_unique<Parcel>(reactor)) {
    parcel->wall_now = WallTime(std::chrono::hours(1));
  }

  // {session, packet identifier} of QoS 2 publishes of durable sessions; the highest number of a message.
  Script& source(std::uint64_t turn, std::uint64_t to,
                 std::initializer_list<std::pair<std::uint64_t, std::uint16_t>> received = {},
                 std::uint64_t last_message = 0) {
    Entry& head = parcel->add(EntryKind::kSource);
    head.number = turn;
    head.session = to;
    head.message_number = last_message;
    head.count = static_cast<std::uint32_t>(received.size());
    for (const auto& [session, packet_id] : received) {
      Entry& entry = parcel->add(EntryKind::kPublished);
      entry.session = session;
      entry.packet_id = packet_id;
    }
    return *this;
  }
  Script& block(std::uint32_t source, std::uint64_t turn, std::initializer_list<To> recipients) {
    return block(source, turn, std::span(recipients.begin(), recipients.size()));
  }
  Script& block(std::uint32_t source, std::uint64_t turn, std::span<const To> recipients) {
    Entry& head = parcel->add(EntryKind::kRecipients);
    head.number = turn;
    head.session = source;
    head.count = static_cast<std::uint32_t>(recipients.size());
    for (const To& to : recipients) add(EntryKind::kRecipient, to);
    return *this;
  }
  Script& flush(std::uint64_t turn, bool waits = true, std::uint32_t acknowledged_early = 0) {
    Entry& entry = parcel->add(EntryKind::kFlush);
    entry.number = turn;
    entry.waits = waits;
    entry.count = acknowledged_early;
    return *this;
  }
  Script& delivered(const To& to, bool waits) { return add(EntryKind::kDelivered, to, waits); }
  Script& received(const To& to) { return add(EntryKind::kReceived, to, true); }
  Script& acknowledged(const To& to) { return add(EntryKind::kAcknowledged, to); }
  Script& returned(const To& to) { return add(EntryKind::kReturned, to); }
  Script& group_done(const To& to) { return add(EntryKind::kGroupDone, to); }
  Script& released(std::uint64_t session, std::uint16_t packet_id) {
    Entry& entry = parcel->add(EntryKind::kReleased);
    entry.session = session;
    entry.packet_id = packet_id;
    entry.waits = true;
    return *this;
  }
  Script& session(SessionEventKind kind, std::uint64_t number, std::string client_id = {}, bool connected = true) {
    Entry& entry = parcel->add(EntryKind::kSession);
    entry.detail = static_cast<std::uint32_t>(parcel->sessions.size());
    entry.waits = true;
    SessionEntry& state = parcel->sessions.emplace_back();
    state.kind = kind;
    state.number = number;
    state.client_id = std::move(client_id);
    state.expiry_interval = 100;
    state.connected = connected;
    return *this;
  }
  Script& subscribe(std::uint64_t session, std::string filter, bool removed = false) {
    Entry& entry = parcel->add(removed ? EntryKind::kUnsubscribe : EntryKind::kSubscribe);
    entry.detail = static_cast<std::uint32_t>(parcel->subscriptions.size());
    entry.waits = true;
    parcel->subscriptions.push_back({session, std::move(filter), QoS::kAtLeastOnce, 0, 0, removed});
    return *this;
  }
  Script& retained(std::uint64_t sequence, const Message& value, bool waits = true) {
    Entry& entry = parcel->add(EntryKind::kRetained);
    entry.number = sequence;
    entry.waits = waits;
    parcel->hold(entry, value);
    return *this;
  }
  Script& cleared(std::uint64_t sequence, std::string_view topic) {
    Entry& entry = parcel->add(EntryKind::kRetained);
    entry.number = sequence;
    entry.waits = true;
    parcel->set_text(entry, topic);
    return *this;
  }

  std::unique_ptr<Parcel> parcel;

 private:
  Script& add(EntryKind kind, const To& to, bool waits = false) {
    Entry& entry = parcel->add(kind);
    entry.session = to.session;
    entry.number = to.delivery;
    entry.packet_id = to.packet_id;
    entry.qos = static_cast<std::uint8_t>(to.qos);
    entry.durable = true;
    entry.waits = waits;
    if (to.message != nullptr) parcel->hold(entry, *to.message);
    parcel->set_detail(entry, to.group, to.identifiers);
    return *this;
  }
};

}  // namespace mqloop::publisher_sqlite_test
