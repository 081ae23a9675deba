// PeerIdentity: what the layers below MQTT know of who is at the other end of a connection: the process on the other
// side of a Unix socket, the certificate that it has shown, the proxy by which it came. Made by transports, fixed from
// then on; read by authenticators (ConnectRequest::peer). Says who the peer is and not what it may do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace mqloop {

struct PeerIdentity {
  // Asked of the system when the connection was made. Absent for a client that comes by a proxy: the proxy is no
  // client.
  struct Process {
    uid_t user_id = 0;
    gid_t group_id = 0;
    pid_t pid = 0;
    std::string user_name;  // the number where the user has no name
  };
  // Shown to us, or as the proxy tells to the proxy.
  struct Certificate {
    // Its chain was checked, by whoever it was shown to, and is good. Believe nothing else of one that is not.
    bool is_verified = false;
    std::string common_name;  // UTF-8 without control characters; may be empty
  };

  std::optional<Process> process = {};
  std::optional<Certificate> certificate = {};
  // The connection between client and proxy is encrypted, as the proxy tells.
  bool is_encrypted_to_proxy = false;
  // Of the proxy that spoke the PROXY protocol, as Stream::peer_address() writes it; empty without one.
  std::string proxy_address = {};
};

}  // namespace mqloop
