#include "core/tls/peer_certificate.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <new>
#include <string>

#include "core/base/utf8.h"
#include "core/tls/openssl_pointer.h"

namespace mqloop::tls {

namespace {

std::string clean(std::string_view text) { return is_clean_text(text) ? std::string(text) : std::string(); }

std::string text_of(const ASN1_STRING* value) {
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, value);
  if (size < 0) return {};
  const std::string found = clean({reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)});
  OPENSSL_free(text);
  return found;
}

std::string common_name_of(const X509_NAME* subject) {
  std::string found;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    found = text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  }
  return found;
}

std::string distinguished_name_of(const X509_NAME* subject) {
  const BioPointer out(BIO_new(BIO_s_mem()));
  if (!out) throw std::bad_alloc();
  if (X509_NAME_print_ex(out.get(), subject, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return clean({text, static_cast<std::size_t>(size)});
}

void add_alternative_names(const X509* certificate, PeerCertificate& to) {
  const NamesPointer all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    const auto add = [](std::vector<std::string>& names, const ASN1_STRING* value) {
      if (std::string text = text_of(value); !text.empty()) names.push_back(std::move(text));
    };
    if (name->type == GEN_DNS) add(to.dns_names, name->d.dNSName);
    if (name->type == GEN_EMAIL) add(to.email_addresses, name->d.rfc822Name);
    if (name->type == GEN_URI) add(to.uris, name->d.uniformResourceIdentifier);
  }
}

std::string fingerprint_of(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i != size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

}  // namespace

bool is_clean_text(std::string_view text) noexcept {
  if (!is_utf8_without_nul(text)) return false;
  for (std::size_t i = 0; i != text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;  // U+0080 to U+009F
  }
  return true;
}

std::optional<PeerCertificate> certificate_of(SSL* ssl) {
  const X509* shown = SSL_get0_peer_certificate(ssl);
  if (shown == nullptr) return std::nullopt;
  const X509_NAME* subject = X509_get_subject_name(shown);
  PeerCertificate certificate;
  certificate.is_verified = SSL_get_verify_result(ssl) == X509_V_OK;
  certificate.common_name = common_name_of(subject);
  certificate.subject = distinguished_name_of(subject);
  certificate.fingerprint = fingerprint_of(shown);
  add_alternative_names(shown, certificate);
  return certificate;
}

}  // namespace mqloop::tls
