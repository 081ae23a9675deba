// The loop: one epoll set, one read buffer for all connections, one send a connection and turn. Nothing is allocated
// per message, and of what comes in little is parsed, so that the generator costs less than the broker it loads.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/load/connection.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/packets.h"

namespace mqloop::load {

// What the loop has seen since it was made.
struct Counters {
  uint64_t connects_failed = 0;
  uint64_t closed = 0;    // by the broker
  uint64_t refused = 0;   // reason codes of SUBACK and UNSUBACK
  uint64_t negative = 0;  // reason codes of PUBACK, PUBREC and PUBCOMP
  uint64_t duplicates = 0;
  uint64_t reads = 0, writes = 0;
  uint64_t frames_in = 0, frames_out = 0;
};

class Loop {
 public:
  explicit Loop(const Options& options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Handler* handler() const { return handler_; }
  void set_handler(Handler* handler) { handler_ = handler; }
  const Counters& counters() const { return counters_; }
  // Loopback connections come from so many addresses in turn, since one has 28,000 ports.
  void use_sources(uint64_t count) { sources_ = options_.source_addresses > 0 ? options_.source_addresses : count; }

  // Starts to connect; Handler::on_up or on_close follows. Not so when fd stays -1: then the attempt failed at once.
  void open(Connection& connection, const ConnectPacket& connect);
  void close(Connection& connection);
  // DISCONNECT, and closed without waiting.
  void leave(Connection& connection);

  // Place for one packet that is sent at the next flush_all().
  char* room(Connection& connection, uint32_t size) {
    mark(connection);
    return connection.out.packet(size);
  }
  void put(Connection& connection, std::string_view packet) {
    std::memcpy(room(connection, static_cast<uint32_t>(packet.size())), packet.data(), packet.size());
  }

  // Waits for events, `timeout_ns` at most (and never longer than 0.2 s), and handles them.
  void turn(uint64_t timeout_ns);
  void flush(Connection& connection);
  void flush_all();
  // Turns for so long (times --settle), with whatever comes.
  void settle(double seconds);

 private:
  class Frames;

  void mark(Connection& connection) {
    if (connection.is_dirty) return;
    connection.is_dirty = true;
    dirty_.push_back(&connection);
  }
  void bind_source(int fd);
  void want_writable(Connection& connection, bool wanted);
  void lose(Connection& connection);
  void on_readable(Connection& connection);
  // Handles the whole packets of [begin, end); where the rest starts.
  char* handle_packets(Connection& connection, char* begin, char* end);
  void handle_packet(Connection& connection, uint8_t first, const char* body, const char* end);
  void handle_publish(Connection& connection, uint8_t first, const char* body, const char* end);
  void handle_acks(Connection& connection, const char* codes, const char* end, bool is_suback);
  void answer(Connection& connection, uint8_t first, const char* packet_id);
  void on_control_frame(Connection& connection, uint8_t opcode, std::string_view payload);

  const Options& options_;
  Handler* handler_ = nullptr;
  Counters counters_;
  int epoll_;
  std::vector<Connection*> dirty_;
  std::unique_ptr<char[]> read_buffer_;
  sockaddr_in broker_{};
  uint64_t next_source_ = 0;
  uint64_t sources_ = 1;
  std::string upgrade_;
  uint64_t end_ns_;  // of the program, at the latest
};

}  // namespace mqloop::load
