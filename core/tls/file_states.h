// What tells whether files are the same as before, without reading them: links are followed, so that a file counts as
// changed when a link on the way to it leads elsewhere.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mqloop::tls {

struct FileState {
  dev_t device = 0;
  ino_t inode = 0;  // 0: it cannot be seen
  off_t size = 0;
  std::int64_t modified = 0;  // nanoseconds
  std::int64_t changed = 0;
  friend bool operator==(const FileState&, const FileState&) = default;
};

using FileStates = std::vector<FileState>;

// In the order of `files`. May wait for a disk.
[[nodiscard]] FileStates states_of(const std::vector<std::string>& files);

}  // namespace mqloop::tls
