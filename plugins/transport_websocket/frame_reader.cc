#include "plugins/transport_websocket/frame_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/utf8.h"

namespace mqloop::websocket {

namespace {

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

void violated(FrameReader::Result& result, CloseCode code, std::string_view reason) {
  result.close = code;
  result.reason = reason;
  result.is_violation = true;
}

// RFC 6455, 7.4: those of the protocol and its registry that may be sent, and what applications use.
bool may_be_sent(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool is_text(std::string reason) {
  std::replace(reason.begin(), reason.end(), '\0', ' ');
  return is_utf8_without_nul(reason);
}

}  // namespace

FrameReader::Result FrameReader::take(std::span<std::uint8_t> bytes) {
  Result result;
  std::size_t at = 0;
  while (at != bytes.size() && !closed_) {
    if (!in_payload_) {
      header_[header_size_++] = bytes[at++];
      check_header(result);
      if (result.is_violation) break;
      if (header_size_ == header_needed_) header_complete();
    } else {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(missing_, bytes.size() - at));
      if (is_control()) {
        if (control_ == nullptr) control_ = std::make_unique<Control>();
        unmask(bytes.data() + at, reinterpret_cast<std::uint8_t*>(control_->bytes.data()) + control_->size, part);
        control_->size += part;
      } else {
        unmask(bytes.data() + at, bytes.data() + result.payload, part);
        result.payload += part;
      }
      at += part;
      missing_ -= part;
    }
    if (in_payload_ && missing_ == 0) frame_complete(result);
    if (result.is_violation) break;
  }
  return result;
}

// `to` is `from` or lies before it. Eight bytes at a time go by two copies of the mask.
void FrameReader::unmask(const std::uint8_t* from, std::uint8_t* to, std::size_t size) noexcept {
  std::array<std::uint8_t, 2 * kMaskSize> twice;
  std::memcpy(twice.data(), mask_.data(), kMaskSize);
  std::memcpy(twice.data() + kMaskSize, mask_.data(), kMaskSize);
  std::uint64_t mask = 0;
  std::memcpy(&mask, twice.data(), sizeof mask);
  std::size_t i = 0;
  for (; i + sizeof mask <= size; i += sizeof mask) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + i, sizeof word);
    word ^= mask;
    std::memcpy(to + i, &word, sizeof word);
  }
  for (; i != size; ++i) to[i] = from[i] ^ mask_[i % kMaskSize];
  std::rotate(mask_.begin(), mask_.begin() + size % kMaskSize, mask_.end());
}

// What the byte that came last says.
void FrameReader::check_header(Result& result) const noexcept {
  constexpr CloseCode kError = CloseCode::kProtocolError;
  if (header_size_ == 1) {
    const std::uint8_t opcode = header_[0] & 0x0F;
    if ((header_[0] & kReserved) != 0) return violated(result, kError, "reserved bits");
    if (opcode > kPong || (opcode > kBinary && opcode < kClose)) return violated(result, kError, "reserved opcode");
    if (is_control() && (header_[0] & kFin) == 0) return violated(result, kError, "fragmented control frame");
    if (!is_control() && (opcode == kContinuation) != message_open_) {
      return violated(result, kError, message_open_ ? "new message inside a message" : "nothing to continue");
    }
    if (opcode == kText) return violated(result, CloseCode::kUnsupportedData, "binary frames only");
  } else if (header_size_ == 2) {
    if ((header_[1] & kMasked) == 0) return violated(result, kError, "unmasked frame");
    if (is_control() && (header_[1] & 0x7F) > kLongestControl) {
      return violated(result, kError, "control frame too long");
    }
  } else if (header_size_ == 3 && header_needed_ == header_.size() && (header_[2] & 0x80) != 0) {
    return violated(result, kError, "length above 63 bits");
  }
}

// As far as it was known to go: the second byte tells how long the header is.
void FrameReader::header_complete() noexcept {
  const std::uint8_t length = header_[1] & 0x7F;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (header_size_ == 2) {
    header_needed_ = static_cast<std::uint8_t>(2 + extended + kMaskSize);
    return;
  }
  missing_ = extended == 0 ? length : 0;
  for (std::size_t i = 0; i != extended; ++i) missing_ = missing_ << 8 | header_[2 + i];
  std::copy_n(header_.begin() + header_needed_ - kMaskSize, kMaskSize, mask_.begin());
  in_payload_ = true;
}

void FrameReader::frame_complete(Result& result) {
  in_payload_ = false;
  header_size_ = 0;
  header_needed_ = 2;
  if (!is_control()) {
    message_open_ = (header_[0] & kFin) == 0;
    return;
  }
  const std::unique_ptr<Control> control = std::move(control_);
  std::string payload(control == nullptr ? "" : std::string_view(control->bytes.data(), control->size));
  const std::uint8_t opcode = header_[0] & 0x0F;
  if (opcode == kPing) result.ping = std::move(payload);
  if (opcode != kClose) return;
  closed_ = true;
  close_frame(result, payload);
}

void FrameReader::close_frame(Result& result, std::string_view payload) {
  if (payload.empty()) {
    result.close = CloseCode::kNormal;
    return;
  }
  if (payload.size() == 1) return violated(result, CloseCode::kProtocolError, "close code of one byte");
  const unsigned code = static_cast<std::uint8_t>(payload[0]) << 8 | static_cast<std::uint8_t>(payload[1]);
  if (!may_be_sent(code)) return violated(result, CloseCode::kProtocolError, "close code");
  if (!is_text(std::string(payload.substr(2)))) {
    return violated(result, CloseCode::kInvalidPayload, "close reason is no UTF-8");
  }
  result.close = static_cast<CloseCode>(code);
  result.reason = payload.substr(2);
}

}  // namespace mqloop::websocket
