#include "core/tls/file_states.h"

#include <sys/stat.h>

namespace mqloop::tls {

namespace {

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec; }

}  // namespace

FileStates states_of(const std::vector<std::string>& files) {
  FileStates states;
  states.reserve(files.size());
  for (const std::string& file : files) {
    FileState& state = states.emplace_back();
    struct stat info {};
    if (stat(file.c_str(), &info) != 0) continue;
    state = {info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
  }
  return states;
}

}  // namespace mqloop::tls
