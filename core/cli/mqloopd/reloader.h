// Reloader: takes a changed configuration while the broker runs (SIGHUP), all of it or nothing.
//
//   state      meaning                                                     goes to
//   starting   the broker has not started yet                              idle
//   idle       the configuration that runs is what the file said last      reading
//   reading    a thread of our own reads the files again, checks all of    switching; or idle, when there was a
//              it, makes the plugins anew and opens new listeners          mistake: told, and nothing has changed
//   switching  the broker changes over (Broker::reconfigure)               idle; what changed is told
//
// A request in any state but idle is remembered, one, and begins when that state is reached. Owned by the daemon; its
// calls are on loop 0's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include <mqloop/ref.h>

#include "core/base/log.h"
#include "core/broker/broker.h"
#include "core/broker/configuration.h"
#include "core/config/document.h"
#include "core/config/loader.h"
#include "core/config/print.h"
#include "core/event/loop.h"
#include "core/event/worker_pool.h"
#include "core/plugin/host.h"

namespace mqloop::cli {

class Reloader {
 public:
  // Where it works; all of it outlives the reloader.
  struct Place {
    plugin::PluginHost& host;
    const config::Input& input;
    event::Loop& loop;  // loop 0
    const Clock& clock;
    StreamLog& log;
  };
  // Called on loop 0's thread: a service manager wants to know.
  struct Told {
    std::function<void()> begins;
    std::function<void()> ended;  // well or not
  };

  // `running` is what the broker was started with.
  Reloader(const Place& place, Ref<broker::BrokerConfiguration> running, Told told);
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;
  // Waits for the thread.
  ~Reloader();

  // `broker` has started, and outlives the reloader.
  void start(broker::Broker& broker);
  void request();
  // No reload begins any more, and one that is being read comes to nothing.
  void stop() noexcept { stopping_ = true; }

  // When the loops have ended: what is being read comes to its end, at most for `patience`. Then loop 0 has mail.
  void finish(std::chrono::milliseconds patience) noexcept { (void)threads_.stop(patience); }

  // Lets go of a configuration on a thread that may wait for its plugins to stop: Environment::retired.
  void retire(Ref<const broker::BrokerConfiguration> configuration);

 private:
  enum class State : std::uint8_t { kStarting, kIdle, kReading, kSwitching };
  struct Attempt;

  void begin();
  void read() noexcept;
  void read_all();
  void keep_what_needs_a_restart();
  void open_listeners();
  void has_read();
  void has_switched(const Status& status);
  void refused();
  void give_up();
  void tell_changes();
  void end();

  Place place_;
  Told told_;
  broker::Broker* broker_ = nullptr;
  State state_ = State::kStarting;
  bool again_ = false;
  bool stopping_ = false;
  std::uint64_t taken_ = 0;  // since the start
  std::uint64_t refused_ = 0;
  Ref<broker::BrokerConfiguration> running_;
  // What keys that need a restart are compared with: a copy, since the configuration itself goes at the first reload.
  config::Document at_start_;
  config::CheckedBlocks blocks_at_start_;
  std::unique_ptr<Attempt> attempt_;  // the thread's while reading
  event::WorkerPool threads_;         // last: it waits for what uses the rest
};

}  // namespace mqloop::cli
