// The transport `tcp`: MQTT straight on TCP. All of it is SocketListener's; here is only what the configuration says.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <mqloop/socket.h>

namespace {

using namespace mqloop;

// "listener 'local', mqloop.yaml:9"
std::string origin_of(const ConfigNode& listener) {
  std::string position = listener.position();
  position.resize(std::min(position.rfind(':'), position.size()));  // a person needs no column here
  return "listener '" + listener["name"].as_string() + "', " + position;
}

class TcpTransport final : public TransportPlugin {
 public:
  void describe_listener(Schema& schema) const override {
    schema.endpoint("bind", "address and port to listen on, [::]:PORT for IPv6 and IPv4").defaults_to("127.0.0.1:1883");
  }

  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    SocketListener::Options options;
    options.bind = listener["bind"].as_endpoint();
    options.origin = origin_of(listener);
    return std::unique_ptr<TransportListener>(std::make_unique<SocketListener>(std::move(options)));
  }
};

}  // namespace

MQLOOP_PLUGIN(TcpTransport, "transport_tcp", "1.0", "MQTT on TCP")
