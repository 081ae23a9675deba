#include "tests/bench/floor/web_socket.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tests/bench/floor/connection.h"
#include "tests/bench/floor/sha1.h"

namespace mqloop::floor {

namespace {

constexpr size_t kLargestHeader = 10;

void unmask(char* bytes, size_t size, const char* key) {
  uint64_t mask = 0;
  std::memcpy(&mask, key, 4);
  std::memcpy(reinterpret_cast<char*>(&mask) + 4, key, 4);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, 8);
    word ^= mask;
    std::memcpy(bytes + i, &word, 8);
  }
  for (; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ key[i & 3]);
}

}  // namespace

size_t write_frame_header(char* out, uint8_t opcode, size_t payload) {
  const size_t extended = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
  out[0] = static_cast<char>(0x80 | opcode);
  out[1] = static_cast<char>(extended == 0 ? payload : extended == 2 ? 126 : 127);
  for (size_t i = 0; i < extended; ++i) out[2 + i] = static_cast<char>(payload >> (8 * (extended - 1 - i)));
  return 2 + extended;
}

void Connection::open_frame() {
  if (has_open_frame) return;
  has_open_frame = true;
  frame_start = out.size();
  out.append(kLargestHeader, '\0');
}

void Connection::seal() {
  if (!has_open_frame) return;
  has_open_frame = false;
  const size_t payload = out.size() - frame_start - kLargestHeader;
  char header[kLargestHeader];
  const size_t size = write_frame_header(header, 2, payload);
  size_t unused = kLargestHeader - size;
  if (sent == frame_start) {
    sent += unused;
  } else {  // older bytes still wait before it
    out.erase(frame_start, unused);
    unused = 0;
  }
  std::memcpy(out.data() + frame_start + unused, header, size);
}

std::string upgrade_answer(std::string_view request) {
  constexpr std::string_view kName = "\r\nsec-websocket-key:";
  constexpr std::string_view kSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::string lower(request);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const size_t at = lower.find(kName);
  if (at == std::string::npos) return {};
  std::string_view key = request.substr(at + kName.size());
  key = key.substr(0, key.find("\r\n"));
  while (!key.empty() && key.front() == ' ') key.remove_prefix(1);
  while (!key.empty() && key.back() == ' ') key.remove_suffix(1);
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         base64(sha1(std::string(key) + std::string(kSuffix))) + "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
}

Frame read_frame(char* begin, char* end, size_t largest) {
  constexpr size_t kMask = 4;
  const auto there = static_cast<size_t>(end - begin);
  if (there < 2 + kMask) return {};
  const size_t length = static_cast<uint8_t>(begin[1]) & 127;
  const size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  const size_t header = 2 + extended + kMask;
  if (there < header) return {};
  size_t size = extended == 0 ? length : 0;
  for (size_t i = 0; i < extended; ++i) size = size << 8 | static_cast<uint8_t>(begin[2 + i]);
  const bool is_masked = (begin[1] & 0x80) != 0;
  if (!is_masked || size > largest) return {.opcode = 0, .payload = {}, .end = nullptr, .is_bad = true};
  if (there - header < size) return {};
  char* payload = begin + header;
  unmask(payload, size, payload - kMask);
  return {static_cast<unsigned>(begin[0] & 15), {payload, size}, payload + size, false};
}

}  // namespace mqloop::floor
