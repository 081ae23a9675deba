// What tests of the configuration share: a folder of files, an environment, and a schema held against a text.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/check.h"
#include "core/config/errors.h"
#include "core/config/yaml_reader.h"

namespace mqloop::config {

// A folder of its own, the current one while it lives, so that messages name files as a person in that folder would.
class TestFolder {
 public:
  TestFolder() : before_(std::filesystem::current_path()) {
    char name[] = "/tmp/mqloop-config-XXXXXX";
    path_ = ::mkdtemp(name);
    std::filesystem::current_path(path_);
  }
  ~TestFolder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(path_);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  void write(const std::string& name, std::string_view text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }
  // The top of the source tree: where all tests start.
  [[nodiscard]] std::string started_in() const { return before_.string(); }

 private:
  std::filesystem::path before_;
  std::filesystem::path path_;
};

// The same for every test, whatever the machine has set.
inline const char* test_environment(const char* name) {
  static const std::map<std::string_view, const char*> kVariables = {
      {"PORT", "1884"}, {"EMPTY", ""}, {"SPACED", "a: b, {c}"}, {"DOLLAR", "${PORT}"}};
  const auto found = kVariables.find(name);
  return found == kVariables.end() ? nullptr : found->second;
}

// A text as `t.yaml`, raw.
class RawText {
 public:
  explicit RawText(std::string_view text) {
    Node* root = read_yaml(document_, document_.source("t.yaml", "/folder"), text, errors_);
    document_.set_root(root);
  }
  [[nodiscard]] ConfigNode root() const { return document_.root(); }
  [[nodiscard]] std::string errors() const { return errors_.text(); }

 private:
  Document document_;
  Errors errors_;
};

// A text as `t.yaml`, held against a schema.
class CheckedText {
 public:
  CheckedText(const Schema& schema, std::string_view text, CheckOptions options = {}) {
    Document raw;
    raw.set_root(read_yaml(raw, raw.source("t.yaml", "/folder"), text, errors_));
    options.environment = test_environment;
    document_ = check(schema, raw.root(), errors_, options);
  }
  [[nodiscard]] ConfigNode root() const { return document_.root(); }
  [[nodiscard]] std::string errors() const { return errors_.text(); }
  [[nodiscard]] const Errors& all_errors() const { return errors_; }

 private:
  Document document_;
  Errors errors_;
};

}  // namespace mqloop::config
