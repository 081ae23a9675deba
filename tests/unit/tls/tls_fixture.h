// What the tests of TLS share: certificates made on the spot, a reactor whose workers are the test, a Stream in memory,
// and a client of OpenSSL's at its other end.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mqloop/reactor_api.h>
#include <mqloop/transport.h>

#include "core/tls/openssl_pointer.h"
#include "core/tls/server_options.h"
#include "tests/support/hand_reactor.h"
#include "tests/unit/event/support.h"

namespace mqloop::tls::testing {

using event::testing::LineLog;

// A folder with a certificate that has signed itself, and its key.
class Files {
 public:
  Files() {
    char name[] = "/tmp/mqloop-tls-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~Files() { std::filesystem::remove_all(folder_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + '/' + name; }
  void write(const std::string& name, std::string_view text) const {
    std::FILE* const file = std::fopen(path(name).c_str(), "w");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }
  // NAME.pem and NAME.key; it is good until `seconds` from now.
  void make(const std::string& name, std::string_view common_name, long seconds = 86400 * 90) const {
    const KeyPointer key(EVP_EC_gen("P-256"));
    const CertificatePointer certificate(X509_new());
    X509* const made = certificate.get();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), std::min(-86400L, seconds - 86400));
    X509_gmtime_adj(X509_getm_notAfter(made), seconds);
    X509_set_pubkey(made, key.get());
    X509_NAME* const subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                               static_cast<int>(common_name.size()), -1, 0);
    X509_set_issuer_name(made, subject);
    X509_sign(made, key.get(), EVP_sha256());
    const auto write_to = [this, &name](const char* end, const auto& what) {
      std::FILE* const file = std::fopen(path(name + end).c_str(), "w");
      what(file);
      std::fclose(file);
      std::filesystem::permissions(path(name + end), std::filesystem::perms(0600));
    };
    write_to(".pem", [made](std::FILE* file) { PEM_write_X509(file, made); });
    write_to(".key",
             [&key](std::FILE* file) { PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }
  [[nodiscard]] ServerOptions options(const std::string& name = "server") const {
    ServerOptions options;
    options.listener = "secure";
    options.certificates.push_back({{path(name + ".pem"), "t.yaml:1:1"}, {path(name + ".key"), "t.yaml:2:1"}});
    return options;
  }

 private:
  std::string folder_;
};

// A HandReactor that remembers what is logged.
class TlsReactor final : public test::HandReactor {
 public:
  TlsReactor() : HandReactor(lines) {}
  LineLog lines;
};

// The two directions of a connection; outlives the stream.
struct Line {
  std::string to_server, to_client;
  std::size_t room = SIZE_MAX;  // for what goes to the client
  int writes = 0;
  bool client_has_ended = false;
  bool server_has_finished = false;
  bool is_open = true;
  bool watches_input = false, watches_output = false;
  int error = 0;
  StreamOwner* owner = nullptr;
};

class MemoryStream final : public Stream {
 public:
  explicit MemoryStream(Line& line) : line_(line) {}
  ~MemoryStream() override { line_.is_open = false; }
  Status attach(ReactorApi& /*reactor*/, StreamOwner& owner) noexcept override {
    line_.owner = &owner;
    line_.watches_input = true;
    line_.watches_output = false;
    return ok();
  }
  bool detach() noexcept override {
    line_.owner = nullptr;
    return true;
  }
  IoResult read(std::span<std::uint8_t> into) noexcept override {
    if (line_.error != 0) return {IoOutcome::kError, line_.error};
    const std::size_t size = std::min(into.size(), line_.to_server.size());
    if (size == 0) return {line_.client_has_ended ? IoOutcome::kEnd : IoOutcome::kWouldBlock};
    std::copy_n(line_.to_server.begin(), size, into.begin());
    line_.to_server.erase(0, size);
    return {IoOutcome::kDone, 0, size};
  }
  IoResult write(std::span<const iovec> parts) noexcept override {
    ++line_.writes;
    if (line_.error != 0) return {IoOutcome::kError, line_.error};
    std::size_t done = 0;
    for (const iovec& part : parts) {
      const std::size_t size = std::min(part.iov_len, line_.room);
      line_.to_client.append(static_cast<const char*>(part.iov_base), size);
      line_.room -= size;
      done += size;
    }
    if (done == 0) return {IoOutcome::kWouldBlock};
    return {IoOutcome::kDone, 0, done};
  }
  void watch_readable(bool on) noexcept override { line_.watches_input = on; }
  void watch_writable(bool on) noexcept override { line_.watches_output = on; }
  void finish_writing() noexcept override { line_.server_has_finished = true; }
  [[nodiscard]] std::string_view peer_address() const noexcept override { return "192.0.2.1:1234"; }
  [[nodiscard]] std::string_view source_address() const noexcept override { return "198.51.100.1:5678"; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return false; }

 private:
  Line& line_;
};

// The broker's part: reads whenever it is told.
struct Reader final : StreamOwner {
  explicit Reader(std::unique_ptr<Stream> owned) : stream(std::move(owned)) {}
  void on_readable() noexcept override {
    for (;;) {
      std::uint8_t bytes[65536];
      result = stream->read(std::span(bytes).first(room));
      if (result.outcome != IoOutcome::kDone) return;
      text.append(reinterpret_cast<char*>(bytes), result.bytes);
      if (!stream->has_unread()) return;
    }
  }
  void on_writable() noexcept override { ++writable; }
  // As the broker writes: what has not gone is offered again.
  std::size_t write(std::string_view what) {
    const iovec part{const_cast<char*>(what.data()), what.size()};
    const IoResult written = stream->write({&part, 1});
    last_write = written.outcome;
    return written.outcome == IoOutcome::kDone ? written.bytes : 0;
  }
  std::unique_ptr<Stream> stream;
  std::string text;
  std::size_t room = 65536;
  IoResult result{IoOutcome::kWouldBlock};
  IoOutcome last_write = IoOutcome::kDone;
  int writable = 0;
};

// OpenSSL at the other end of a Line.
class Client {
 public:
  explicit Client(
      Line& line, int version = TLS1_3_VERSION, const std::function<void(SSL_CTX*)>& prepare = [](SSL_CTX*) {})
      : line_(line), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    prepare(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  // One step of the handshake with what has come; true when it is done.
  bool shake_hands() {
    take_in();
    const bool done = SSL_do_handshake(ssl_.get()) == 1;
    bring_out();
    return done;
  }
  void write(std::string_view text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    bring_out();
  }
  // All that has come.
  std::string read() {
    take_in();
    std::string text;
    char bytes[16384];
    for (int size = 0; (size = SSL_read(ssl_.get(), bytes, sizeof bytes)) > 0;) {
      text.append(bytes, static_cast<std::size_t>(size));
    }
    bring_out();
    return text;
  }
  void close() {
    SSL_shutdown(ssl_.get());
    bring_out();
  }
  // Has been told that the broker is done.
  [[nodiscard]] bool was_told_the_end() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  void bring_out() {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out_, &bytes);
    line_.to_server.append(bytes, static_cast<std::size_t>(size));
    BIO_reset(out_);
  }

 private:
  void take_in() {
    BIO_write(in_, line_.to_client.data(), static_cast<int>(line_.to_client.size()));
    line_.to_client.clear();
  }

  Line& line_;
  ContextPointer context_;
  SslPointer ssl_;
  BIO* in_;
  BIO* out_;
};

}  // namespace mqloop::tls::testing
