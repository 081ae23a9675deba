// acl_file: who may publish and subscribe to what, from an access control list in mosquitto's grammar.
//
//   plugins:
//     - {name: rules, plugin: acl_file, config: {file: rules.acl}}
//   auth: {chains: {default: {authenticate: [users], authorize: [rules]}}}
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include <mqloop/plugin.h>

#include "plugins/acl_file/policy.h"

namespace {

using mqloop::Access;
using mqloop::AccessKind;
using mqloop::AuthorizeReply;
using mqloop::DeliveryAnswer;
using mqloop::DeliveryRight;
using mqloop::Status;
using mqloop::SubscribeRule;
using mqloop::acl::Answer;
using mqloop::acl::Client;
using mqloop::acl::Decision;
using mqloop::acl::Policy;

constexpr std::size_t kPiece = 64 << 10;

class File {
 public:
  explicit File(const std::string& path) noexcept : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  // All of it; else errno says why not.
  bool read(std::string& text) {
    if (descriptor_ < 0) return false;
    for (;;) {
      const std::size_t size = text.size();
      text.resize(size + kPiece);
      const ssize_t got = ::read(descriptor_, text.data() + size, kPiece);
      if (got < 0 && errno != EINTR) return false;
      text.resize(size + static_cast<std::size_t>(got < 0 ? 0 : got));
      if (got == 0) return true;
    }
  }

 private:
  int descriptor_;
};

// Where the text of the latest refusal of a delivery stands.
struct Local final : mqloop::PluginLocal {
  std::string rule;
};

class AclFile final : public mqloop::AuthorizerPlugin {
 public:
  void describe(mqloop::Schema& schema) override {
    schema.path("file", "the access control list, in mosquitto's grammar").required().not_empty();
  }

  Status configure(const mqloop::ConfigNode& config) override {
    const std::string path = config["file"].as_string();
    const std::size_t slash = path.rfind('/');
    name_ = path.substr(slash + 1);
    std::string text;
    if (!File(path).read(text)) {
      const Status why = mqloop::from_errno(errno, name_);
      std::string message = config["file"].position() + ": " + std::string(why.message());
      if (slash != std::string::npos) message += " (looked in " + path.substr(0, slash + 1) + ")";
      return {why.code(), message};
    }
    policy_ = std::make_unique<const Policy>(std::move(text));
    std::string mistakes;
    for (const mqloop::acl::Mistake& mistake : policy_->mistakes()) {
      if (!mistakes.empty()) mistakes += '\n';
      mistakes += name_ + ':' + std::to_string(mistake.line) + ':' + std::to_string(mistake.column) + ": ";
      mistakes += mistake.what;
    }
    return mistakes.empty() ? mqloop::ok() : mqloop::invalid_argument(mistakes);
  }

  std::unique_ptr<mqloop::PluginLocal> start(mqloop::ReactorApi& /*reactor*/) override {
    return std::make_unique<Local>();
  }

  void authorize(const Access& access, AuthorizeReply reply) const override {
    const Decision decision = decide(access);
    if (decision.answer == Answer::kAllow) return reply.allow();
    if (decision.answer == Answer::kDeny) return reply.deny(text_of(decision));
    if (access.subscribe_rule == SubscribeRule::kOverlap) return reply.check_each_delivery();
    reply.deny(name_ + " allows only some topics of this filter");
  }

  [[nodiscard]] DeliveryAnswer authorize_delivery(const Access& access) const override {
    const Decision decision = decide(access);
    if (decision.answer == Answer::kAllow) return {DeliveryRight::kAllow};
    std::string& rule = access.local<Local>().rule;
    rule = text_of(decision);
    return {DeliveryRight::kDeny, rule};
  }

 private:
  [[nodiscard]] Decision decide(const Access& access) const {
    const Client client{access.client_id, access.user_name};
    switch (access.kind) {
      case AccessKind::kPublish:
      case AccessKind::kWill:
        return policy_->on_topic(mqloop::acl::kWrite, access.topic, access.has_user_name, client);
      case AccessKind::kReceive:
        return policy_->on_topic(mqloop::acl::kRead, access.topic, access.has_user_name, client);
      case AccessKind::kSubscribe:
        return policy_->on_filter(access.topic, access.has_user_name, client);
    }
    return {};
  }

  [[nodiscard]] std::string text_of(const Decision& decision) const {
    if (decision.rule == nullptr) return "no rule of " + name_ + " allows it";
    return name_ + ':' + std::to_string(decision.rule->line);
  }

  std::string name_;  // of the file
  std::unique_ptr<const Policy> policy_;
};

}  // namespace

MQLOOP_PLUGIN(AclFile, "acl_file", "1.0", "access control list in mosquitto's grammar")
