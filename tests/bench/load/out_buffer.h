// What one connection has to send. Whoever adds a packet gets the place for it; over WebSocket the frames are put
// around the packets here, one a packet or one for all of a round. Allocates only while it grows.
#pragma once

#include <cstdint>
#include <vector>

namespace mqloop::load {

class OutBuffer {
 public:
  enum class Framing : uint8_t { kNone, kRound, kPacket };

  // `frames` counts the frames that are begun.
  void frame_as(Framing framing, uint64_t* frames) {
    framing_ = framing;
    frames_ = frames;
  }

  // Place for one MQTT packet of so many bytes, valid until the next call.
  char* packet(uint32_t size) {
    if (framing_ != Framing::kNone) [[unlikely]]
      return framed_packet(size);
    return raw(size);
  }
  // Place for bytes outside of any frame.
  char* raw(uint32_t size);

  // What is added from now on waits for release(); an upgrade has to be answered first.
  void hold() { held_from_ = end_; }
  void release() { held_from_ = kNone; }
  // Ends the open frame, if there is one.
  void seal();

  bool is_empty() const { return begin_ == end_; }
  const char* data() const { return bytes_.data() + begin_; }
  // How much may be sent now. An open frame is sealed for it.
  uint32_t sendable() {
    if (held_from_ != kNone) return held_from_ - begin_;
    seal();
    return end_ - begin_;
  }
  void consume(uint32_t size);
  void clear();

 private:
  static constexpr uint32_t kNone = ~0u;

  char* framed_packet(uint32_t size);
  void make_room(uint32_t size);

  std::vector<char> bytes_;  // used as far as end_
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  uint32_t frame_start_ = kNone;  // of the open frame: a gap for its header
  uint32_t held_from_ = kNone;
  Framing framing_ = Framing::kNone;
  uint64_t* frames_ = nullptr;
};

}  // namespace mqloop::load
