// Takes a client's frames apart (RFC 6455, 5): bytes in, the payload of its messages out. It may be cut off at any
// byte, and goes on there with the next ones. No I/O, no library; belongs to its connection, and moves with it.
//
//   between frames -> header -> payload -> between frames
//
// A client that does not mask, fragments its control frames or tells lengths as it should not is found out with the
// byte that tells it, as long as the connection lives. Messages of text there are none [MQTT-6.0.0-1].
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mqloop::websocket {

enum class CloseCode : std::uint16_t {
  kNone = 0,
  kNormal = 1000,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kInvalidPayload = 1007,
};

class FrameReader {
 public:
  struct Result {
    std::size_t payload = 0;          // bytes of it, at the front of what was given
    std::optional<std::string> ping;  // the last of those that came: it is the one to be answered
    // What a close frame is to be answered with: the code and reason of the client's, or those of its violation, after
    // which nothing more may be given. What comes behind a close frame counts as nothing.
    CloseCode close = CloseCode::kNone;
    std::string reason = {};
    bool is_violation = false;
  };

  // The next bytes of the client; the payload in them is left in their place.
  Result take(std::span<std::uint8_t> bytes);

 private:
  static constexpr std::size_t kMaskSize = 4;
  static constexpr std::size_t kLongestControl = 125;
  struct Control {
    std::array<char, kLongestControl> bytes;
    std::size_t size = 0;
  };

  void check_header(Result& result) const noexcept;
  void header_complete() noexcept;
  void frame_complete(Result& result);
  static void close_frame(Result& result, std::string_view payload);
  void unmask(const std::uint8_t* from, std::uint8_t* to, std::size_t size) noexcept;
  [[nodiscard]] bool is_control() const noexcept { return (header_[0] & 0x08) != 0; }

  std::array<std::uint8_t, 14> header_{};
  std::uint8_t header_size_ = 0;
  std::uint8_t header_needed_ = 2;
  std::array<std::uint8_t, kMaskSize> mask_{};  // its first byte is for the payload's next one
  bool in_payload_ = false;
  bool message_open_ = false;  // a message has begun in an earlier frame and has not ended
  bool closed_ = false;
  std::uint64_t missing_ = 0;         // of the frame's payload
  std::unique_ptr<Control> control_;  // of a control frame, what has come of its payload
};

}  // namespace mqloop::websocket
