#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "core/event/listening_sockets.h"

namespace mqloop::event {

namespace {

// For another broker that is about to make the same socket.
constexpr int kLockAttempts = 100;
constexpr std::chrono::milliseconds kBetweenAttempts{20};

bool fill(sockaddr_un& address, const std::string& path) noexcept {
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

bool is_same_file(const struct stat& a, const struct stat& b) noexcept {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string name_of_process(pid_t pid) {
  std::ifstream command("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(command, name);
  return name;
}

Status held_by(int probe) {
  ucred holder{};
  socklen_t size = sizeof holder;
  std::string who = "another process";
  if (getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &holder, &size) == 0 && holder.pid > 0) {
    who = holder.pid == getpid() ? "this process"
                                 : "pid " + std::to_string(holder.pid) + " (" + name_of_process(holder.pid) + ")";
  }
  return {StatusCode::kAlreadyExists, "already used by " + who + ". Stop it, or set another path:."};
}

// Makes the socket, or explains why not. Whoever makes one in the same folder at the same time waits, so that nobody
// takes away as stale what the other has just made and does not listen on yet.
class UnixOpener {
 public:
  UnixOpener(const UnixSocketPath& at, int backlog) noexcept : at_(at), backlog_(backlog) {}

  Status open(Descriptor& into, Ref<BoundPath>& bound) {
    if (!fill(address_, at_.path)) return invalid_argument("a path of a socket has 107 bytes at most");
    if (Status status = lock_folder(); !status.ok()) return status;
    Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return from_errno(errno, "socket");
    fchmod(fd.get(), 0);  // nobody's, until it is whose it is to be
    if (Status status = bind_it(fd.get()); !status.ok()) return status;
    struct stat made {};
    if (lstat(at_.path.c_str(), &made) != 0) return from_errno(errno, "it is gone again");
    bound = Ref<BoundPath>::adopt(new BoundPath(at_.path, made));
    if (Status status = give_away(); !status.ok()) return status;
    if (listen(fd.get(), backlog_) != 0) return from_errno(errno, "listen");
    into = std::move(fd);
    return ok();
  }

  // Whose it is and who may connect.
  Status give_away() const {
    if ((at_.owner || at_.group) && lchown(at_.path.c_str(), at_.owner.value_or(static_cast<uid_t>(-1)),
                                           at_.group.value_or(static_cast<gid_t>(-1))) != 0) {
      return from_errno(errno, "cannot be given to the owner or group that is asked for");
    }
    return chmod(at_.path.c_str(), at_.mode) == 0 ? ok() : from_errno(errno, "its mode cannot be set");
  }

 private:
  [[nodiscard]] const sockaddr* address() const noexcept { return reinterpret_cast<const sockaddr*>(&address_); }

  Status lock_folder() {
    const std::string folder = at_.path.substr(0, std::max<std::size_t>(at_.path.rfind('/'), 1));
    folder_ = Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder_.get() < 0) return from_errno(errno, "the folder " + folder);
    for (int i = 0; i != kLockAttempts; ++i) {
      if (flock(folder_.get(), LOCK_EX | LOCK_NB) == 0) return ok();
      if (errno != EWOULDBLOCK && errno != EINTR)
        return from_errno(errno, "the folder " + folder + " cannot be locked");
      std::this_thread::sleep_for(kBetweenAttempts);
    }
    return {StatusCode::kUnavailable, "another process has locked the folder " + folder};
  }

  Status bind_it(int fd) {
    if (::bind(fd, address(), sizeof address_) == 0) return ok();
    if (errno != EADDRINUSE) return from_errno(errno, "bind");
    if (Status status = clear_away(); !status.ok()) return status;
    return ::bind(fd, address(), sizeof address_) == 0 ? ok() : from_errno(errno, "bind");
  }

  // What stands in the way, if it is a socket on which nobody listens.
  Status clear_away() {
    struct stat there {};
    if (lstat(at_.path.c_str(), &there) != 0) return errno == ENOENT ? ok() : from_errno(errno, "what is there");
    if (!S_ISSOCK(there.st_mode)) {
      return {StatusCode::kAlreadyExists, "something is there that is no socket. Move it away, or set another path:."};
    }
    const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (probe.get() < 0) return from_errno(errno, "socket");
    if (connect(probe.get(), address(), sizeof address_) == 0) return held_by(probe.get());
    if (errno == EAGAIN || errno == EPROTOTYPE) {  // its queue is full; it is a socket of another kind
      return {StatusCode::kAlreadyExists, "already used by another process. Stop it, or set another path:."};
    }
    if (errno == ENOENT) return ok();
    if (errno != ECONNREFUSED) return from_errno(errno, "whether somebody listens there cannot be told");
    struct stat now {};
    if (lstat(at_.path.c_str(), &now) != 0 || !is_same_file(there, now)) {
      return {StatusCode::kUnavailable, "somebody else changes what is there"};
    }
    return unlink(at_.path.c_str()) == 0 ? ok() : from_errno(errno, "the stale socket there cannot be removed");
  }

  const UnixSocketPath& at_;
  const int backlog_;
  sockaddr_un address_{};
  Descriptor folder_;  // locked
};

}  // namespace

BoundPath::~BoundPath() {
  struct stat there {};
  if (lstat(path_.c_str(), &there) == 0 && is_same_file(there, socket_)) unlink(path_.c_str());
}

OpenOutcome open_unix(const SocketListener::Options& options, std::span<const int> running, Ref<BoundPath>& bound,
                      std::vector<Descriptor>& into) {
  const UnixSocketPath& at = *options.unix_socket;
  UnixOpener opener(at, options.backlog);
  if (bound && bound->path() == at.path && !running.empty()) {
    Descriptor fd(fcntl(running.front(), F_DUPFD_CLOEXEC, 0));
    if (fd.get() < 0) return {from_errno(errno, "cannot go on with the socket that is there"), at.path};
    if (Status status = opener.give_away(); !status.ok()) return {std::move(status), at.path};
    listen(fd.get(), options.backlog);
    into.push_back(std::move(fd));
    return {ok()};
  }
  Descriptor fd;
  if (Status status = opener.open(fd, bound); !status.ok()) {
    bound = nullptr;
    return {std::move(status), at.path};
  }
  into.push_back(std::move(fd));
  return {ok()};
}

}  // namespace mqloop::event
