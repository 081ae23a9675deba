// A client of the floor: where its messages go, and what waits to be sent to it, framed when it came over WebSocket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mqloop::floor {

struct Connection;

struct Topic {
  std::vector<Connection*> subscribers;
  std::vector<Connection*> group;  // one of them gets each message, in turn
  size_t turn = 0;
};

struct Connection {
  int fd = -1;
  uint8_t version = 4;
  bool is_dirty = false;
  bool wants_writable = false;
  bool is_dead = false;
  std::string cut;  // a packet or frame whose end has not come
  // Where the messages of this connection went last time.
  std::string last_topic;
  Topic* last_route = nullptr;
  std::vector<Topic*> member_of;

  std::string out;
  size_t sent = 0;  // of out
  // Over WebSocket: whether the upgrade is done, and whether `out` ends in a frame that is still growing.
  bool is_upgraded = false;
  bool has_open_frame = false;
  size_t frame_start = 0;  // a gap for the header

  // One frame for all that is added until seal().
  void open_frame();
  void seal();
};

// Of an unmasked frame; returns its size: 2, 4 or 10.
size_t write_frame_header(char* out, uint8_t opcode, size_t payload);

}  // namespace mqloop::floor
