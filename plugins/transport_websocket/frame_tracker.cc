#include "plugins/transport_websocket/frame_tracker.h"

#include <algorithm>

namespace mqloop::websocket {

namespace {

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::size_t kMaskSize = 4;
constexpr std::uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPong = 10;

FrameTracker::Step protocol_error(std::string_view reason) { return {0, CloseCode::kProtocolError, reason}; }

void append_header(std::vector<std::uint8_t>& out, std::uint8_t first, std::uint64_t payload) {
  out.push_back(first);
  const std::size_t extended = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
  const auto length = static_cast<std::uint8_t>(extended == 0 ? payload : extended == 2 ? 126 : 127);
  out.push_back(kMasked | length);
  for (std::size_t i = extended; i-- != 0;) out.push_back(static_cast<std::uint8_t>(payload >> (8 * i)));
}

}  // namespace

FrameTracker::Step FrameTracker::take(std::span<const std::uint8_t> bytes) {
  std::size_t at = 0;
  while (at != bytes.size() && !closed_) {
    if (in_payload_) {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(missing_, bytes.size() - at));
      if (is_control()) {
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), part, control_.data() + control_size_);
        control_size_ += part;
      }
      missing_ -= part;
      at += part;
      if (missing_ == 0) frame_complete();
      continue;
    }
    header_[header_size_++] = bytes[at];
    Step step = check_header();
    if (step.code != CloseCode::kNone) {
      step.good = at;
      return step;
    }
    ++at;
    if (header_size_ == header_needed_) header_complete();
  }
  return {.good = at};
}

// What the byte that came last says.
FrameTracker::Step FrameTracker::check_header() noexcept {
  if (header_size_ == 1) {
    const std::uint8_t opcode = header_[0] & 0x0F;
    if ((header_[0] & kReserved) != 0) return protocol_error("reserved bits");
    if (opcode > kPong || (opcode > kBinary && opcode < kClose)) return protocol_error("reserved opcode");
    if (is_control() && (header_[0] & kFin) == 0) return protocol_error("fragmented control frame");
    if (!is_control() && (opcode == kContinuation) != message_open_) {
      return protocol_error(message_open_ ? "new message inside a message" : "nothing to continue");
    }
    // [MQTT-6.0.0-1]
    if (opcode == kText) return {0, CloseCode::kUnsupportedData, "binary frames only"};
  } else if (header_size_ == 2) {
    const std::uint8_t length = header_[1] & 0x7F;
    if ((header_[1] & kMasked) == 0) return protocol_error("unmasked frame");
    if (is_control() && length > control_.size()) return protocol_error("control frame too long");
    header_needed_ = 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + kMaskSize;
  } else if (header_size_ == 3 && header_needed_ == header_.size() && (header_[2] & 0x80) != 0) {
    return protocol_error("length above 63 bits");
  }
  return {};
}

void FrameTracker::header_complete() noexcept {
  const std::size_t extended = header_needed_ - kMaskSize - 2;
  payload_ = extended == 0 ? header_[1] & 0x7FU : 0;
  for (std::size_t i = 0; i != extended; ++i) payload_ = payload_ << 8 | header_[2 + i];
  missing_ = payload_;
  in_payload_ = true;
  if (missing_ == 0) frame_complete();
}

void FrameTracker::frame_complete() noexcept {
  if (!is_control()) message_open_ = (header_[0] & kFin) == 0;
  closed_ = (header_[0] & 0x0F) == kClose;
  in_payload_ = false;
  header_size_ = 0;
  header_needed_ = 2;
  control_size_ = 0;
}

std::vector<std::uint8_t> FrameTracker::prefix() const {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(sizeof *this);
  // The beginning of a message that goes on: an empty first fragment stands for it.
  if (message_open_) {
    append_header(bytes, kBinary, 0);
    bytes.insert(bytes.end(), kMaskSize, 0);
  }
  if (in_payload_ && !is_control()) {
    append_header(bytes, header_[0], missing_);
    const std::uint8_t* mask = header_.data() + header_needed_ - kMaskSize;
    for (std::size_t i = 0; i != kMaskSize; ++i) bytes.push_back(mask[(payload_ - missing_ + i) % kMaskSize]);
    return bytes;
  }
  bytes.insert(bytes.end(), header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
  bytes.insert(bytes.end(), control_.begin(), control_.begin() + static_cast<std::ptrdiff_t>(control_size_));
  return bytes;
}

}  // namespace mqloop::websocket
