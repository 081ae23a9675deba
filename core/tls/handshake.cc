#include "core/tls/handshake.h"

#include <openssl/err.h>

#include <exception>
#include <utility>

#include "core/tls/openssl_error.h"
#include "core/tls/peer_certificate.h"

namespace mqloop::tls {

namespace {

// Of which key shared before the client has proved to know, now or when its session began.
std::string psk_identity_of(SSL* ssl) {
  if (SSL_version(ssl) != TLS1_3_VERSION) {
    const char* const identity = SSL_get_psk_identity(ssl);
    return identity == nullptr ? std::string() : identity;
  }
  void* identity = nullptr;
  std::size_t size = 0;
  SSL_SESSION* const session = SSL_get_session(ssl);
  if (session == nullptr || SSL_SESSION_get0_ticket_appdata(session, &identity, &size) != 1) return {};
  return {static_cast<const char*>(identity), size};
}

// The session that a client goes on with may have begun while its certificate was good.
bool has_expired_since(SSL* ssl) {
  const X509* const shown = SSL_get0_peer_certificate(ssl);
  return SSL_session_reused(ssl) == 1 && shown != nullptr && X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0;
}

}  // namespace

void Handshake::step() noexcept {
  ERR_clear_error();
  try {
    go_on();
  } catch (const std::exception& exception) {
    outcome_ = Outcome::kFailed;  // no memory left, for a text neither
  }
}

void Handshake::go_on() {
  if (!ssl_) {
    ssl_ = context_->make_connection();
    BIO* const bio = wire_.make_bio();
    SSL_set_bio(ssl_.get(), bio, bio);
  }
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return finish();
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return;
  std::string why = take_error("the client ended it");
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) why += std::string(": ") + X509_verify_cert_error_string(verified);
  fail(std::move(why));
}

void Handshake::finish() {
  if (has_expired_since(ssl_.get())) return fail("the client's certificate has expired since its session began");
  certificate_ = certificate_of(ssl_.get());
  psk_identity_ = psk_identity_of(ssl_.get());
  HandshakeCounts& counts = context_->counts();
  counts.done.fetch_add(1, std::memory_order_relaxed);
  // A key shared before counts as a session in TLS 1.3.
  if (SSL_session_reused(ssl_.get()) == 1 && psk_identity_.empty())
    counts.resumed.fetch_add(1, std::memory_order_relaxed);
  outcome_ = Outcome::kDone;
}

void Handshake::fail(std::string why) {
  outcome_ = Outcome::kFailed;
  failure_ = std::move(why);
  context_->counts().failed.fetch_add(1, std::memory_order_relaxed);
}

bool Handshake::rest_is_cheap() const noexcept {
  if (!ssl_ || context_->asks_for_certificate() || SSL_version(ssl_.get()) != TLS1_3_VERSION) return false;
  unsigned char nothing;
  return SSL_get_finished(ssl_.get(), &nothing, 0) != 0;  // ours has been sent
}

}  // namespace mqloop::tls
