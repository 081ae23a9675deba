#include "core/event/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/base/utf8.h"
#include "core/event/socket_address.h"

namespace mqloop::event {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::string_view kLineBeginning = "PROXY ";
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kFixedPart = 16;

// Byte 13: version 2 and the command.
constexpr std::uint8_t kLocalCommand = 0x20;
constexpr std::uint8_t kProxyCommand = 0x21;

// The upper half of byte 14 is the family and the lower the kind of socket, of which only streams can be ours.
constexpr std::uint8_t kMostFamily = 0x30;
constexpr std::uint8_t kMostSocketKind = 0x02;
constexpr std::uint8_t kTcp4 = 0x11;
constexpr std::uint8_t kTcp6 = 0x21;
constexpr std::uint8_t kUnixStream = 0x31;

constexpr std::size_t kUnixPath = 108;

enum Option : std::uint8_t { kCrc32c = 0x03, kTls = 0x20, kTlsCommonName = 0x22 };
// Of the first byte of kTls.
constexpr std::uint8_t kIsTls = 0x01;
constexpr std::uint8_t kHasCertificate = 0x02 | 0x04;  // on this connection, or in the session that it resumed

std::size_t addresses_size(std::uint8_t family) noexcept {
  switch (family >> 4) {
    case 1:
      return 12;
    case 2:
      return 36;
    case 3:
      return 2 * kUnixPath;
    default:
      return 0;
  }
}

std::size_t number16(Bytes at) noexcept { return static_cast<std::size_t>(at[0]) << 8 | at[1]; }

// Without the leading zeros, signs and spaces that others read in different ways.
bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

// Castagnoli's, bit by bit: it is one header per connection.
std::uint32_t crc32c(std::uint32_t crc, std::uint8_t byte) noexcept {
  crc ^= byte;
  for (int bit = 0; bit != 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0);
  return crc;
}

// Walks the TLVs; false when the last one is not whole, or `use` says so.
template <typename Use>
bool each_option(Bytes options, Use use) {
  while (!options.empty()) {
    if (options.size() < 3) return false;
    const std::size_t size = number16(options.subspan(1));
    if (options.size() - 3 < size) return false;
    if (!use(options[0], options.subspan(3, size))) return false;
    options = options.subspan(3 + size);
  }
  return true;
}

bool is_printable(std::string_view text) noexcept {
  return is_utf8_without_nul(text) && std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<std::uint8_t>(c);
           return byte >= 0x20 && byte != 0x7F;
         });
}

std::string_view take_word(std::string_view& line) noexcept {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

}  // namespace

void ProxyHeaderParser::refuse(std::string_view why) {
  state_ = State::kRefused;
  refusal_ = why;
}

std::size_t ProxyHeaderParser::feed(Bytes bytes) {
  std::size_t used = 0;
  while (used != bytes.size() && state_ == State::kNeedsMore) {
    if (wanted_ != 0) {
      const Bytes more = bytes.subspan(used, std::min(wanted_ - kept_.size(), bytes.size() - used));
      kept_.insert(kept_.end(), more.begin(), more.end());
      used += more.size();
    } else {
      take(bytes[used++]);
    }
    if (state_ == State::kNeedsMore && wanted_ != 0 && kept_.size() == wanted_) parse_binary();
  }
  return used;
}

// The line, or the fixed part of version 2.
void ProxyHeaderParser::take(std::uint8_t byte) {
  kept_.push_back(byte);
  check_beginning();
  if (state_ != State::kNeedsMore) return;
  if (!is_line()) {
    if (kept_.size() == kFixedPart) check_fixed_part();
  } else if (byte == '\n') {
    parse_line();
  } else if (kept_.size() == kLongestLine) {
    refuse("the PROXY line does not end within 107 bytes");
  }
}

void ProxyHeaderParser::check_beginning() {
  const std::string_view beginning = is_line() ? kLineBeginning : kSignature;
  const std::size_t last = kept_.size() - 1;
  if (last < beginning.size() && kept_[last] != static_cast<std::uint8_t>(beginning[last])) {
    return refuse("what came is no PROXY header");
  }
  if (last == 0 && taken_ == (is_line() ? ProxyProtocol::Version::kV2 : ProxyProtocol::Version::kV1)) {
    refuse("a PROXY header of a version that is not taken here");
  }
}

// ---- version 1 -----------------------------------------------------------------------------------------------------

void ProxyHeaderParser::parse_line() {
  std::string_view line(reinterpret_cast<const char*>(kept_.data()), kept_.size());
  if (!line.ends_with("\r\n")) return refuse("the PROXY line does not end with CR LF");
  if (line.find('\0') != std::string_view::npos) return refuse("the PROXY line has a NUL in it");
  line.remove_suffix(2);
  if (line.size() < kLineBeginning.size()) return refuse("the PROXY line is cut short");
  line.remove_prefix(kLineBeginning.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
    header_.kind = ProxyHeader::Kind::kUnknown;  // whatever follows
    state_ = State::kDone;
    return;
  }
  parse_client_line(line);
}

void ProxyHeaderParser::parse_client_line(std::string_view line) {
  constexpr std::string_view kWrong = "the PROXY line does not name two addresses and two ports";
  const std::string_view family = take_word(line);
  if (family != "TCP4" && family != "TCP6") return refuse("the PROXY line names neither TCP4 nor TCP6");
  const bool is_v4 = family == "TCP4";
  const std::string source(take_word(line));
  const std::string destination(take_word(line));
  const std::string_view source_port = take_word(line);
  sockaddr_storage client{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(client);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(client);
  client.ss_family = is_v4 ? AF_INET : AF_INET6;
  in6_addr ignored;
  void* const bytes = is_v4 ? static_cast<void*>(&v4.sin_addr) : static_cast<void*>(&v6.sin6_addr);
  if (inet_pton(client.ss_family, source.c_str(), bytes) != 1 ||
      inet_pton(client.ss_family, destination.c_str(), &ignored) != 1) {
    return refuse(kWrong);
  }
  std::uint16_t port = 0;
  std::uint16_t ignored_port = 0;
  if (!parse_port(source_port, port) || !parse_port(line, ignored_port)) return refuse(kWrong);
  auto& address = reinterpret_cast<sockaddr&>(client);
  set_port(address, port);
  header_.kind = ProxyHeader::Kind::kClient;
  header_.address = address_text(address);
  state_ = State::kDone;
}

// ---- version 2 -----------------------------------------------------------------------------------------------------

void ProxyHeaderParser::check_fixed_part() {
  const std::uint8_t command = kept_[12];
  const std::uint8_t family = kept_[13];
  if (command != kLocalCommand && command != kProxyCommand) {
    return refuse("a PROXY header of an unknown version or command");
  }
  if ((family & 0xF0U) > kMostFamily || (family & 0x0FU) > kMostSocketKind) {
    return refuse("a PROXY header of an unknown family");
  }
  const std::size_t size = number16(Bytes(kept_).subspan(14));
  if (kFixedPart + size > kLargest) return refuse("the PROXY header is longer than 8192 bytes");
  wanted_ = kFixedPart + size;
}

void ProxyHeaderParser::parse_binary() {
  const bool is_local = kept_[12] == kLocalCommand;
  const std::uint8_t family = kept_[13];
  const Bytes block = Bytes(kept_).subspan(kFixedPart);
  if (is_local) {
    state_ = State::kDone;  // what follows is to be left alone
    return;
  }
  if (block.size() < addresses_size(family)) return refuse("the PROXY header has no room for its addresses");
  parse_addresses(block, family);
  parse_options(block.subspan(addresses_size(family)));
  if (state_ == State::kNeedsMore) state_ = State::kDone;
}

void ProxyHeaderParser::parse_addresses(Bytes block, std::uint8_t family) {
  sockaddr_storage client{};
  header_.kind = ProxyHeader::Kind::kClient;
  if (family == kTcp4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(client);
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, block.data(), 4);
    std::memcpy(&v4.sin_port, block.data() + 8, 2);
  } else if (family == kTcp6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(client);
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, block.data(), 16);
    std::memcpy(&v6.sin6_port, block.data() + 32, 2);
  } else if (family == kUnixStream) {
    header_.address = "unix";  // on the proxy's machine, and no path of it means anything here
    return;
  } else {
    header_.kind = ProxyHeader::Kind::kUnknown;
    return;
  }
  header_.address = address_text(reinterpret_cast<const sockaddr&>(client));
}

void ProxyHeaderParser::parse_options(Bytes options) {
  bool has_tls = false;
  const bool whole = each_option(options, [&](std::uint8_t type, Bytes value) {
    if (type == kCrc32c && !checksum_is_right(value)) {
      refuse("the checksum of the PROXY header is wrong");
      return false;
    }
    if (type != kTls) return true;
    if (has_tls) return false;
    has_tls = true;
    parse_tls(value);
    return state_ == State::kNeedsMore;
  });
  if (!whole && state_ == State::kNeedsMore) refuse("the options of the PROXY header are malformed");
}

void ProxyHeaderParser::parse_tls(Bytes value) {
  constexpr std::size_t kFixed = 5;  // what the client did, and whether its certificate is good (0)
  constexpr std::string_view kWrong = "what the PROXY header says of TLS is malformed";
  if (value.size() < kFixed) return refuse(kWrong);
  if ((value[0] & kIsTls) == 0) return;
  header_.is_encrypted = true;
  std::optional<std::string> name;
  const bool whole = each_option(value.subspan(kFixed), [&name](std::uint8_t type, Bytes text) {
    if (type != kTlsCommonName) return true;
    if (name) return false;
    name.emplace(reinterpret_cast<const char*>(text.data()), text.size());
    return is_printable(*name);
  });
  if (!whole) return refuse(kWrong);
  if ((value[0] & kHasCertificate) == 0) return;
  PeerCertificate certificate;
  certificate.is_verified = std::all_of(&value[1], &value[1] + 4, [](std::uint8_t byte) { return byte == 0; });
  certificate.common_name = name.value_or(std::string());
  header_.certificate = std::move(certificate);
}

// Of the whole header, in which the checksum itself counts as zeros.
bool ProxyHeaderParser::checksum_is_right(Bytes value) const {
  if (value.size() != 4) return false;
  const auto begin = static_cast<std::size_t>(value.data() - kept_.data());
  std::uint32_t crc = 0xFFFFFFFFU;
  for (std::size_t i = 0; i != kept_.size(); ++i) crc = crc32c(crc, i - begin < 4 ? 0 : kept_[i]);
  const std::uint32_t told =
      static_cast<std::uint32_t>(number16(value)) << 16 | static_cast<std::uint32_t>(number16(value.subspan(2)));
  return (crc ^ 0xFFFFFFFFU) == told;
}

}  // namespace mqloop::event
