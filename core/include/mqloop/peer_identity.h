// PeerIdentity: what the layers below MQTT know of who is at the other end of a connection: the process on the other
// side of a Unix socket, the certificate that it has shown, the proxy by which it came. Made by transports, fixed from
// then on; read by authenticators (ConnectRequest::peer). Says who the peer is and not what it may do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace mqloop {

// Asked of the system when the connection was made.
struct PeerProcess {
  uid_t user_id = 0;
  gid_t group_id = 0;
  pid_t pid = 0;
  std::string user_name;  // the number where the user has no name
};

// Shown to us, or as a proxy tells to the proxy.
struct PeerCertificate {
  // Its chain was checked, by whoever it was shown to, and is good. Believe nothing else of one that is not.
  bool is_verified = false;
  // Texts are UTF-8 without control characters; one that is not is left out, as if the certificate did not have it.
  std::string common_name;  // the last one, which is the most specific; may be empty
  // What a proxy does not tell: all of it is empty then.
  std::string subject;  // "CN=sensor7,O=Example" as RFC 4514 writes it
  // Subject Alternative Names, in the order of the certificate.
  std::vector<std::string> dns_names = {};
  std::vector<std::string> email_addresses = {};
  std::vector<std::string> uris = {};
  std::string fingerprint;  // SHA-256 of the whole certificate, 64 hexadecimal digits in lower case
};

struct PeerIdentity {
  // At the other end of a Unix socket. Absent for a client that comes by a proxy: the proxy is no client.
  std::optional<PeerProcess> process = {};
  std::optional<PeerCertificate> certificate = {};
  // Of the key shared before (TLS-PSK) that the client has proved to have; empty without one.
  std::string psk_identity = {};
  // The connection between client and proxy is encrypted, as the proxy tells.
  bool is_encrypted_to_proxy = false;
  // Of the proxy that spoke the PROXY protocol, as Stream::peer_address() writes it; empty without one.
  std::string proxy_address = {};
};

}  // namespace mqloop
