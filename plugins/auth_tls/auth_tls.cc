// auth_tls: who has shown a certificate that was found good, or knows a key shared before, is let in under the name
// that stands there. README.md tells the options.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/peer_identity.h>
#include <mqloop/plugin.h>

namespace {

using namespace mqloop;

class AuthTls final : public AuthenticatorPlugin {
 public:
  void describe(Schema& schema) override {
    schema
        .enumeration("name_from", "where the name is; of several the first that the client has",
                     {"common_name", "subject", "dns", "email", "uri", "fingerprint", "psk"})
        .list()
        .defaults_to("[common_name]")
        .not_empty();
    schema.map_of_string("users", "what is found there: the user name that it stands for; {} = itself");
    schema.string("prefix", "begins every user name, so that it is nobody's whom another plugin lets in");
    schema.boolean("same_user_name", "a client that sends a user name must send this one");
    schema.enumeration("otherwise", "who has none of them: pass asks the next of the chain", {"pass", "reject"});
  }

  Status configure(const ConfigNode& config) override {
    name_from_ = config["name_from"].as_list();
    users_ = config["users"].as_map();
    prefix_ = config["prefix"].as_string();
    same_user_name_ = config["same_user_name"].as_bool();
    rejects_ = config["otherwise"].text() == "reject";
    for (const ConfigNode user : config["users"]) {
      if (user.text().empty()) return user.error("users: '" + std::string(user.key()) + "' has no user name");
    }
    return ok();
  }

  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    const std::string_view shown = name_in(request.peer);
    if (shown.empty()) return otherwise(std::move(reply), "neither certificate nor key has a name");
    std::string name = prefix_;
    if (users_.empty()) {
      name += shown;
    } else if (const auto found = users_.find(shown); found != users_.end()) {
      name += found->second;
    } else {
      return otherwise(std::move(reply), "the name is not among the users");
    }
    if (same_user_name_ && request.has_user_name && request.user_name != name) {
      return reply.reject(ReasonCode::kBadUserNameOrPassword, "the user name is not that of the certificate",
                          "the certificate is that of " + name);
    }
    reply.accept(name);
  }

 private:
  [[nodiscard]] std::string_view name_in(const PeerIdentity* peer) const {
    if (peer == nullptr) return {};
    for (const std::string& from : name_from_) {
      if (const std::string_view name = name_in(*peer, from); !name.empty()) return name;
    }
    return {};
  }

  static std::string_view name_in(const PeerIdentity& peer, std::string_view from) {
    const auto first = [](const std::vector<std::string>& names) {
      return names.empty() ? std::string_view() : std::string_view(names.front());
    };
    if (from == "psk") return peer.psk_identity;
    if (!peer.certificate || !peer.certificate->is_verified) return {};
    const PeerCertificate& certificate = *peer.certificate;
    if (from == "common_name") return certificate.common_name;
    if (from == "subject") return certificate.subject;
    if (from == "dns") return first(certificate.dns_names);
    if (from == "email") return first(certificate.email_addresses);
    if (from == "uri") return first(certificate.uris);
    return certificate.fingerprint;
  }

  void otherwise(AuthReply reply, std::string_view why) const {
    if (!rejects_) return reply.pass();
    reply.reject(ReasonCode::kBadUserNameOrPassword, "a certificate or key that is known here is needed", why);
  }

  std::vector<std::string> name_from_;
  std::map<std::string, std::string, std::less<>> users_;
  std::string prefix_;
  bool same_user_name_ = false;
  bool rejects_ = false;
};

}  // namespace

MQLOOP_PLUGIN(AuthTls, "auth_tls", "1.0", "user names from certificates and shared keys")
