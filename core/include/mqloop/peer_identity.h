// PeerIdentity: what the layers below MQTT know of who is at the other end of a connection: the process on the other
// side of a Unix socket, the certificate that it has shown, the proxy by which it came. Made by transports, fixed from
// then on; read by authenticators (ConnectRequest::peer). Says who the peer is and not what it may do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

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
  std::string common_name;  // UTF-8 without control characters; may be empty
};

struct PeerIdentity {
  // At the other end of a Unix socket. Absent for a client that comes by a proxy: the proxy is no client.
  std::optional<PeerProcess> process = {};
  std::optional<PeerCertificate> certificate = {};
  // The connection between client and proxy is encrypted, as the proxy tells.
  bool is_encrypted_to_proxy = false;
  // Of the proxy that spoke the PROXY protocol, as Stream::peer_address() writes it; empty without one.
  std::string proxy_address = {};
};

}  // namespace mqloop
