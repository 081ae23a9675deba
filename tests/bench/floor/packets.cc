// What the relay does with each packet.
#include "tests/bench/floor/relay.h"

namespace mqloop::floor {

namespace {

size_t u16_at(const char* at) { return size_t{static_cast<uint8_t>(at[0])} << 8 | static_cast<uint8_t>(at[1]); }

struct Acknowledgement {
  Acknowledgement(uint8_t first, const char* packet_id)
      : bytes{static_cast<char>(first), 2, packet_id[0], packet_id[1]} {}
  operator std::string_view() const { return {bytes, sizeof bytes}; }  // NOLINT: it is one

  char bytes[4];
};

}  // namespace

char* Relay::handle_packets(Connection& connection, char* begin, char* end) {
  while (end - begin >= 2 && !connection.is_dead) {
    char* body = begin + 1;
    size_t length = 0;
    bool is_whole = false;
    for (unsigned shift = 0; body < end && !is_whole; shift += 7) {
      const auto digit = static_cast<uint8_t>(*body++);
      length |= size_t{digit & 127u} << shift;
      is_whole = (digit & 128) == 0;
    }
    if (!is_whole || static_cast<size_t>(end - body) < length) break;
    handle_packet(connection, {begin, static_cast<size_t>(body - begin) + length}, body);
    begin = body + length;
  }
  return begin;
}

void Relay::handle_packet(Connection& connection, std::string_view packet, char* body) {
  switch (static_cast<uint8_t>(packet.front()) >> 4) {
    case 1:
      return handle_connect(connection, body);
    case 3:
      return handle_publish(connection, packet, body);
    case 5:  // PUBREC
      return put(connection, Acknowledgement(0x62, body));
    case 6:  // PUBREL
      return put(connection, Acknowledgement(0x70, body));
    case 8:
      return handle_subscribe(connection, body, packet.data() + packet.size());
    case 12:  // PINGREQ
      return put(connection, {"\xD0\x00", 2});
    case 14:  // DISCONNECT
      return bury(connection);
    default:
      return;
  }
}

void Relay::handle_connect(Connection& connection, const char* body) {
  constexpr size_t kProtocolLevel = 6;
  connection.version = static_cast<uint8_t>(body[kProtocolLevel]);
  put(connection,
      connection.version == 5 ? std::string_view{"\x20\x03\x00\x00\x00", 5} : std::string_view{"\x20\x02\x00\x00", 4});
}

void Relay::handle_publish(Connection& connection, std::string_view packet, const char* body) {
  const std::string_view topic(body + 2, u16_at(body));
  if (Topic* route = route_of(connection, topic)) {
    for (Connection* subscriber : route->subscribers) put(*subscriber, packet);
    if (!route->group.empty()) put(*route->group[route->turn++ % route->group.size()], packet);
  }
  const int qos = packet.front() >> 1 & 3;
  if (qos != 0) put(connection, Acknowledgement(qos == 1 ? 0x40 : 0x50, topic.data() + topic.size()));
}

Topic* Relay::route_of(Connection& connection, std::string_view topic) {
  if (connection.last_topic == topic) return connection.last_route;
  connection.last_topic = topic;
  auto found = topics_.find(connection.last_topic);
  if (found == topics_.end()) found = topics_.find(connection.last_topic.substr(0, topic.rfind('/') + 1));
  connection.last_route = found == topics_.end() ? nullptr : &found->second;
  return connection.last_route;
}

void Relay::handle_subscribe(Connection& connection, const char* body, const char* end) {
  constexpr std::string_view kShared = "$share/";
  std::string codes(body, 2);
  const char* at = body + 2;
  if (connection.version == 5) {
    codes += '\0';
    at += 1 + static_cast<uint8_t>(*at);
  }
  while (at < end) {
    std::string filter(at + 2, u16_at(at));
    at += 2 + filter.size();
    codes += *at++;
    const bool is_shared = filter.starts_with(kShared);
    if (is_shared) filter.erase(0, filter.find('/', kShared.size()) + 1);
    if (filter.ends_with('+')) filter.pop_back();
    Topic& topic = topics_[filter];
    (is_shared ? topic.group : topic.subscribers).push_back(&connection);
    connection.member_of.push_back(&topic);
  }
  std::string packet{'\x90', static_cast<char>(codes.size())};
  put(connection, packet + codes);
}

}  // namespace mqloop::floor
