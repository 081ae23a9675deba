// The key functions of the public interfaces: their tables and typeinfo exist once, here in libmqloop.so.
#include <mqloop/plugin.h>
#include <mqloop/publisher.h>
#include <mqloop/reactor_api.h>
#include <mqloop/transport.h>

namespace mqloop {

ReactorApi::~ReactorApi() = default;

PluginLocal::~PluginLocal() = default;

Plugin::~Plugin() = default;
void Plugin::describe(Schema& /*schema*/) {}
Status Plugin::configure(const ConfigNode& /*config*/) { return ok(); }
std::unique_ptr<PluginLocal> Plugin::start(ReactorApi& /*reactor*/) { return nullptr; }
void Plugin::stop() noexcept {}
Authenticator* Plugin::authenticator() noexcept { return nullptr; }
Authorizer* Plugin::authorizer() noexcept { return nullptr; }
Transport* Plugin::transport() noexcept { return nullptr; }
Publisher* Plugin::publisher() noexcept { return nullptr; }

AuthState::~AuthState() = default;

Authenticator::~Authenticator() = default;
void Authenticator::continue_auth(const AuthStep& /*step*/, AuthReply reply) const {
  reply.reject(ReasonCode::kNotAuthorized, "the plugin does not authenticate in steps");
}
bool Authenticator::knows_method(std::string_view /*authentication_method*/) const { return false; }
Authorizer::~Authorizer() = default;
DeliveryAnswer Authorizer::authorize_delivery(const Access& /*access*/) const { return {}; }

Stream::~Stream() = default;
TransportListener::~TransportListener() = default;
Transport::~Transport() = default;

PublisherShard::~PublisherShard() = default;
Publisher::~Publisher() = default;
Status Publisher::recover(Recovery& /*recovery*/) { return ok(); }
void Publisher::report(Figures& /*figures*/) const {}

}  // namespace mqloop
