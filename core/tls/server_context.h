// ServerContext: what a listener's `tls:` block says, ready for use: certificates and keys, whom to trust, which
// versions. Made from files at the start and whenever they change; a connection keeps the one that it began with. Any
// thread once it is made.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/status.h>

#include "core/tls/openssl_pointer.h"
#include "core/tls/pem_file.h"
#include "core/tls/server_options.h"
#include "core/tls/shared_keys.h"
#include "core/tls/ticket_keys.h"

namespace mqloop::tls {

// Of one listener, over all the contexts that it had.
struct HandshakeCounts {
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> resumed{0};  // of those done
  std::atomic<std::uint64_t> failed{0};
};

class ServerContext {
 public:
  // Reads the files that `options` name. A failure says which file, why, and where it is named. May take a while.
  [[nodiscard]] static Result<std::shared_ptr<ServerContext>> load(const ServerOptions& options);
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // Before it is used, in place of `before`: counts go on, and so do the tickets of clients, but where it is others
  // that are trusted now: a ticket would bring in who was revoked.
  void succeed(const ServerContext& before);

  // A new connection, as the server; never null. Throws std::bad_alloc.
  [[nodiscard]] SslPointer make_connection() const;

  // A certificate that is served.
  struct Served {
    std::string file;
    std::chrono::system_clock::time_point not_before;
    std::chrono::system_clock::time_point not_after;
  };
  [[nodiscard]] const std::vector<Served>& served() const noexcept { return served_; }
  // Files with secrets that everybody on this machine may read.
  [[nodiscard]] const std::vector<std::string>& open_secrets() const noexcept { return open_secrets_; }
  // Clients are asked for a certificate.
  [[nodiscard]] bool asks_for_certificate() const noexcept { return asks_; }
  [[nodiscard]] HandshakeCounts& counts() const noexcept { return *counts_; }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct FreeNameList {
    void operator()(STACK_OF(X509_NAME) * names) const noexcept { sk_X509_NAME_pop_free(names, X509_NAME_free); }
  };
  struct Entry {
    ContextPointer context;
    X509* certificate = nullptr;  // borrowed of the context; null: there are only shared keys
  };

  ServerContext() = default;
  Status read(const ServerOptions& options);
  Status add(const ServerOptions& options, const ServerOptions::KeyPair* pair);
  Status set_protocol(const ServerOptions& options, SSL_CTX& context) const;
  void set_callbacks(const ServerOptions& options, SSL_CTX& context);
  Status use(const ServerOptions::KeyPair& pair, SSL_CTX& context);
  Status read_trust(const ServerOptions& options);
  Status read_roots(const PemFile& file);
  Status read_revoked(const PemFile& file);
  Status read_shared_keys(const PemFile& file, const std::string& name);
  void trust(const ServerOptions& options, SSL_CTX& context) const;
  static int on_server_name(SSL* ssl, int* alert, void* self);
  static int on_protocols(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                          const unsigned char* offered, unsigned offered_size, void* self);
  static unsigned on_shared_key(SSL* ssl, const char* identity, unsigned char* key, unsigned most);
  static int on_shared_key_13(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session);

  std::unique_ptr<X509_STORE, FreeBy<X509_STORE_free>> roots_;  // null: nobody is asked
  std::unique_ptr<STACK_OF(X509_NAME), FreeNameList> root_names_;
  Digest trusted_{};                     // of all that tells who is let in
  std::shared_ptr<TicketKeys> tickets_;  // null: no tickets
  std::shared_ptr<HandshakeCounts> counts_ = std::make_shared<HandshakeCounts>();
  SharedKeys shared_keys_;
  std::vector<Entry> entries_;  // the first serves who names nobody, or nobody that there is
  std::vector<Served> served_;
  std::vector<std::string> open_secrets_;
  std::string protocols_;  // for ALPN, each behind its length
  bool asks_ = false;
};

}  // namespace mqloop::tls
