// The transport `tcp`: MQTT straight on TCP. All of it is SocketListener's.
#include <memory>
#include <utility>

#include <mqloop/socket.h>

namespace {

using namespace mqloop;

class TcpTransport final : public TransportPlugin {
 public:
  void describe_listener(Schema& schema) const override { SocketListener::describe_tcp(schema); }

  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    Result<SocketListener::Options> options = SocketListener::tcp_options(listener);
    if (!options.ok()) return options.status();
    return std::unique_ptr<TransportListener>(std::make_unique<SocketListener>(*std::move(options)));
  }
};

}  // namespace

MQLOOP_PLUGIN(TcpTransport, "transport_tcp", "1.0", "MQTT on TCP")
