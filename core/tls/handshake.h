// The SSL of one connection with what it reads and writes, while its handshake is under way on the reactor or on a
// worker thread, and after. One thread at a time has it.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <mqloop/peer_identity.h>

#include "core/tls/openssl_pointer.h"
#include "core/tls/server_context.h"
#include "core/tls/wire.h"

namespace mqloop::tls {

class Handshake {
 public:
  explicit Handshake(std::shared_ptr<const ServerContext> context) noexcept : context_(std::move(context)) {}
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  enum class Outcome : std::uint8_t { kNeedsMore, kDone, kFailed };
  // Goes on with what the wire has. Any thread.
  void step() noexcept;
  [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
  // Of kFailed: "tlsv1 alert unknown ca", "certificate verify failed: certificate has expired".
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  // What is left are some hashes, and no worker is worth the way to it: all signing and agreeing on keys is done.
  [[nodiscard]] bool rest_is_cheap() const noexcept;

  // Of kDone; each may be taken once.
  [[nodiscard]] std::optional<PeerCertificate> take_certificate() noexcept { return std::move(certificate_); }
  [[nodiscard]] std::string take_psk_identity() noexcept { return std::move(psk_identity_); }

  // Null before the first step.
  [[nodiscard]] SSL* ssl() const noexcept { return ssl_.get(); }
  [[nodiscard]] Wire& wire() noexcept { return wire_; }

 private:
  void go_on();
  void finish();
  void fail(std::string why);

  std::shared_ptr<const ServerContext> context_;
  Wire wire_;
  SslPointer ssl_;  // writes to the wire
  std::string failure_;
  std::optional<PeerCertificate> certificate_;
  std::string psk_identity_;
  Outcome outcome_ = Outcome::kNeedsMore;
};

}  // namespace mqloop::tls
