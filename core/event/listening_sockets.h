// Opens what a SocketListener listens on: each function gives sockets that listen already, or says why there are none.
// At start and at a reload, on a thread that may wait.
//
// `running` are the sockets of the listener whose place is taken, if any: where one of them is at the very address that
// is wanted, a duplicate of it goes on, with the new options, and nobody who is waiting in its queue is lost.
#pragma once

#include <sys/stat.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/ref.h>
#include <mqloop/socket.h>
#include <mqloop/status.h>

#include "core/event/descriptor.h"

namespace mqloop::event {

// Of a function that opens: what is wrong, and where: "127.0.0.1:1883", or a path.
struct OpenOutcome {
  Status status;
  std::string where = {};
};

// A socket for each address that the name in `bind` has (listening_tcp.cc). An address whose family the machine lacks
// is left out when there is another one.
[[nodiscard]] OpenOutcome open_tcp(const SocketListener::Options& options, std::span<const int> running,
                                   std::vector<Descriptor>& into);

// Takes the path of a socket out of the file system when nobody holds this any more, if what stands there is that
// socket.
class BoundPath final : public SharedObject {
 public:
  BoundPath(std::string path, const struct stat& socket) : path_(std::move(path)), socket_(socket) {}
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  ~BoundPath() override;
  const std::string path_;
  const struct stat socket_;
};

// The Unix socket at its path (listening_unix.cc). `bound`: in, that of `running`; out, that of what was opened.
[[nodiscard]] OpenOutcome open_unix(const SocketListener::Options& options, std::span<const int> running,
                                    Ref<BoundPath>& bound, std::vector<Descriptor>& into);

// The sockets that systemd has opened for this process under the name `systemd_socket` (systemd_sockets.cc):
// duplicates, so that the listener after a reload finds them as well. `unix_socket` tells of what kind they have to be.
[[nodiscard]] OpenOutcome take_systemd_sockets(const SocketListener::Options& options, std::vector<Descriptor>& into);

// What the options say of TCP, for a socket that is not bound yet or listens already. (listening_tcp.cc)
void apply_tcp_options(int fd, const SocketListener::Options& options) noexcept;

}  // namespace mqloop::event
