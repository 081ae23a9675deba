// auth_file: user names and passwords from a file, in the format of mosquitto. README.md tells the options; who is let
// in, how and when is decided in login_queue.h.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <mqloop/log.h>
#include <mqloop/plugin.h>

#include "core/password/password_file.h"
#include "plugins/auth_file/login_queue.h"

namespace {

using namespace mqloop;
using auth_file::LoginLimits;
using auth_file::LoginQueue;

MonotonicTime steady_now() noexcept {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now());
}

std::string how_to_create(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return path.substr(slash + 1) + ": no such file (looked in " + path.substr(0, slash) +
         "); create it: mqloop passwd -c " + path + " NAME";
}

class AuthFile final : public AuthenticatorPlugin {
 public:
  void describe(Schema& schema) override {
    schema.path("file", "the password file, as mosquitto_passwd and mqloop passwd write it").required().not_empty();
    schema.duration("cache_ttl", "how long a password that was right is not hashed again; 0s = it always is")
        .defaults_to("60s")
        .at_least("0s");
    schema.integer("cache_entries", "for how many users at most")
        .defaults_to("20000")
        .at_least("0")
        .at_most("10000000");
    schema.integer("max_waiting", "clients that may wait for a hash; more are refused with Server busy")
        .defaults_to("1000")
        .at_least("1")
        .at_most("100000");
    schema.duration("max_wait", "how long one may wait for its hash to begin; keep it below the plugin's timeout")
        .defaults_to("1s")
        .at_least("1ms");
  }

  Status configure(const ConfigNode& config) override {
    const std::string path = config["file"].as_string();
    Result<password::LoadedPasswordFile> loaded = password::load_password_file(path);
    if (!loaded.ok()) {
      const Status& why = loaded.status();
      const std::string text = why.code() == StatusCode::kNotFound ? how_to_create(path) : std::string(why.message());
      return {why.code(), config["file"].error(text).message()};
    }
    if (loaded->mistakes.count != 0) return invalid_argument(text_of(loaded->mistakes, path));
    LoginLimits limits;
    limits.cache_ttl = config["cache_ttl"].as_duration();
    limits.cache_entries = config["cache_entries"].as_uint();
    limits.most_waiting = config["max_waiting"].as_uint();
    limits.longest_wait = config["max_wait"].as_duration();
    path_ = path;
    others_may_read_ = loaded->others_may_read;
    logins_ = Ref<LoginQueue>::adopt(new LoginQueue(std::move(loaded->users), limits, steady_now));
    return logins_->open();
  }

  std::unique_ptr<PluginLocal> start(ReactorApi& reactor) override {
    if (reactor.index() == 0) {
      reactor.log().write(LogLevel::kInfo, "auth_file", "password file read",
                          {{"file", path_}, {"users", std::to_string(logins_->users().size())}});
      if (others_may_read_) {
        reactor.log().write(LogLevel::kWarn, "auth_file", "everybody on this machine can read the password file",
                            {{"file", path_}, {"mend", "chmod o-r " + path_}});
      }
    }
    return nullptr;
  }

  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (!request.has_user_name) return reply.pass();
    // Left out is not empty, and not right whoever it is (CVE-2016-9877).
    if (!request.has_password) {
      return reply.reject(ReasonCode::kBadUserNameOrPassword, auth_file::kWrongCredentials, "no_password");
    }
    logins_->login(request.reactor(), request.user_name, request.password, std::move(reply));
  }

 private:
  std::string path_;
  bool others_may_read_ = false;
  Ref<LoginQueue> logins_;
};

}  // namespace

MQLOOP_PLUGIN(AuthFile, "auth_file", "1.0", "user names and passwords from a file")
