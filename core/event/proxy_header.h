// ProxyHeader: what a proxy says, ahead of everything else on a connection, of who it is for: the PROXY protocol of
// HAProxy, version 1 (one line of text) and 2 (binary, with TLVs). Pure: bytes in, a verdict out, no socket and no
// clock. Bytes come in pieces of any size, and not one is taken that is not of the header.
//
//   state       meaning                                          goes to
//   kNeedsMore  a beginning of a header, or nothing yet           any
//   kDone       header() is whole                                 (stays)
//   kRefused    no header, or none that is taken: refusal()       (stays)
//
// Invariant: at most kLargest bytes are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/peer_identity.h>
#include <mqloop/socket.h>

namespace mqloop::event {

struct ProxyHeader {
  enum class Kind : std::uint8_t {
    kLocal,    // the proxy speaks for itself (a health check): who connected is who it is
    kUnknown,  // for a client, of whom the proxy cannot tell the address
    kClient,   // for the client `address`
  };
  Kind kind = Kind::kLocal;
  std::string address;  // as Stream::peer_address() writes it; kClient
  std::optional<PeerCertificate> certificate;
  bool is_encrypted = false;  // between the client and the proxy
};

class ProxyHeaderParser {
 public:
  enum class State : std::uint8_t { kNeedsMore, kDone, kRefused };

  // Of version 1, its end of line included; the protocol says so.
  static constexpr std::size_t kLongestLine = 107;
  // Of version 2. A proxy may send up to 65,551 bytes, and sends some hundreds.
  static constexpr std::size_t kLargest = 8192;

  explicit ProxyHeaderParser(ProxyProtocol::Version taken) noexcept : taken_(taken) {}

  // How many of `bytes`, which follow those taken before, are of the header: all of them while state() is kNeedsMore.
  std::size_t feed(std::span<const std::uint8_t> bytes);
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const ProxyHeader& header() const noexcept { return header_; }
  [[nodiscard]] std::string_view refusal() const noexcept { return refusal_; }
  // Whether anything has come.
  [[nodiscard]] bool has_begun() const noexcept { return !kept_.empty(); }

 private:
  [[nodiscard]] bool is_line() const noexcept { return !kept_.empty() && kept_.front() == 'P'; }
  void take(std::uint8_t byte);
  void check_beginning();
  void check_fixed_part();
  void parse_line();
  void parse_client_line(std::string_view line);
  void parse_binary();
  void parse_addresses(std::span<const std::uint8_t> block, std::uint8_t family);
  void parse_options(std::span<const std::uint8_t> options);
  void parse_tls(std::span<const std::uint8_t> value);
  [[nodiscard]] bool checksum_is_right(std::span<const std::uint8_t> value) const;
  void refuse(std::string_view why);

  ProxyProtocol::Version taken_;
  State state_ = State::kNeedsMore;
  std::size_t wanted_ = 0;  // of version 2: the size of the header, once it is known
  std::vector<std::uint8_t> kept_;
  ProxyHeader header_;
  std::string_view refusal_;
};

}  // namespace mqloop::event
