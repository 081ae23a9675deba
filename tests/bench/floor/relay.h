// The cost floor: the least that a relay on one thread with one epoll set can do for the scenarios of tests/bench/load
// that keep no state. It frames the incoming bytes, looks the topic up once a connection, copies each packet into every
// subscriber's buffer and writes each buffer once a round. No sessions, no retained messages, no wildcard but a last
// `+`, packet identifiers passed on, nothing validated, versions not converted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/bench/floor/connection.h"

namespace mqloop::floor {

struct Mode {
  bool web_socket = false;
  bool each = false;  // one send a message: what not coalescing costs
  bool raw = false;   // bytes between a pair are passed on without a look at them
};

class Relay {
 public:
  explicit Relay(Mode mode);

  // The port that is listened on, chosen by the system when `port` is 0; 0 when that failed.
  uint16_t listen(uint16_t port);
  [[noreturn]] void run();

 private:
  void accept_all();
  void on_readable(Connection& connection);
  // Each handles what is whole in [begin, end) and returns where the rest starts.
  char* handle_packets(Connection& connection, char* begin, char* end);
  char* handle_frames(Connection& connection, char* begin, char* end);
  char* handle_upgrade(Connection& connection, char* begin, char* end);

  void handle_packet(Connection& connection, std::string_view packet, char* body);
  void handle_connect(Connection& connection, const char* body);
  void handle_publish(Connection& connection, std::string_view packet, const char* body);
  void handle_subscribe(Connection& connection, const char* body, const char* end);
  Topic* route_of(Connection& connection, std::string_view topic);

  void put(Connection& connection, std::string_view packet);
  void put_raw(Connection& connection, std::string_view bytes);
  void mark(Connection& connection);
  void flush(Connection& connection);
  void bury(Connection& connection);

  const Mode mode_;
  int epoll_ = -1;
  int listener_ = -1;
  std::unique_ptr<char[]> read_buffer_;
  std::unordered_map<std::string, Topic> topics_;  // `a/b`, or `a/` for `a/+`
  std::vector<Connection*> dirty_;
  std::vector<std::unique_ptr<Connection>> buried_;  // freed at the end of the round
};

}  // namespace mqloop::floor
