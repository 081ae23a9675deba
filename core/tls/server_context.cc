#include "core/tls/server_context.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <new>
#include <string_view>
#include <utility>

#include "core/tls/openssl_error.h"

namespace mqloop::tls {

namespace {

// A key that is locked cannot be used: nobody is there who would type the password in.
int no_password(char* /*into*/, int /*size*/, int /*seals*/, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

std::chrono::system_clock::time_point point_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

// A file of PEM is at its end, rather than broken; forgets the error by which that was found.
bool is_at_end_of_pem() {
  const unsigned long last = ERR_peek_last_error();
  if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) return false;
  ERR_clear_error();
  return true;
}

void must(int result) {
  if (result != 1) throw std::bad_alloc();
}

const ServerContext& context_of(SSL* ssl) {
  return *static_cast<const ServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

}  // namespace

Result<std::shared_ptr<ServerContext>> ServerContext::load(const ServerOptions& options) {
  ERR_clear_error();
  std::shared_ptr<ServerContext> context(new ServerContext);
  if (Status status = context->read(options); !status.ok()) return status;
  ERR_clear_error();
  return context;
}

void ServerContext::succeed(const ServerContext& before) {
  counts_ = before.counts_;
  if (!tickets_ || !before.tickets_ || trusted_ != before.trusted_) return;
  tickets_ = before.tickets_;
  for (const Entry& entry : entries_) tickets_->serve(*entry.context);
}

SslPointer ServerContext::make_connection() const {
  SslPointer ssl(SSL_new(entries_.front().context.get()));
  if (!ssl) throw std::bad_alloc();
  SSL_set_accept_state(ssl.get());
  return ssl;
}

Status ServerContext::read(const ServerOptions& options) {
  for (const std::string& protocol : options.alpn) {
    protocols_ += static_cast<char>(protocol.size());
    protocols_ += protocol;
  }
  asks_ = options.verify_client != VerifyClient::kNone;
  if (options.tickets) tickets_ = std::make_shared<TicketKeys>();
  if (Status status = read_trust(options); !status.ok()) return status;
  if (options.certificates.empty()) return add(options, nullptr);
  for (const ServerOptions::KeyPair& pair : options.certificates) {
    if (Status status = add(options, &pair); !status.ok()) return status;
  }
  return ok();
}

// A context of OpenSSL for each certificate, all alike but for that.
Status ServerContext::add(const ServerOptions& options, const ServerOptions::KeyPair* pair) {
  ContextPointer made(SSL_CTX_new(TLS_server_method()));
  if (!made) throw std::bad_alloc();
  if (Status status = set_protocol(options, *made); !status.ok()) return status;
  if (pair != nullptr) {
    if (Status status = use(*pair, *made); !status.ok()) return status;
  }
  trust(options, *made);
  set_callbacks(options, *made);
  X509* const certificate = SSL_CTX_get0_certificate(made.get());
  entries_.push_back({std::move(made), certificate});
  return ok();
}

Status ServerContext::set_protocol(const ServerOptions& options, SSL_CTX& context) const {
  SSL_CTX_set_min_proto_version(&context, options.only_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  // A client that closes without a word of TLS is no fault: MQTT knows where its packets end.
  SSL_CTX_set_options(&context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                    SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(&context, 1);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_dh_auto(&context, 1);
  const Configured& ciphers = options.ciphers;
  if (!ciphers.empty() && SSL_CTX_set_cipher_list(&context, ciphers.text.c_str()) != 1) {
    return ciphers.error("ciphers: '" + ciphers.text + "': " + take_error("none of them is known"));
  }
  const Configured& suites = options.ciphersuites;
  if (!suites.empty() && SSL_CTX_set_ciphersuites(&context, suites.text.c_str()) != 1) {
    return suites.error("ciphersuites: '" + suites.text + "': " + take_error("one of them is not known"));
  }
  return ok();
}

void ServerContext::set_callbacks(const ServerOptions& options, SSL_CTX& context) {
  SSL_CTX_set_app_data(&context, this);
  static constexpr unsigned char kSessions[] = "mqloop";
  must(SSL_CTX_set_session_id_context(&context, kSessions, sizeof kSessions - 1));
  if (tickets_) {
    tickets_->serve(context);
    SSL_CTX_set_num_tickets(&context, 1);
  } else {
    SSL_CTX_set_options(&context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(&context, 0);
  }
  SSL_CTX_set_tlsext_servername_callback(&context, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(&context, this);
  if (!protocols_.empty()) SSL_CTX_set_alpn_select_cb(&context, on_protocols, this);
  if (shared_keys_.empty()) return;
  SSL_CTX_set_psk_server_callback(&context, on_shared_key);
  SSL_CTX_set_psk_find_session_callback(&context, on_shared_key_13);
  if (!options.psk_hint.empty()) must(SSL_CTX_use_psk_identity_hint(&context, options.psk_hint.c_str()));
}

Status ServerContext::use(const ServerOptions::KeyPair& pair, SSL_CTX& context) {
  Result<PemFile> file = PemFile::read(pair.certificate);
  if (!file.ok()) return file.status();
  const BioPointer certificates = file->open();
  bool has_password = false;
  const CertificatePointer leaf(PEM_read_bio_X509_AUX(certificates.get(), nullptr, no_password, &has_password));
  if (!leaf) return file->cannot_use("holds no certificate", "it is not PEM");
  if (SSL_CTX_use_certificate(&context, leaf.get()) != 1) return file->cannot_use("cannot be used", "unknown");
  while (CertificatePointer issuer{PEM_read_bio_X509(certificates.get(), nullptr, no_password, &has_password)}) {
    if (SSL_CTX_add0_chain_cert(&context, issuer.get()) != 1) return file->cannot_use("cannot be used", "unknown");
    (void)issuer.release();
  }
  if (!is_at_end_of_pem()) return file->cannot_use("has a broken certificate behind the first", "it is not PEM");

  Result<PemFile> key_file = PemFile::read(pair.key);
  if (!key_file.ok()) return key_file.status();
  const KeyPointer key(PEM_read_bio_PrivateKey(key_file->open().get(), nullptr, no_password, &has_password));
  if (!key && has_password) {
    ERR_clear_error();
    return key_file->error("is locked with a password; `openssl pkey -in FILE -out OTHER` unlocks it");
  }
  if (!key) return key_file->cannot_use("holds no private key", "it is not PEM");
  if (X509_check_private_key(leaf.get(), key.get()) != 1) {
    ERR_clear_error();
    return key_file->error("is not the key of the certificate \"" + pair.certificate.text + '"');
  }
  if (SSL_CTX_use_PrivateKey(&context, key.get()) != 1) return key_file->cannot_use("cannot be used", "unknown");
  if (key_file->is_readable_by_all()) open_secrets_.push_back(pair.key.text);
  served_.push_back(
      {pair.certificate.text, point_of(X509_get0_notBefore(leaf.get())), point_of(X509_get0_notAfter(leaf.get()))});
  return ok();
}

// Everything that tells who is let in is read once, and noted in a digest.
Status ServerContext::read_trust(const ServerOptions& options) {
  const std::unique_ptr<EVP_MD_CTX, FreeBy<EVP_MD_CTX_free>> digest(EVP_MD_CTX_new());
  if (!digest) throw std::bad_alloc();
  must(EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr));
  must(EVP_DigestUpdate(digest.get(), &options.verify_client, sizeof options.verify_client));
  const auto read = [&digest](const Configured& file, const auto& take) -> Status {
    std::size_t size = 0;
    if (file.empty()) {
      must(EVP_DigestUpdate(digest.get(), &size, sizeof size));
      return ok();
    }
    Result<PemFile> content = PemFile::read(file);
    if (!content.ok()) return content.status();
    size = content->text().size();
    must(EVP_DigestUpdate(digest.get(), &size, sizeof size));
    must(EVP_DigestUpdate(digest.get(), content->text().data(), size));
    return take(*content);
  };
  Status status = read(options.client_ca, [this](const PemFile& file) { return read_roots(file); });
  if (status.ok()) status = read(options.crl, [this](const PemFile& file) { return read_revoked(file); });
  if (status.ok()) {
    status = read(options.psk_file, [&](const PemFile& file) { return read_shared_keys(file, options.psk_file.text); });
  }
  must(EVP_DigestFinal_ex(digest.get(), trusted_.data(), nullptr));
  return status;
}

Status ServerContext::read_roots(const PemFile& file) {
  roots_.reset(X509_STORE_new());
  root_names_.reset(sk_X509_NAME_new_null());
  if (!roots_ || !root_names_) throw std::bad_alloc();
  const BioPointer certificates = file.open();
  while (const CertificatePointer root{PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(roots_.get(), root.get()) != 1) return file.cannot_use("cannot be used", "unknown");
    std::unique_ptr<X509_NAME, FreeBy<X509_NAME_free>> name(X509_NAME_dup(X509_get_subject_name(root.get())));
    if (!name || sk_X509_NAME_push(root_names_.get(), name.get()) == 0) throw std::bad_alloc();
    (void)name.release();
  }
  if (!is_at_end_of_pem()) return file.cannot_use("has a broken certificate", "it is not PEM");
  if (sk_X509_NAME_num(root_names_.get()) == 0) return file.error("holds no certificate");
  return ok();
}

Status ServerContext::read_revoked(const PemFile& file) {
  const BioPointer lists = file.open();
  int count = 0;
  while (const RevocationsPointer list{PEM_read_bio_X509_CRL(lists.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_crl(roots_.get(), list.get()) != 1) return file.cannot_use("cannot be used", "unknown");
    ++count;
  }
  if (!is_at_end_of_pem()) return file.cannot_use("has a broken list of revoked certificates", "it is not PEM");
  if (count == 0) return file.error("holds no list of revoked certificates");
  X509_STORE_set_flags(roots_.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return ok();
}

Status ServerContext::read_shared_keys(const PemFile& file, const std::string& name) {
  Result<SharedKeys> keys = SharedKeys::parse(file.text(), name);
  if (!keys.ok()) return keys.status();
  shared_keys_ = *std::move(keys);
  if (file.is_readable_by_all()) open_secrets_.push_back(name);
  return ok();
}

void ServerContext::trust(const ServerOptions& options, SSL_CTX& context) const {
  if (!asks_) return;
  SSL_CTX_set1_cert_store(&context, roots_.get());
  STACK_OF(X509_NAME)* const names = SSL_dup_CA_list(root_names_.get());
  if (names == nullptr) throw std::bad_alloc();
  SSL_CTX_set_client_CA_list(&context, names);
  const bool required = options.verify_client == VerifyClient::kRequired;
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
}

int ServerContext::on_server_name(SSL* ssl, int* /*alert*/, void* self) {
  const auto* context = static_cast<const ServerContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  for (const Entry& entry : context->entries_) {
    if (entry.certificate == nullptr) continue;
    if (X509_check_host(entry.certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) != 1) continue;
    SSL_set_SSL_CTX(ssl, entry.context.get());
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int ServerContext::on_protocols(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size,
                                const unsigned char* offered, unsigned offered_size, void* self) {
  const std::string& ours = static_cast<const ServerContext*>(self)->protocols_;
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(&found, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned>(ours.size()), offered, offered_size);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// TLS 1.2.
unsigned ServerContext::on_shared_key(SSL* ssl, const char* identity, unsigned char* key, unsigned most) {
  if (identity == nullptr) return 0;
  const std::span<const unsigned char> found = context_of(ssl).shared_keys_.find(identity);
  if (found.size() > most) return 0;
  std::copy(found.begin(), found.end(), key);
  return static_cast<unsigned>(found.size());
}

// TLS 1.3: the key as a session that was before, with the identity in what its tickets will carry. Whichever of the
// keys that a client offers OpenSSL then settles on, its session tells whose it is.
int ServerContext::on_shared_key_13(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) {
  static constexpr unsigned char kAes128GcmSha256[] = {0x13, 0x01};
  *session = nullptr;
  const auto key = context_of(ssl).shared_keys_.find({reinterpret_cast<const char*>(identity), size});
  if (key.empty()) return 1;
  std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>> made(SSL_SESSION_new());
  const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, kAes128GcmSha256);
  if (!made || cipher == nullptr || SSL_SESSION_set1_master_key(made.get(), key.data(), key.size()) != 1 ||
      SSL_SESSION_set_cipher(made.get(), cipher) != 1 ||
      SSL_SESSION_set_protocol_version(made.get(), TLS1_3_VERSION) != 1 ||
      SSL_SESSION_set1_ticket_appdata(made.get(), identity, size) != 1) {
    return 0;
  }
  *session = made.release();
  return 1;
}

}  // namespace mqloop::tls
