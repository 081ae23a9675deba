// Files that are written whole or not at all: what is new goes into a file beside the old one, is synced, and takes the
// old one's name. Signals that would end the program wait meanwhile. One thread.
#pragma once

#include <string>
#include <string_view>

#include <mqloop/status.h>

namespace mqloop::cli {

// An existing file, locked against another program that does the same: what this one reads is what it replaces.
class LockedFile {
 public:
  // `path` may be a symbolic link: the file that it leads to is meant. Waits for the lock.
  static Result<LockedFile> open(const std::string& path);
  LockedFile(LockedFile&& other) noexcept;
  LockedFile& operator=(LockedFile&&) = delete;
  LockedFile(const LockedFile&) = delete;
  ~LockedFile();

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  // Keeps owner, group and mode.
  [[nodiscard]] Status replace(std::string_view text);

 private:
  LockedFile(std::string path, int fd) noexcept : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
  std::string text_;
};

// A new file with mode 0600; kAlreadyExists when there is something by that name.
[[nodiscard]] Status create_file(const std::string& path, std::string_view text);

}  // namespace mqloop::cli
