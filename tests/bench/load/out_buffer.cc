#include "tests/bench/load/out_buffer.h"

#include <algorithm>
#include <cstring>

#include "tests/bench/load/web_socket.h"

namespace mqloop::load {

char* OutBuffer::raw(uint32_t size) {
  if (end_ + size > bytes_.size()) make_room(size);
  char* place = bytes_.data() + end_;
  end_ += size;
  return place;
}

void OutBuffer::make_room(uint32_t size) {
  if (begin_ != 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    if (frame_start_ != kNone) frame_start_ -= begin_;
    if (held_from_ != kNone) held_from_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + size > bytes_.size()) bytes_.resize(std::max({size_t{256}, bytes_.size() * 2, size_t{end_} + size}));
}

char* OutBuffer::framed_packet(uint32_t size) {
  if (framing_ == Framing::kPacket) {
    char* place = raw(frame_header_size(size) + size);
    ++*frames_;
    return place + write_frame_header(place, kBinaryFrame, size);
  }
  if (frame_start_ != kNone) return raw(size);
  char* place = raw(kLargestFrameHeader + size);
  frame_start_ = end_ - size - kLargestFrameHeader;
  return place + kLargestFrameHeader;
}

void OutBuffer::seal() {
  if (frame_start_ == kNone) return;
  char* gap = bytes_.data() + frame_start_;
  const uint32_t payload = end_ - frame_start_ - kLargestFrameHeader;
  const uint32_t unused = kLargestFrameHeader - frame_header_size(payload);
  if (begin_ == frame_start_) {
    write_frame_header(gap + unused, kBinaryFrame, payload);
    begin_ += unused;
  } else {  // older bytes still wait before it
    std::memmove(gap + kLargestFrameHeader - unused, gap + kLargestFrameHeader, payload);
    end_ -= unused;
    write_frame_header(gap, kBinaryFrame, payload);
  }
  frame_start_ = kNone;
  ++*frames_;
}

void OutBuffer::consume(uint32_t size) {
  constexpr size_t kWorthKeeping = 1 << 20;
  begin_ += size;
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  if (bytes_.size() > kWorthKeeping) clear();
}

void OutBuffer::clear() {
  bytes_ = {};
  begin_ = end_ = 0;
  frame_start_ = held_from_ = kNone;
}

}  // namespace mqloop::load
