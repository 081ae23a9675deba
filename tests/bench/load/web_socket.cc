#include "tests/bench/load/web_socket.h"

#include <strings.h>

#include <algorithm>
#include <cstring>

#include "tests/bench/load/base.h"

namespace mqloop::load {

namespace {

// The key of the RFC's example: a constant, so that checking the answer costs no SHA-1.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  return line;
}

// Of the header `name`, or nothing when the line is another one.
std::string_view value_of(std::string_view line, std::string_view name) {
  if (line.size() < name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0) return {};
  line.remove_prefix(name.size());
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
  return line;
}

void check_upgrade(std::string_view answer) {
  const std::string_view status = next_line(answer);
  if (!status.starts_with("HTTP/1.1 101")) {
    die("upgrade refused: %.*s", static_cast<int>(std::min<size_t>(status.size(), 80)), status.data());
  }
  bool accepted = false;
  bool protocol = false;
  while (!answer.empty()) {
    const std::string_view line = next_line(answer);
    accepted = accepted || value_of(line, "Sec-WebSocket-Accept:") == kAccept;
    protocol = protocol || value_of(line, "Sec-WebSocket-Protocol:") == "mqtt";
    if (!value_of(line, "Sec-WebSocket-Extensions:").empty()) die("the broker chose an extension that nobody offered");
  }
  if (!accepted) die("wrong Sec-WebSocket-Accept");
  if (!protocol) die("subprotocol mqtt not chosen");
}

}  // namespace

uint32_t write_frame_header(char* out, uint8_t opcode, uint32_t payload) {
  const uint32_t size = frame_header_size(payload);
  std::memset(out, 0, size);
  out[0] = static_cast<char>(0x80 | opcode);
  if (size == 6) {
    out[1] = static_cast<char>(0x80 | payload);
  } else {
    out[1] = static_cast<char>(0x80 | (size == 8 ? 126 : 127));
    char* end = out + size - 4;  // of the length; the mask key follows
    for (int i = 1; i <= (size == 8 ? 2 : 4); ++i, payload >>= 8) end[-i] = static_cast<char>(payload);
  }
  return size;
}

std::string upgrade_request(const std::string& host, int port, const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + ":" + std::to_string(port) +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + std::string(kKey) +
         "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
}

size_t WebSocketReader::read(char*& begin, char* fresh, char* end, FrameSink& sink) {
  header_size_ = 0;
  char* packets = begin;  // MQTT bytes that are still to be handled end here:
  char* packets_end = fresh;
  char* at = fresh;  // and bytes that are still to be looked at start here
  if (!upgraded_) {
    at = read_upgrade(begin, end, sink);
    if (at == nullptr) return static_cast<size_t>(end - begin);
    packets = packets_end = at;
  }
  while (at < end) {
    if (missing_ == 0) {
      at = read_header(at, end, sink);
      continue;
    }
    const auto size = static_cast<size_t>(std::min<uint64_t>(missing_, static_cast<uint64_t>(end - at)));
    missing_ -= size;
    if (opcode_ >= kCloseFrame) {
      read_control(at, size, sink);
      at += size;
      continue;
    }
    const auto pending = static_cast<size_t>(packets_end - packets);  // a packet that the end of a frame has cut
    if (pending == 0) {
      packets = at;
      packets_end = at + size;
    } else if (packets_end == at) {
      packets_end += size;
    } else if (pending <= size) {
      packets = static_cast<char*>(std::memmove(at - pending, packets, pending));
      packets_end = at + size;
    } else {
      std::memmove(packets_end, at, size);
      packets_end += size;
    }
    at += size;
    packets = sink.on_packets(packets, packets_end);
    if (sink.is_closed()) return 0;
  }
  begin = packets;
  return static_cast<size_t>(packets_end - packets);
}

// Past the answer to the upgrade, or nullptr while it is not whole.
char* WebSocketReader::read_upgrade(char* begin, char* end, FrameSink& sink) {
  constexpr size_t kLongestAnswer = 16384;
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::string_view text(begin, static_cast<size_t>(end - begin));
  const size_t at = text.find(kEnd);
  if (at == std::string_view::npos) {
    if (text.size() > kLongestAnswer) die("no end of the answer to the upgrade request");
    return nullptr;
  }
  check_upgrade(text.substr(0, at));
  upgraded_ = true;
  sink.on_upgraded();
  return begin + at + kEnd.size();
}

// Past the header, or `end` with what there is of it kept.
char* WebSocketReader::read_header(char* at, char* end, FrameSink& sink) {
  const auto there = static_cast<size_t>(end - at);
  const uint8_t length = there < 2 ? 0 : byte_of(at[1]);
  const size_t size = length == 126 ? 4 : length == 127 ? 10 : 2;
  if (there < size) {
    std::memcpy(header_, at, there);
    header_size_ = static_cast<uint8_t>(there);
    return end;
  }
  const uint8_t first = byte_of(at[0]);
  if ((first & 0x70) != 0) die("reserved bits in a WebSocket frame");
  if ((length & 0x80) != 0) die("masked frame from the broker");
  missing_ = size == 2 ? length : 0;
  for (size_t i = 2; i < size; ++i) missing_ = missing_ << 8 | byte_of(at[i]);
  opcode_ = first & 15;
  control_size_ = 0;
  sink.on_frame();
  const bool last = (first & 0x80) != 0;
  if (opcode_ >= kCloseFrame) {
    if (opcode_ > kPongFrame || missing_ > sizeof control_ || !last) die("bad control frame (opcode %d)", opcode_);
    if (missing_ == 0) sink.on_control(opcode_, {});
  } else {
    if (opcode_ != (fragmented_ ? 0 : kBinaryFrame)) die("unexpected WebSocket opcode %d", opcode_);
    fragmented_ = !last;
  }
  return at + size;
}

void WebSocketReader::read_control(const char* at, size_t size, FrameSink& sink) {
  std::memcpy(control_ + control_size_, at, size);
  control_size_ = static_cast<uint8_t>(control_size_ + size);
  if (missing_ == 0) sink.on_control(opcode_, {control_, control_size_});
}

}  // namespace mqloop::load
