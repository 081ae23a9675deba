// Does what no plugin may: it waits in a hook. A client whose identifier holds `block` is let in when there is a file
// at `until`; that the wait has begun shows in a file at `began`.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <mqloop/plugin.h>

namespace {

using namespace mqloop;

class Blocks final : public AuthenticatorPlugin {
 public:
  void describe(Schema& schema) override {
    schema.path("until", "the file to wait for").required();
    schema.path("began", "the file to make").required();
  }
  Status configure(const ConfigNode& config) override {
    until_ = config["until"].as_string();
    began_ = config["began"].as_string();
    return ok();
  }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (request.client_id.find("block") == std::string_view::npos) return reply.pass();
    std::ofstream(began_).put('\n');
    while (!std::filesystem::exists(until_)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    reply.accept();
  }

 private:
  std::string until_;
  std::string began_;
};

}  // namespace

MQLOOP_PLUGIN(Blocks, "blocks", "1.0", "waits where nobody may")
