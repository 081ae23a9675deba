// The keys of session tickets: what a client may show to come back without a whole handshake (RFC 5077, RFC
// 8446 4.6.1). Made at random, never stored, each used for an hour to seal and for one more to open. Any thread.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace mqloop::tls {

class TicketKeys {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::hours kInUse{1};

  // `now` is a parameter for tests.
  explicit TicketKeys(Clock::time_point now = Clock::now());
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  using Name = std::array<unsigned char, 16>;
  struct Key {
    Name name;
    std::array<unsigned char, 32> cipher;
    std::array<unsigned char, 32> mac;
  };
  // The key to seal with.
  [[nodiscard]] Key current(Clock::time_point now);
  // The key of that name, and whether a ticket under it is to be replaced; nothing when there is none any more.
  struct Found {
    Key key;
    bool is_old;
  };
  [[nodiscard]] std::optional<Found> find(const unsigned char* name, Clock::time_point now);

  // Makes `context` use them; they outlive it.
  void serve(SSL_CTX& context);

 private:
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                       int seals);
  void renew(Clock::time_point now);

  std::mutex mutex_;
  Key now_;
  Key before_;
  Clock::time_point made_;
  bool has_before_ = false;
};

}  // namespace mqloop::tls
