// The transport `websocket`: MQTT over WebSocket (MQTT 5.0, chapter 6), with TLS or without. Here is what the
// configuration says of it.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <mqloop/socket.h>

#include "core/tls/live_context.h"
#include "core/tls/server_options.h"
#include "core/tls/tls_stream.h"
#include "plugins/transport_websocket/lws_reactor.h"
#include "plugins/transport_websocket/upgrade.h"
#include "plugins/transport_websocket/web_socket_stream.h"

namespace {

using namespace mqloop;

class WebSocketListener final : public SocketListener {
 public:
  // Without `tls` it is plain.
  WebSocketListener(Options options, Ref<const websocket::UpgradePolicy> policy, std::unique_ptr<tls::LiveContext> tls,
                    websocket::LwsReactors& reactors)
      : SocketListener(std::move(options)), policy_(std::move(policy)), tls_(std::move(tls)), reactors_(reactors) {}

  Status start(ReactorApi& reactor, StreamSink& sink) noexcept override {
    Status status = SocketListener::start(reactor, sink);
    if (status.ok() && tls_ != nullptr) tls_->start(reactor);
    return status;
  }
  void stop() noexcept override {
    if (tls_ != nullptr) tls_->stop();
    SocketListener::stop();
  }
  void renew(TransportListener& made) noexcept override {
    auto* const same = dynamic_cast<WebSocketListener*>(&made);
    if (same != nullptr && tls_ != nullptr && same->tls_ != nullptr) tls_->renew(*same->tls_);
  }
  void report(Figures& figures) const override {
    if (tls_ != nullptr) tls_->report(figures);
  }

  [[nodiscard]] bool is_loopback() const noexcept override {
    return policy_->trusted_proxies.empty() && SocketListener::is_loopback();
  }

 protected:
  std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
    if (tls_ == nullptr) return std::make_unique<websocket::WebSocketStream>(std::move(socket), policy_, reactors_);
    std::unique_ptr<Stream> secure = tls::make_tls_stream(make_socket_stream(std::move(socket)), tls_->current());
    if (secure == nullptr) return nullptr;
    return std::make_unique<websocket::WebSocketStream>(std::move(secure), policy_, reactors_);
  }

 private:
  Ref<const websocket::UpgradePolicy> policy_;
  std::unique_ptr<tls::LiveContext> tls_;
  websocket::LwsReactors& reactors_;
};

// Lets go of a reactor's context when the reactor ends.
class ReactorsEnd final : public PluginLocal {
 public:
  ReactorsEnd(websocket::LwsReactors& reactors, const ReactorApi& reactor) : reactors_(reactors), reactor_(reactor) {}
  ReactorsEnd(const ReactorsEnd&) = delete;
  ReactorsEnd& operator=(const ReactorsEnd&) = delete;
  ~ReactorsEnd() override { reactors_.forget(reactor_); }

 private:
  websocket::LwsReactors& reactors_;
  const ReactorApi& reactor_;
};

Status read_origins(const ConfigNode& origins, websocket::UpgradePolicy& policy) {
  policy.same_host = false;
  for (const ConfigNode origin : origins) {
    std::string text = origin.as_string();
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (text == "any") {
      policy.any_origin = true;
    } else if (text == "same") {
      policy.same_host = true;
    } else if (text == "null" || (text.find("://") != std::string::npos && !text.ends_with('/'))) {
      policy.origins.push_back(std::move(text));
    } else {
      return origin.error("'" + origin.as_string() + "' is no origin: same, any, null or scheme://host[:port]");
    }
  }
  return ok();
}

Status read_proxies(const ConfigNode& proxies, websocket::UpgradePolicy& policy) {
  for (const ConfigNode proxy : proxies) {
    if (Status status = policy.trusted_proxies.add(proxy.text()); !status.ok()) return proxy.error(status.message());
  }
  return ok();
}

Result<std::unique_ptr<tls::LiveContext>> make_tls(const ConfigNode& listener) {
  Result<tls::ServerOptions> said = tls::read_options(listener["tls"], listener["name"].text());
  if (!said.ok()) return said.status();
  return tls::LiveContext::make(*std::move(said));
}

class WebSocketTransport final : public TransportPlugin {
 public:
  std::unique_ptr<PluginLocal> start(ReactorApi& reactor) override {
    return std::make_unique<ReactorsEnd>(reactors_, reactor);
  }

  void describe_listener(Schema& schema) const override {
    SocketListener::describe_tcp(schema, "127.0.0.1:8083");
    schema.string("path", "the path of the URL that clients ask for").defaults_to("/mqtt");
    schema.list_of_string("origins", "whose pages may connect: same (host), any, null, scheme://host[:port]")
        .defaults_to("[same]");
    schema.list_of_string("trusted_proxies", "addresses whose X-Forwarded-For is believed").defaults_to("[]");
    tls::describe(schema.section("tls", "makes it wss: certificates and keys, and whom to trust"), "http/1.1");
  }

  Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const override {
    auto policy = Ref<websocket::UpgradePolicy>::adopt(new websocket::UpgradePolicy);
    policy->path = listener["path"].as_string();
    if (!policy->path.starts_with('/') || policy->path.find_first_of("?# ") != std::string::npos) {
      return listener["path"].error("'" + policy->path +
                                    "' is no path: it starts with / and has none of ? # and space");
    }
    if (Status status = read_origins(listener["origins"], *policy); !status.ok()) return status;
    if (Status status = read_proxies(listener["trusted_proxies"], *policy); !status.ok()) return status;
    Result<SocketListener::Options> options = SocketListener::tcp_options(listener);
    if (!options.ok()) return options.status();
    std::unique_ptr<tls::LiveContext> tls;
    if (!listener["tls"].is_default()) {
      Result<std::unique_ptr<tls::LiveContext>> made = make_tls(listener);
      if (!made.ok()) return made.status();
      tls = *std::move(made);
    }
    return std::unique_ptr<TransportListener>(
        std::make_unique<WebSocketListener>(*std::move(options), std::move(policy), std::move(tls), reactors_));
  }

 private:
  mutable websocket::LwsReactors reactors_;
};

}  // namespace

MQLOOP_PLUGIN(WebSocketTransport, "transport_websocket", "1.0", "MQTT over WebSocket, by libwebsockets")
