// Where in its frames a client is (RFC 6455, 5): it watches the bytes go by and decodes nothing. With it the frames of
// a connection can be cut anywhere and continued by another reader, and it sees what libwebsockets 4 lets pass. Used
// while a connection opens, until it is known where its session lives; belongs to its connection.
//
//   between frames -> header -> payload -> between frames
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mqloop::websocket {

enum class CloseCode : std::uint16_t {
  kNone = 0,
  kNormal = 1000,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kInvalidPayload = 1007,
};

class FrameTracker {
 public:
  struct Step {
    std::size_t good = 0;  // bytes that may go on to whoever decodes them; nothing counts behind a close frame
    CloseCode code = CloseCode::kNone;
    std::string_view reason = {};
  };

  // The next bytes; after a violation nothing more may come.
  Step take(std::span<const std::uint8_t> bytes);

  // What a reader that starts afresh must be given first to be where the client is now.
  [[nodiscard]] std::vector<std::uint8_t> prefix() const;

 private:
  [[nodiscard]] Step check_header() noexcept;
  [[nodiscard]] bool is_control() const noexcept { return (header_[0] & 0x08) != 0; }
  void header_complete() noexcept;
  void frame_complete() noexcept;

  std::array<std::uint8_t, 14> header_{};
  std::array<std::uint8_t, 125> control_{};  // payload so far of a control frame, still masked
  std::size_t header_size_ = 0;
  std::size_t header_needed_ = 2;
  std::size_t control_size_ = 0;
  std::uint64_t payload_ = 0;  // of the frame
  std::uint64_t missing_ = 0;  // of that, what has not come yet
  bool in_payload_ = false;
  bool message_open_ = false;  // a message has begun in an earlier frame and has not ended
  bool closed_ = false;
};

}  // namespace mqloop::websocket
