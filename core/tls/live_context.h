// LiveContext: the ServerContext of one listener, as its files are now. Looks at them every `watch_files` on a worker
// thread, and reads all of them again when some have changed and changed no more from one look to the next: key and
// certificate are replaced one after the other. What cannot be used then is told in the log, once, and what was read
// before stays. Warns of certificates that have expired or will soon, once a day. Whoever is connected keeps what it
// began with.
//
// Made on any thread; from start() to stop() the listener's reactor has it.
#pragma once

#include <event2/event_struct.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include <mqloop/publisher.h>
#include <mqloop/reactor_api.h>
#include <mqloop/status.h>

#include "core/tls/file_states.h"
#include "core/tls/server_context.h"
#include "core/tls/server_options.h"

namespace mqloop::tls {

class LiveContext {
 public:
  // Reads the files. May take a while.
  [[nodiscard]] static Result<std::unique_ptr<LiveContext>> make(ServerOptions options);
  ~LiveContext();
  LiveContext(const LiveContext&) = delete;
  LiveContext& operator=(const LiveContext&) = delete;

  // For the next connection; never null.
  [[nodiscard]] std::shared_ptr<const ServerContext> current() const noexcept { return current_; }

  void start(ReactorApi& reactor) noexcept;
  void stop() noexcept;
  // Goes on with what `made` has read of the same options.
  void renew(LiveContext& made) noexcept;
  // tls/handshakes, tls/resumed, tls/failed, tls/reads, tls/certificate_expires (seconds from now).
  void report(Figures& figures) const;

 private:
  struct Look;

  LiveContext(ServerOptions options, FileStates states, std::shared_ptr<ServerContext> context);
  static void on_tick(int fd, short what, void* self);
  void arm() noexcept;
  void look() noexcept;
  void looked(Look& look) noexcept;
  void replace(std::shared_ptr<ServerContext> next, FileStates states) noexcept;
  void warn(std::string_view event, std::string_view file, std::string_view mend) noexcept;
  void warn_of_certificates() noexcept;
  [[nodiscard]] std::chrono::system_clock::time_point now() const noexcept;

  const std::shared_ptr<const ServerOptions> options_;
  std::shared_ptr<ServerContext> current_;
  FileStates read_;    // of what is current
  FileStates seen_;    // at the last look
  FileStates failed_;  // what could not be used; empty: nothing
  std::uint64_t reads_ = 1;
  ReactorApi* reactor_ = nullptr;  // null: stopped
  ::event tick_;
  Look* look_ = nullptr;  // under way, and its own owner
  std::optional<MonotonicTime> warned_;
};

}  // namespace mqloop::tls
