// Where the tests of the plugin host find things: the samples of tests/plugin, built beside this binary, and a folder
// for configuration files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace mqloop::plugin_test {

inline std::string samples() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "samples").string();
}

// Gone with everything in it at the end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "mqloop-plugin-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  // Writes a file and returns its path.
  std::string write(std::string_view name, std::string_view text) const {
    const std::string file = path_ + '/' + std::string(name);
    std::ofstream(file) << text;
    return file;
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// A variable of the environment for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace mqloop::plugin_test
