#include "core/tls/server_options.h"

#include <openssl/ssl.h>

namespace mqloop::tls {

namespace {

Configured configured(const ConfigNode& node) { return {node.as_string(), node.position()}; }

Result<ServerOptions::KeyPair> key_pair(const ConfigNode& block) {
  ServerOptions::KeyPair pair{configured(block["cert"]), configured(block["key"])};
  if (pair.key.empty()) return pair.certificate.error("cert: its private key is missing: give key: too");
  if (pair.certificate.empty()) return pair.key.error("key: its certificate is missing: give cert: too");
  return pair;
}

Status read_trust(const ConfigNode& tls, ServerOptions& options) {
  const std::string_view verify = tls["verify_client"].text();
  if (verify == "optional") options.verify_client = VerifyClient::kOptional;
  if (verify == "required") options.verify_client = VerifyClient::kRequired;
  options.client_ca = configured(tls["client_ca"]);
  options.crl = configured(tls["crl"]);
  options.psk_file = configured(tls["psk_file"]);
  options.psk_hint = tls["psk_hint"].as_string();
  if (options.verify_client == VerifyClient::kNone) {
    for (const char* const key : {"client_ca", "crl"}) {
      if (tls[key].text().empty()) continue;
      return tls[key].error(std::string(key) +
                            ": clients are not asked for a certificate: write verify_client: required (or optional)");
    }
    return ok();
  }
  if (options.client_ca.empty()) {
    return tls["verify_client"].error("verify_client: needs client_ca, whose certificates are taken");
  }
  if (options.certificates.empty()) {
    return tls["verify_client"].error("verify_client: needs cert and key: without a certificate none can be asked for");
  }
  if (options.verify_client == VerifyClient::kRequired && !options.psk_file.empty()) {
    return tls["psk_file"].error("psk_file: who has a key shows no certificate: write verify_client: optional");
  }
  return ok();
}

}  // namespace

Status Configured::error(const std::string& message, StatusCode code) const {
  return {code, position.empty() ? message : position + ": " + message};
}

std::vector<std::string> ServerOptions::files() const {
  std::vector<std::string> files;
  const auto add = [&files](const Configured& file) {
    if (!file.empty()) files.push_back(file.text);
  };
  for (const KeyPair& pair : certificates) {
    add(pair.certificate);
    add(pair.key);
  }
  add(client_ca);
  add(crl);
  add(psk_file);
  return files;
}

void describe(Schema& tls, std::string_view protocol) {
  tls.path("cert", "PEM file with the server's certificate and those between it and its root");
  tls.path("key", "PEM file with its private key, without a password");
  Schema& more =
      tls.list_of_sections("certificates", "others, for clients that name their host (SNI)", /*named_by=*/"");
  more.path("cert", "as cert").required().not_empty();
  more.path("key", "as key").required().not_empty();
  tls.enumeration("verify_client", "certificates of clients: not asked for, checked if there is one, or required",
                  {"none", "optional", "required"});
  tls.path("client_ca", "PEM file with the roots of clients' certificates");
  tls.path("crl", "PEM file with lists of certificates that were revoked, a current one of every issuer");
  tls.path("psk_file", "file with lines IDENTITY:KEY (hexadecimal), for clients without certificates");
  tls.string("psk_hint", "which key to take, as TLS 1.2 tells it to clients");
  tls.enumeration("min_version", "oldest version of TLS", {"1.2", "1.3"});
  tls.string("ciphers", "cipher suites of TLS 1.2, as openssl-ciphers(1) names them; \"\" = OpenSSL's own list");
  tls.string("ciphersuites", "cipher suites of TLS 1.3, likewise");
  tls.list_of_string("alpn", "protocols that a client may ask for; who asks for others only is refused")
      .defaults_to("[" + std::string(protocol) + "]");
  tls.boolean("tickets", "clients may come back without a whole handshake").defaults_to("true");
  tls.duration("watch_files", "how often files are looked at; those that changed are read again; infinite = never")
      .defaults_to("10s")
      .at_least("100ms");
}

Result<ServerOptions> read_options(const ConfigNode& tls, std::string_view listener) {
  ServerOptions options;
  options.listener = listener;
  if (!tls["cert"].text().empty() || !tls["key"].text().empty()) {
    Result<ServerOptions::KeyPair> pair = key_pair(tls);
    if (!pair.ok()) return pair.status();
    options.certificates.push_back(*std::move(pair));
  }
  for (const ConfigNode block : tls["certificates"]) {
    if (options.certificates.empty()) return block.error("certificates: the first is given by cert and key");
    Result<ServerOptions::KeyPair> pair = key_pair(block);
    if (!pair.ok()) return pair.status();
    options.certificates.push_back(*std::move(pair));
  }
  if (Status status = read_trust(tls, options); !status.ok()) return status;
  if (options.certificates.empty() && options.psk_file.empty()) {
    return tls.error("tls: needs cert and key, the server's certificate and its private key");
  }
  for (const ConfigNode protocol : tls["alpn"]) {
    if (protocol.text().empty() || protocol.text().size() > 255) {
      return protocol.error("alpn: a protocol's name has 1 to 255 bytes");
    }
    options.alpn.push_back(protocol.as_string());
  }
  options.only_tls13 = tls["min_version"].text() == "1.3";
  options.ciphers = configured(tls["ciphers"]);
  options.ciphersuites = configured(tls["ciphersuites"]);
  options.tickets = tls["tickets"].as_bool();
  options.watch_files = tls["watch_files"].as_duration();
  return options;
}

}  // namespace mqloop::tls
