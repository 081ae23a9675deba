#include "tests/bench/support/counted_calls.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

namespace mqloop::bench {

namespace {

std::uint64_t calls = 0;
bool counts = false;

void count_one() noexcept { calls += counts ? 1 : 0; }

template <typename... Arguments>
long call(long number, Arguments... arguments) noexcept {
  count_one();
  return syscall(number, arguments...);
}

}  // namespace

std::uint64_t counted_calls() noexcept { return calls; }
void count_calls(bool on) noexcept { counts = on; }

}  // namespace mqloop::bench

using mqloop::bench::call;

// To be found by libevent too; the program is linked with -rdynamic.
#pragma GCC visibility push(default)
extern "C" {

ssize_t read(int fd, void* into, size_t size) { return call(SYS_read, fd, into, size); }
ssize_t write(int fd, const void* from, size_t size) { return call(SYS_write, fd, from, size); }
ssize_t readv(int fd, const iovec* parts, int count) { return call(SYS_readv, fd, parts, count); }
ssize_t writev(int fd, const iovec* parts, int count) { return call(SYS_writev, fd, parts, count); }
ssize_t recv(int fd, void* into, size_t size, int flags) {
  return call(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
}
ssize_t send(int fd, const void* from, size_t size, int flags) {
  return call(SYS_sendto, fd, from, size, flags, nullptr, 0);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) { return call(SYS_recvmsg, fd, message, flags); }
ssize_t sendmsg(int fd, const msghdr* message, int flags) { return call(SYS_sendmsg, fd, message, flags); }
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return static_cast<int>(call(SYS_accept4, fd, address, size, flags));
}
int shutdown(int fd, int how) noexcept { return static_cast<int>(call(SYS_shutdown, fd, how)); }
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return static_cast<int>(call(SYS_setsockopt, fd, level, name, value, size));
}
int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  return static_cast<int>(call(SYS_getsockname, fd, address, size));
}
int close(int fd) { return static_cast<int>(call(SYS_close, fd)); }
int epoll_ctl(int fd, int operation, int about, epoll_event* event) noexcept {
  return static_cast<int>(call(SYS_epoll_ctl, fd, operation, about, event));
}
int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  const long ready = syscall(SYS_epoll_wait, fd, events, most, timeout);
  if (ready > 0) mqloop::bench::count_one();
  return static_cast<int>(ready);
}
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* before) noexcept {
  return static_cast<int>(call(SYS_timerfd_settime, fd, flags, value, before));
}
}
#pragma GCC visibility pop
