#include "tests/conformance/publishers.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <mqloop/config.h>
#include <mqloop/plugin.h>

#include "core/config/check.h"
#include "core/config/yaml_reader.h"
#include "core/plugin/loader.h"
#include "tests/support/simulated_publisher.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::conformance {

namespace {

class Simulated final : public PublisherUnderTest {
 public:
  explicit Simulated(sim::SimulatedRandom& random) : publisher_({}, random) {}
  Publisher& publisher() override { return publisher_; }
  [[nodiscard]] std::vector<std::string> complaints() const override { return publisher_.faults(); }

 private:
  sim::SimulatedPublisher publisher_;
};

// A folder of its own for one publisher, made when the options ask for one.
class Folder {
 public:
  explicit Folder(std::string& options) {
    constexpr std::string_view kWord = "FOLDER";
    const std::size_t at = options.find(kWord);
    if (at == std::string::npos) return;
    path_ = (std::filesystem::temp_directory_path() / "mqloop-conformance-XXXXXX").string();
    CHECK(mkdtemp(path_.data()) != nullptr);
    options.replace(at, kWord.size(), path_);
  }
  ~Folder() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

 private:
  std::string path_;
};

class Loaded final : public PublisherUnderTest {
 public:
  Loaded(const mqloop_plugin_block& block, std::string options)
      : folder_(options), block_(block), plugin_(static_cast<Plugin*>(block.create())) {
    Schema schema;
    plugin_->describe(schema);
    config::Errors errors;
    written_.set_root(config::read_yaml(written_, written_.source("MQLOOP_PUBLISHER_OPTIONS", "/"), options, errors));
    options_ = config::check(schema, written_.root(), errors);
    STRCMP_EQUAL("", errors.text().c_str());
    CHECK(plugin_->configure(options_.root()).ok());
    CHECK(plugin_->publisher() != nullptr);
  }
  ~Loaded() override {
    plugin_->stop();
    block_.destroy(plugin_);
  }
  Publisher& publisher() override { return *plugin_->publisher(); }

 private:
  Folder folder_;
  const mqloop_plugin_block& block_;
  Plugin* plugin_;
  config::Document written_;
  config::Document options_;
};

}  // namespace

std::unique_ptr<PublisherUnderTest> make_publisher(const std::string& name, sim::SimulatedRandom& random) {
  if (name == "simulated") return std::make_unique<Simulated>(random);
  // This program stands in build/tests, the plugins beside it.
  const char* build = std::getenv("MQLOOP_BUILD");
  static plugin::Loader loader({std::string(build == nullptr ? "build" : build) + "/plugins"});
  const auto block = loader.load_named(name);
  if (!block.ok()) FAIL(std::string(block.status().message()).c_str());
  const char* options = std::getenv("MQLOOP_PUBLISHER_OPTIONS");
  return std::make_unique<Loaded>(**const_cast<Result<const mqloop_plugin_block*>&>(block).operator->(),
                                  options == nullptr ? "{}" : options);
}

void wait_for_threads(Publisher& publisher) {
  if (publisher.capabilities().durable) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::string publisher_name() {
  const char* name = std::getenv("MQLOOP_PUBLISHER");
  return name == nullptr ? "simulated" : name;
}

}  // namespace mqloop::conformance
