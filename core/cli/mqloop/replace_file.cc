#include "core/cli/mqloop/replace_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>

namespace mqloop::cli {

namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class SignalsWait {
 public:
  SignalsWait() noexcept {
    sigset_t held;
    sigemptyset(&held);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE}) sigaddset(&held, number);
    sigprocmask(SIG_BLOCK, &held, &before_);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  ~SignalsWait() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// The file beside the one that it is to become; gone at the end, unless it took its name.
class FileBeside {
 public:
  explicit FileBeside(const std::string& path) {
    const std::string folder = folder_of(path);
    name_ = (folder == "/" ? folder : folder + '/') + ".mqloop-passwd-XXXXXX";
    fd_ = ::mkostemp(name_.data(), O_CLOEXEC);  // mode 0600
  }
  FileBeside(const FileBeside&) = delete;
  FileBeside& operator=(const FileBeside&) = delete;
  ~FileBeside() {
    if (fd_ < 0) return;
    ::close(fd_);
    if (!named_) ::unlink(name_.c_str());
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  void has_its_name() noexcept { named_ = true; }

 private:
  std::string name_;
  int fd_;
  bool named_ = false;
};

bool write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Status sync_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return from_errno(errno, folder);
  const Status status = ::fsync(fd) == 0 ? ok() : from_errno(errno, folder);
  ::close(fd);
  return status;
}

Status cannot_write(const std::string& path) { return from_errno(errno, "cannot write " + path); }

// Owner, group and mode of `old`; the owner first, for changing it takes mode bits away.
Status take_after(const FileBeside& file, const struct stat& old, const std::string& path) {
  struct stat own {};
  if (::fstat(file.fd(), &own) != 0) return cannot_write(path);
  const bool same = own.st_uid == old.st_uid && own.st_gid == old.st_gid;
  if (!same && ::fchown(file.fd(), old.st_uid, old.st_gid) != 0) {
    return from_errno(errno, path + ": cannot keep its owner and group; run this as root, or as its owner");
  }
  return ::fchmod(file.fd(), old.st_mode & 07777) == 0 ? ok() : cannot_write(path);
}

}  // namespace

Result<LockedFile> LockedFile::open(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr) return from_errno(errno, path);
  for (;;) {
    LockedFile file(real.get(), ::open(real.get(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.fd_ < 0) return from_errno(errno, path);
    struct stat about {};
    struct stat now {};
    if (::fstat(file.fd_, &about) != 0) return from_errno(errno, path);
    if (!S_ISREG(about.st_mode)) return invalid_argument(path + ": not a regular file");
    while (::flock(file.fd_, LOCK_EX) != 0) {
      if (errno != EINTR) return from_errno(errno, path);
    }
    // Whoever had the lock may have put another file in this one's place.
    if (::stat(real.get(), &now) != 0) return from_errno(errno, path);
    if (now.st_ino != about.st_ino || now.st_dev != about.st_dev) continue;
    char bytes[65536];
    for (;;) {
      const ssize_t got = ::read(file.fd_, bytes, sizeof bytes);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return from_errno(errno, path);
      if (got == 0) break;
      file.text_.append(bytes, static_cast<std::size_t>(got));
    }
    return file;
  }
}

LockedFile::LockedFile(LockedFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), text_(std::move(other.text_)) {}

LockedFile::~LockedFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status LockedFile::replace(std::string_view text) {
  const SignalsWait wait;
  struct stat old {};
  if (::fstat(fd_, &old) != 0) return cannot_write(path_);
  FileBeside file(path_);
  if (file.fd() < 0) return cannot_write(path_);
  if (Status status = take_after(file, old, path_); !status.ok()) return status;
  if (!write_all(file.fd(), text) || ::fsync(file.fd()) != 0) return cannot_write(path_);
  if (::rename(file.name().c_str(), path_.c_str()) != 0) return cannot_write(path_);
  file.has_its_name();
  return sync_folder(path_);
}

Status create_file(const std::string& path, std::string_view text) {
  const SignalsWait wait;
  FileBeside file(path);
  if (file.fd() < 0) return cannot_write(path);
  if (!write_all(file.fd(), text) || ::fsync(file.fd()) != 0) return cannot_write(path);
  // A link, since a name that is taken stays as it is then; the first name goes with the object.
  if (::link(file.name().c_str(), path.c_str()) != 0) return cannot_write(path);
  return sync_folder(path);
}

}  // namespace mqloop::cli
