#include "core/store/database_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace mqloop::store {
namespace {

// What its holder wrote into it: `process 123`, for whoever finds it locked.
std::string holder_of(int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  std::string holder;
  for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; ++i) holder += text[i];
  return holder.empty() ? "another process" : "process " + holder;
}

}  // namespace

Outcome DatabaseLock::acquire(const std::string& database_path) {
  release();
  const std::string path = database_path + ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const Cause cause = errno == ENOSPC || errno == EDQUOT                    ? Cause::kFull
                        : errno == EACCES || errno == EPERM || errno == EROFS ? Cause::kReadOnly
                                                                              : Cause::kOther;
    return {cause, path + ": " + std::generic_category().message(errno)};
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    Outcome outcome = errno == EWOULDBLOCK
                          ? Outcome(Cause::kBusy, database_path + ": " + holder_of(fd) + " has it open")
                          : Outcome(Cause::kOther, path + ": " + std::generic_category().message(errno));
    ::close(fd);
    return outcome;
  }
  // Only a courtesy: without it the text says less.
  const std::string text = std::to_string(::getpid()) + '\n';
  if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(fd, text.data(), text.size(), 0);
  fd_ = fd;
  return {};
}

void DatabaseLock::release() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace mqloop::store
