// A file with certificates, keys or revocations, read whole and at once: all that is taken from it is of one moment.
#pragma once

#include <string>

#include <mqloop/status.h>

#include "core/tls/openssl_pointer.h"
#include "core/tls/server_options.h"

namespace mqloop::tls {

class PemFile {
 public:
  // A failure says which file, why, and where it is named.
  [[nodiscard]] static Result<PemFile> read(const Configured& file);
  PemFile(PemFile&& other) noexcept = default;
  PemFile& operator=(PemFile&& other) noexcept = default;
  // It may have been a private key.
  ~PemFile();

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  // For OpenSSL, from the beginning; as long as this lives. Throws std::bad_alloc.
  [[nodiscard]] BioPointer open() const;
  // Everybody on this machine may read it.
  [[nodiscard]] bool is_readable_by_all() const noexcept { return is_readable_by_all_; }
  // «"server.pem" WHAT: why», why being OpenSSL's last word.
  [[nodiscard]] Status cannot_use(const std::string& what, const char* otherwise) const;
  [[nodiscard]] Status error(const std::string& what) const;

 private:
  explicit PemFile(Configured file) : file_(std::move(file)) {}

  Configured file_;
  std::string text_;
  bool is_readable_by_all_ = false;
};

}  // namespace mqloop::tls
