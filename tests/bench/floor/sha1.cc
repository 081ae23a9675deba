#include "tests/bench/floor/sha1.h"

#include <bit>
#include <cstdint>

namespace mqloop::floor {

namespace {

constexpr size_t kBlock = 64;

uint32_t word_at(std::string_view bytes, size_t at) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) word = word << 8 | static_cast<uint8_t>(bytes[at + i]);
  return word;
}

void add_block(uint32_t (&hash)[5], std::string_view block) {
  uint32_t w[80];
  for (size_t i = 0; i < 16; ++i) w[i] = word_at(block, 4 * i);
  for (size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
  for (size_t i = 0; i < 80; ++i) {
    const uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                           : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                           : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                                    : (b ^ c ^ d) + 0xCA62C1D6;
    const uint32_t next = std::rotl(a, 5) + mixed + e + w[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
}

}  // namespace

std::string sha1(std::string_view message) {
  std::string text(message);
  const uint64_t bits = uint64_t{text.size()} * 8;
  text += '\x80';
  while (text.size() % kBlock != kBlock - 8) text += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(bits >> shift);
  uint32_t hash[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  for (size_t at = 0; at < text.size(); at += kBlock) add_block(hash, std::string_view(text).substr(at, kBlock));
  std::string digest;
  for (const uint32_t word : hash) {
    for (int shift = 24; shift >= 0; shift -= 8) digest += static_cast<char>(word >> shift);
  }
  return digest;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t value = 0;
    for (size_t i = 0; i < 3; ++i) {
      value = value << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : uint8_t{0});
    }
    for (size_t i = 0; i < 4; ++i) text += at + i <= bytes.size() ? kDigits[value >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

}  // namespace mqloop::floor
