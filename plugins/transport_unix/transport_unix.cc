// The transport `unix`: MQTT straight on a Unix socket, for processes of this machine. All of it is SocketListener's.
#include <memory>
#include <utility>

#include <mqloop/socket.h>

namespace {

using namespace mqloop;

class UnixTransport final : public TransportPlugin {
 public:
  void describe_listener(Schema& schema) const override { SocketListener::describe_unix(schema); }

  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    Result<SocketListener::Options> options = SocketListener::unix_options(listener);
    if (!options.ok()) return options.status();
    return std::unique_ptr<TransportListener>(std::make_unique<SocketListener>(*std::move(options)));
  }
};

}  // namespace

MQLOOP_PLUGIN(UnixTransport, "transport_unix", "1.0", "MQTT on Unix sockets")
