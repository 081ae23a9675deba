// WebSocket (RFC 6455) as a client speaks it: the upgrade, the header of a masked frame, and a reader that hands on the
// MQTT bytes of incoming frames where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mqloop::load {

inline constexpr uint8_t kBinaryFrame = 2;
inline constexpr uint8_t kCloseFrame = 8;
inline constexpr uint8_t kPingFrame = 9;
inline constexpr uint8_t kPongFrame = 10;
inline constexpr uint32_t kLargestFrameHeader = 14;

// Of a frame with so many bytes of payload: 6, 8 or 14.
inline uint32_t frame_header_size(uint32_t payload) { return payload < 126 ? 6 : payload < 65536 ? 8 : 14; }
// Writes the header of a masked frame and returns its size. The mask key is 0: legal, and free to apply.
uint32_t write_frame_header(char* out, uint8_t opcode, uint32_t payload);

std::string upgrade_request(const std::string& host, int port, const std::string& path);

// Who gets what a WebSocketReader reads.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // Handles the whole packets of [begin, end) and returns where the first that is not whole starts.
  virtual char* on_packets(char* begin, char* end) = 0;
  virtual bool is_closed() const = 0;
  virtual void on_upgraded() = 0;
  virtual void on_frame() = 0;  // its header is read
  virtual void on_control(uint8_t opcode, std::string_view payload) = 0;
};

// The incoming half of one connection. Ends the program when the broker breaks the protocol.
class WebSocketReader {
 public:
  // Before what is read next the owner puts the bytes it was told to keep, and these.
  std::string_view cut_header() const { return {header_, header_size_}; }

  // [begin, fresh) was kept from before, cut_header() and what was read lie in [fresh, end). Returns the size of what
  // is to be kept; it starts at `begin`, which is moved there.
  size_t read(char*& begin, char* fresh, char* end, FrameSink& sink);

 private:
  char* read_upgrade(char* begin, char* end, FrameSink& sink);
  char* read_header(char* at, char* end, FrameSink& sink);
  void read_control(const char* at, size_t size, FrameSink& sink);

  bool upgraded_ = false;
  bool fragmented_ = false;
  uint8_t opcode_ = 0;
  uint8_t header_size_ = 0;
  uint8_t control_size_ = 0;
  uint64_t missing_ = 0;  // payload still to come of the current frame
  char header_[10];       // a frame header that was cut by the end of a read
  char control_[125];     // payload of a control frame
};

}  // namespace mqloop::load
