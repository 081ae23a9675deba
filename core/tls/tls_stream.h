// TLS, as the server: a Stream over a Stream.
//
//   state       meaning                                                         goes to
//   kHandshake  the client's next record is awaited                             kWorking, kWaiting, kOpen, kFailed
//   kWorking    a worker thread of the reactor is at the handshake              kHandshake, kOpen, kFailed
//   kWaiting    as much waits for workers as may; tried again soon              kWorking
//   kOpen       what is read and written is the client's                        kFailed
//   kFailed     read() and write() answer kError, failure() says why
//
// The handshake begins with the first bytes that come and is the business of read(), which answers kWouldBlock until it
// is done. What takes long in it (signing, agreeing on keys, judging certificates) is done by a worker, so that nobody
// else waits for it; a worker is asked only when a whole record is there. Before the first bytes come there is no SSL.
//
// What is written in one write() becomes one record, or one for each 16 KiB of it, in one write() below. The Stream
// below may take only some of a record: then the last byte is kept back from what write() answers, so that the owner
// knows that not all has gone. Who the peer is, with the certificate that it has shown, peer_identity() tells from the
// first byte that read() gives.
#pragma once

#include <memory>

#include <mqloop/transport.h>

#include "core/tls/server_context.h"

namespace mqloop::tls {

// Owns `below`. Null when there is no memory left.
[[nodiscard]] std::unique_ptr<Stream> make_tls_stream(std::unique_ptr<Stream> below,
                                                      std::shared_ptr<const ServerContext> context) noexcept;

}  // namespace mqloop::tls
