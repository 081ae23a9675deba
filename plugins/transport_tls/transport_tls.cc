// The transport `tls`: MQTT over TLS on TCP. The sockets are SocketListener's, all of TLS is core/tls.
#include <memory>
#include <utility>

#include <mqloop/socket.h>

#include "core/tls/live_context.h"
#include "core/tls/server_options.h"
#include "core/tls/tls_stream.h"

namespace {

using namespace mqloop;

class TlsListener final : public SocketListener {
 public:
  TlsListener(Options options, std::unique_ptr<tls::LiveContext> context)
      : SocketListener(std::move(options)), context_(std::move(context)) {}

  Status start(ReactorApi& reactor, StreamSink& sink) noexcept override {
    Status status = SocketListener::start(reactor, sink);
    if (status.ok()) context_->start(reactor);
    return status;
  }
  void stop() noexcept override {
    context_->stop();
    SocketListener::stop();
  }
  void renew(TransportListener& made) noexcept override {
    if (auto* const same = dynamic_cast<TlsListener*>(&made)) context_->renew(*same->context_);
  }
  void report(Figures& figures) const override { context_->report(figures); }

 protected:
  std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
    return tls::make_tls_stream(make_socket_stream(std::move(socket)), context_->current());
  }

 private:
  std::unique_ptr<tls::LiveContext> context_;
};

class TlsTransport final : public TransportPlugin {
 public:
  void describe_listener(Schema& schema) const override {
    SocketListener::describe_tcp(schema, "127.0.0.1:8883");
    tls::describe(schema.section("tls", "certificates and keys, and whom to trust"));
  }

  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    Result<tls::ServerOptions> said = tls::read_options(listener["tls"], listener["name"].text());
    if (!said.ok()) return said.status();
    Result<SocketListener::Options> options = SocketListener::tcp_options(listener);
    if (!options.ok()) return options.status();
    Result<std::unique_ptr<tls::LiveContext>> context = tls::LiveContext::make(*std::move(said));
    if (!context.ok()) return context.status();
    return std::unique_ptr<TransportListener>(std::make_unique<TlsListener>(*std::move(options), *std::move(context)));
  }
};

}  // namespace

MQLOOP_PLUGIN(TlsTransport, "transport_tls", "1.0", "MQTT over TLS, by OpenSSL")
