#include "plugins/publisher_sqlite/place.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace mqloop::publisher_sqlite {

namespace {

std::string name_of_user(uid_t user) {
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) return found->pw_name;
  return std::to_string(user);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

Status check_file(const std::string& path) {
  struct stat about;
  if (stat(path.c_str(), &about) != 0) {
    return errno == ENOENT ? ok() : from_errno(errno, path);
  }
  if (!S_ISREG(about.st_mode)) return invalid_argument(path + ": not a file");
  if (about.st_uid != geteuid()) {
    const std::string us = name_of_user(geteuid());
    return {StatusCode::kPermissionDenied, path + ": belongs to " + name_of_user(about.st_uid) + ", and we run as " +
                                               us + ". chown " + us + " " + path};
  }
  if ((about.st_mode & 077) != 0) {
    return {StatusCode::kPermissionDenied,
            path + ": others may open it, and it holds messages of all clients. chmod 600 " + path};
  }
  return ok();
}

// A full disk, a read-only file system, a wrong owner: they all show here.
Status probe(const std::string& path) {
  unlink(path.c_str());  // left by one that was killed
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) {
    const int error = errno;
    std::string text = path + ": cannot create a file";
    struct stat about;
    if (error == EACCES && stat(folder_of(path).c_str(), &about) == 0) {
      const std::string us = name_of_user(geteuid());
      text += " (its folder belongs to " + name_of_user(about.st_uid) + ", we run as " + us + "; chown " + us + " " +
              folder_of(path) + ")";
    }
    return from_errno(error, text);
  }
  const std::array<char, 4096> page{};
  Status status;
  if (const ssize_t size = write(file, page.data(), page.size()); size != static_cast<ssize_t>(page.size())) {
    status = from_errno(size < 0 ? errno : ENOSPC, path + ": cannot write");
  } else if (fdatasync(file) != 0) {
    status = from_errno(errno, path + ": cannot be synced to the disk");
  }
  close(file);
  unlink(path.c_str());
  return status;
}

}  // namespace

Status check_place(const std::string& database_path) {
  if (Status status = check_file(database_path); !status.ok()) return status;
  return probe(database_path + ".probe");
}

}  // namespace mqloop::publisher_sqlite
