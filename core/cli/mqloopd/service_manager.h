// ServiceManager: tells systemd, or any other supervisor that knows its protocol (sd_notify(3)), how the daemon is:
// datagrams of KEY=VALUE lines to the socket that $NOTIFY_SOCKET names, by path or, with a leading '@', in the abstract
// namespace. Owned by the daemon; any thread may call it. Without such a socket every call does nothing.
//
//   state        what is sent                                  when
//   starting     nothing                                       from the start to ready()
//   serving      READY=1, STATUS=                              every listener is open; after a reload too
//   reloading    RELOADING=1, MONOTONIC_USEC=                  until the next ready(), which must follow
//   stopping     STOPPING=1, STATUS=                           until the end
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <mqloop/status.h>

namespace mqloop::cli {

class ServiceManager {
 public:
  // What the environment says, which is then freed of it: a process started by a plugin is not the service. Call it
  // before there are threads. Fails when there is such a socket and it cannot be reached.
  static Result<std::unique_ptr<ServiceManager>> from_environment();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // `status` is one line for people, which `systemctl status` shows.
  void ready(std::string_view status) noexcept;
  void reloading() noexcept;
  void stopping() noexcept;
  // The daemon is alive. To be sent at least once in each watchdog_period().
  void feed_watchdog() noexcept;
  // Zero: nobody watches.
  [[nodiscard]] std::chrono::milliseconds watchdog_period() const noexcept { return watchdog_period_; }

 private:
  ServiceManager(int socket, std::chrono::milliseconds watchdog_period)
      : socket_(socket), watchdog_period_(watchdog_period) {}
  void tell(std::string_view state, int flags) noexcept;

  const int socket_;  // -1: nobody listens
  const std::chrono::milliseconds watchdog_period_;
};

}  // namespace mqloop::cli
