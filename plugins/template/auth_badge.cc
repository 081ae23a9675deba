// auth_badge: every client has a badge code; it gives its client identifier and, as the password, that code.
//
//   plugins:
//     - {name: badges, plugin: auth_badge, config: {badges: {sensor7: s3cret, sensor8: t0p}}}
//   auth:
//     chains: {default: {authenticate: [badges]}}
//
// This is the whole plugin. Change it to what you need; <mqloop/plugin.h> tells what else there is.
#include <map>
#include <string>
#include <string_view>

#include <mqloop/plugin.h>

namespace {

using namespace mqloop;

class AuthBadge final : public AuthenticatorPlugin {
 public:
  // Names the options of the `config:` block. The broker checks the file against them before configure() is called, so
  // that a misspelt key, a missing value or an empty one is told with its line, and goes no further than that.
  void describe(Schema& schema) override {
    schema.map_of_string("badges", "client identifier -> badge code").required().not_empty();
  }

  // Called once, before any client; here is the place for what a schema cannot know. What is set does not change any
  // more: hooks may run on several threads at a time.
  Status configure(const ConfigNode& config) override {
    for (const ConfigNode badge : config["badges"]) {
      if (badge.text() == badge.key())
        return badge.error("a client identifier is no secret: choose another badge code");
    }
    badges_ = config["badges"].as_map();
    return ok();
  }

  // Called for every client that wants to connect. It must not wait for anything: who has to ask a database keeps
  // `reply` (std::move it away), returns, and answers later, from any thread. `request` is valid until then only.
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    const auto badge = badges_.find(request.client_id);
    if (badge == badges_.end()) return reply.pass();  // not ours: the next plugin of the chain is asked
    if (same_secret(badge->second, request.password)) return reply.accept(request.client_id);
    reply.reject(ReasonCode::kBadUserNameOrPassword, "wrong badge");
  }

 private:
  std::map<std::string, std::string, std::less<>> badges_;
};

}  // namespace

MQLOOP_PLUGIN(AuthBadge, "auth_badge", "1.0", "badge codes per client identifier")
