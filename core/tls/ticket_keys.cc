#include "core/tls/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>
#include <stdexcept>

namespace mqloop::tls {

namespace {

TicketKeys::Key make_key() {
  TicketKeys::Key key;
  if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) != 1 ||
      RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) != 1 ||
      RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) != 1) {
    throw std::runtime_error("no random numbers for session tickets");
  }
  return key;
}

int index_of_keys() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

}  // namespace

TicketKeys::TicketKeys(Clock::time_point now) : now_(make_key()), before_{}, made_(now) {}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&now_, sizeof now_);
  OPENSSL_cleanse(&before_, sizeof before_);
}

void TicketKeys::renew(Clock::time_point now) {
  if (now - made_ < kInUse) return;
  has_before_ = now - made_ < 2 * kInUse;
  before_ = now_;
  now_ = make_key();
  made_ = now;
}

TicketKeys::Key TicketKeys::current(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  renew(now);
  return now_;
}

std::optional<TicketKeys::Found> TicketKeys::find(const unsigned char* name, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  renew(now);
  if (std::memcmp(name, now_.name.data(), now_.name.size()) == 0) return Found{now_, false};
  if (has_before_ && std::memcmp(name, before_.name.data(), before_.name.size()) == 0) return Found{before_, true};
  return std::nullopt;
}

void TicketKeys::serve(SSL_CTX& context) {
  SSL_CTX_set_ex_data(&context, index_of_keys(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(&context, on_ticket);
}

// As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it: -1 ends the handshake, 0 goes on without a ticket, 1 uses it, 2
// uses it and sends a new one.
int TicketKeys::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                          int seals) {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index_of_keys()));
  try {
    std::optional<Found> found;
    if (seals != 0) {
      found = Found{keys->current(Clock::now()), false};
      std::memcpy(name, found->key.name.data(), found->key.name.size());
      if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    } else {
      found = keys->find(name, Clock::now());
      if (!found) return 0;
    }
    Key& key = found->key;
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const bool ready = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, seals) == 1 &&
                       EVP_MAC_CTX_set_params(mac, parameters) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    if (!ready) return -1;
    return found->is_old ? 2 : 1;
  } catch (const std::exception&) {
    return -1;
  }
}

}  // namespace mqloop::tls
