// Throws where its option says: in describe() and in the constructor the environment says it, there are no options yet.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include <mqloop/plugin.h>

namespace {

bool environment_says(std::string_view where) {
  const char* value = std::getenv("MQLOOP_SAMPLE_THROWS_IN");
  return value != nullptr && where == value;
}

class Throws final : public mqloop::AuthenticatorPlugin {
 public:
  Throws() {
    if (environment_says("constructor")) throw std::runtime_error("no memory of that");
  }
  void describe(mqloop::Schema& schema) override {
    if (environment_says("describe")) throw std::runtime_error("beyond description");
    schema.enumeration("in", "where to throw", {"configure", "start", "authenticate", "nowhere"}).required();
    schema.integer("code", "what to throw").defaults_to("7").at_most("9");
  }
  mqloop::Status configure(const mqloop::ConfigNode& config) override {
    in_ = config["in"].as_string();
    if (config["code"].as_int() == 3) return config["code"].error("3 is an unlucky number");
    if (config["code"].as_int() == 5) {
      return mqloop::invalid_argument("badges.txt:3:1: no badge\nbadges.txt:2:14: 'x' is no code: it is short");
    }
    if (config["code"].as_int() == 4) return {mqloop::StatusCode::kUnavailable, "4 is not to be had"};
    if (in_ == "configure") throw static_cast<int>(config["code"].as_int());
    return mqloop::ok();
  }
  std::unique_ptr<mqloop::PluginLocal> start(mqloop::ReactorApi& /*reactor*/) override {
    if (in_ == "start") throw std::runtime_error("not today");
    return nullptr;
  }
  void authenticate(const mqloop::ConnectRequest& request, mqloop::AuthReply /*reply*/) const override {
    throw std::runtime_error("fell over " + std::string(request.client_id));
  }

 private:
  std::string in_;
};

}  // namespace

MQLOOP_PLUGIN(Throws, "throws", "1.0", "throws an exception where it is told to")
