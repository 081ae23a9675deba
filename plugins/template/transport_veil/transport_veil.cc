// transport_veil: MQTT on TCP with every byte changed by a mask.
//
//   plugins:
//     - {name: veil, plugin: transport_veil}
//   listeners:
//     - {name: side, transport: veil, bind: "127.0.0.1:1884", mask: 90}
//
// Start a transport of your own from here: what is the same for all that travels on sockets (addresses, the PROXY
// protocol, sockets of systemd, accepting) is SocketListener's, and what the bytes mean is in transport_veil_stream.h.
// <mqloop/transport.h> tells what a Stream and a listener are, <mqloop/socket.h> what SocketListener does.
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include <mqloop/plugin.h>
#include <mqloop/socket.h>

#include "transport_veil_stream.h"

namespace {

using namespace mqloop;

class VeilListener final : public SocketListener {
 public:
  VeilListener(Options options, std::uint8_t mask) : SocketListener(std::move(options)), mask_(mask) {}

 private:
  // Called for each connection, on the listener's reactor. It must not wait: a handshake would go on in read() and
  // write(), under limits.connect_timeout. Null turns the connection away.
  std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
    std::unique_ptr<Stream> below = make_socket_stream(std::move(socket));
    if (!below) return nullptr;
    try {
      return std::make_unique<TransportVeilStream>(std::move(below), mask_);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  const std::uint8_t mask_;
};

class TransportVeil final : public TransportPlugin {
 public:
  // The keys that an item of `listeners:` has with this transport: those of TCP, and one more.
  void describe_listener(Schema& schema) const override {
    SocketListener::describe_tcp(schema, "127.0.0.1:1884");
    schema.integer("mask", "by which every byte is changed, both ways").required().at_least("1").at_most("255");
  }

  // Nothing is opened yet; the broker calls open(), and start() on a reactor.
  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    Result<SocketListener::Options> options = SocketListener::tcp_options(listener);
    if (!options.ok()) return options.status();
    const auto mask = static_cast<std::uint8_t>(listener["mask"].as_uint());
    return std::unique_ptr<TransportListener>(std::make_unique<VeilListener>(*std::move(options), mask));
  }
};

}  // namespace

MQLOOP_PLUGIN(TransportVeil, "transport_veil", "1.0", "MQTT on TCP with every byte changed by a mask")
