// Owning pointers to what OpenSSL makes.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace mqloop::tls {

template <auto free>
struct FreeBy {
  template <typename T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};

using BioPointer = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using CertificatePointer = std::unique_ptr<X509, FreeBy<X509_free>>;
using ContextPointer = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using NamesPointer = std::unique_ptr<GENERAL_NAMES, FreeBy<GENERAL_NAMES_free>>;
using RevocationsPointer = std::unique_ptr<X509_CRL, FreeBy<X509_CRL_free>>;
using SslPointer = std::unique_ptr<SSL, FreeBy<SSL_free>>;

}  // namespace mqloop::tls
