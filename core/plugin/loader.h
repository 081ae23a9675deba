// Gets plugin code in: finds the file, loads it, and reads its magic block field by field before any C++ of it is
// called. Files are never unloaded: an object, an exception or a thread of theirs may outlive everything else.
// Start-up and reload, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/plugin_abi.h>
#include <mqloop/status.h>

namespace mqloop::plugin {

// Why the block, found in `file`, cannot be used by a host built with this plugin_abi.h; ok when it can.
[[nodiscard]] Status check_block(const mqloop_plugin_block* block, std::string_view file);

// Where plugins named without a path are looked for, first to last: `plugin_dir` alone, or when that is empty the
// build tree's folder and the installed one, both beside the running program.
[[nodiscard]] std::vector<std::string> plugin_folders(std::string_view plugin_dir);

// Where the broker keeps what must outlive it: `data_dir`, or when that is empty the installed folder, seen from the
// running program.
[[nodiscard]] std::string data_folder(std::string_view data_dir);

class Loader {
 public:
  explicit Loader(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  // <folder>/<name>.so of the first folder that has one, which must call itself `name`.
  [[nodiscard]] Result<const mqloop_plugin_block*> load_named(std::string_view name);
  // Any file.
  [[nodiscard]] Result<const mqloop_plugin_block*> load_file(const std::string& path);

  // Of the loaded files those that have been replaced, changed or removed since.
  [[nodiscard]] std::vector<std::string> changed_files() const;

 private:
  // Tells one state of a file from another.
  struct FileState {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t modified = 0;  // nanoseconds
    friend bool operator==(const FileState&, const FileState&) = default;
  };
  struct LoadedFile {
    const mqloop_plugin_block* block;
    FileState state;
  };
  [[nodiscard]] static FileState state_of(const std::string& path) noexcept;

  std::vector<std::string> folders_;
  std::map<std::string, LoadedFile, std::less<>> loaded_;
};

}  // namespace mqloop::plugin
