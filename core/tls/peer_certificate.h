// Who a client is by the certificate that it has shown.
#pragma once

#include <openssl/ssl.h>

#include <optional>
#include <string_view>

#include <mqloop/peer_identity.h>

namespace mqloop::tls {

// Names go to logs, files and topics: UTF-8 without control characters.
[[nodiscard]] bool is_clean_text(std::string_view text) noexcept;

// Nothing when none was shown. After the handshake, also after one that went on with an earlier session. Any thread;
// throws std::bad_alloc.
[[nodiscard]] std::optional<PeerCertificate> certificate_of(SSL* ssl);

}  // namespace mqloop::tls
