// Reads its users from a file once, in configure(): whoever changes the file must ask for a reload. A line is
// `name:password:prefix`; `name` enters with `password` and may use topics and filters that begin with `prefix`. Others
// are passed on. The file, and a copy of its descriptor for each reactor, stay open as long as the instance lives, so
// that a test can count instances.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <mqloop/plugin.h>

namespace {

using mqloop::Access;
using mqloop::AuthorizeReply;
using mqloop::AuthReply;
using mqloop::ConnectRequest;
using mqloop::ReasonCode;

struct OpenFile final : mqloop::PluginLocal {
  explicit OpenFile(int descriptor) : fd(descriptor) {}
  ~OpenFile() override {
    if (fd >= 0) close(fd);
  }
  const int fd;
};

class UserFile final : public mqloop::Plugin, public mqloop::Authenticator, public mqloop::Authorizer {
 public:
  void describe(mqloop::Schema& schema) override {
    schema.path("file", "name:password:prefix, a line each").required();
    schema.secret("salt", "shows how a changed secret is told");
  }

  mqloop::Status configure(const mqloop::ConfigNode& config) override {
    const std::string path = config["file"].as_string();
    file_ = std::make_unique<OpenFile>(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file_->fd < 0) return mqloop::from_errno(errno, path);
    std::ifstream lines("/proc/self/fd/" + std::to_string(file_->fd));
    if (!lines) return mqloop::from_errno(errno, path);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      const std::size_t first = line.find(':');
      const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
      if (second == std::string::npos) {
        return config["file"].error(path + ":" + std::to_string(number) + ": not name:password:prefix");
      }
      users_[line.substr(0, first)] = {line.substr(first + 1, second - first - 1), line.substr(second + 1)};
    }
    return mqloop::ok();
  }

  std::unique_ptr<mqloop::PluginLocal> start(mqloop::ReactorApi& /*reactor*/) override {
    return std::make_unique<OpenFile>(fcntl(file_->fd, F_DUPFD_CLOEXEC, 0));
  }

  mqloop::Authenticator* authenticator() noexcept override { return this; }
  mqloop::Authorizer* authorizer() noexcept override { return this; }

  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    const auto user = users_.find(request.user_name);
    if (user == users_.end()) return reply.pass();
    if (mqloop::same_secret(user->second.password, request.password)) return reply.accept();
    reply.reject(ReasonCode::kBadUserNameOrPassword, "wrong password");
  }

  void authorize(const Access& access, AuthorizeReply reply) const override {
    const auto user = users_.find(access.user_name);
    if (user == users_.end()) return reply.pass();
    if (access.topic.starts_with(user->second.prefix)) return reply.allow();
    reply.deny("the topic does not begin with " + user->second.prefix);
  }

 private:
  struct User {
    std::string password;
    std::string prefix;
  };
  std::map<std::string, User, std::less<>> users_;
  std::unique_ptr<OpenFile> file_;
};

}  // namespace

MQLOOP_PLUGIN(UserFile, "user_file", "1.0", "users and what they may do, from a file")
