#include "core/cli/mqloopd/run.h"

#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/build_info.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/broker/broker.h"
#include "core/cli/mqloopd/command_line.h"
#include "core/cli/mqloopd/heap.h"
#include "core/cli/mqloopd/open_log.h"
#include "core/cli/mqloopd/reloader.h"
#include "core/cli/mqloopd/service_manager.h"
#include "core/cli/mqloopd/watchdog.h"
#include "core/event/reactor.h"
#include "core/event/worker_pool.h"

namespace mqloop::cli {
namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::size_t kMostWaitingWork = 10'000;
constexpr std::chrono::seconds kWorkersEnd{5};
// What the broker keeps is nobody else's to read; the log's group and everybody who looks for the pid file are told
// apart where those are made.
constexpr mode_t kPrivate = 0077;

int complain(int exit_code, std::string_view message) {
  std::fprintf(stderr, "mqloopd: %.*s\n", static_cast<int>(message.size()), message.data());
  return exit_code;
}

// Gives up root's rights for those of `name`, for good.
Status become(const std::string& name) {
  if (name.empty()) return ok();
  const passwd* user = getpwnam(name.c_str());
  if (user == nullptr) return not_found("node.user: there is no user '" + name + "' on this machine");
  if (user->pw_uid == geteuid()) return ok();
  if (initgroups(name.c_str(), user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
    return from_errno(errno, "node.user: cannot become '" + name + "'");
  }
  return ok();
}

std::string name_of_user(uid_t id) {
  const passwd* user = getpwuid(id);
  return user == nullptr ? std::to_string(id) : user->pw_name;
}

// Why the folder cannot be written to, and what to do about that.
std::string explain_folder(const std::string& folder) {
  const std::string me = name_of_user(geteuid());
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0) return folder + ": " + std::generic_category().message(errno);
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
  return folder + ": cannot write there (owner " + name_of_user(info.st_uid) + ", mode " + mode + ", we run as " + me +
         "). chown " + me + " " + folder;
}

Status make_data_dir(const ConfigNode& configured) {
  if (configured.text().empty()) return ok();
  const std::string folder = configured.as_string();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return configured.error("node.data_dir: " + folder + ": " + error.message());
  if (access(folder.c_str(), W_OK | X_OK) != 0) return configured.error("node.data_dir: " + explain_folder(folder));
  return ok();
}

// Removes the file when the program ends in order.
class PidFile {
 public:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  ~PidFile() {
    if (written_) unlink(path_.c_str());
  }
  Status write() {
    if (path_.empty()) return ok();
    std::ofstream file(path_);
    file << getpid() << '\n';
    file.close();
    if (!file || chmod(path_.c_str(), 0644) != 0) return from_errno(errno, "node.pid_file: " + path_);
    written_ = true;
    return ok();
  }

 private:
  std::string path_;
  bool written_ = false;
};

// The broker with its threads, from the first listener to the last good-bye. Loop 0 is the main thread's.
class Daemon {
 public:
  Daemon(Ref<broker::BrokerConfiguration> configuration, plugin::PluginHost& host, const config::Input& input,
         StreamLog& log, SystemClock& clock, ServiceManager& manager)
      : configuration_(std::move(configuration)),
        host_(host),
        input_(input),
        log_(log),
        clock_(clock),
        manager_(manager),
        watchdog_(manager, log),
        workers_(kWorkers, kMostWaitingWork) {}
  ~Daemon() {
    if (signal_event_ != nullptr) event_free(signal_event_);
    if (signal_fd_ >= 0) close(signal_fd_);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  int run() {
    PidFile pid_file(configuration_->settings.node.pid_file);
    if (const int code = prepare(pid_file); code != kExitOk) return code;
    configuration_ = nullptr;  // the broker's now, and replaced by a reload
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i != reactors_.size(); ++i) {
      threads.emplace_back([this, i] { turn(*reactors_[i]); });
    }
    broker_->start([this](const Status& status) { started(status); });
    turn(*reactors_[0]);
    for (std::thread& thread : threads) thread.join();
    workers_.stop(kWorkersEnd);
    reloader_->finish(kWorkersEnd);
    (void)reactors_[0]->run_once(event::Reactor::Wait::kNo);  // configurations that were let go of at last
    reloader_.reset();
    broker_.reset();
    log_.write(LogLevel::kInfo, "mqloopd", "stopped");
    log_.flush();
    return exit_code_;
  }

 private:
  int prepare(PidFile& pid_file) {
    const std::uint32_t asked = configuration_->settings.node.threads;
    const std::uint32_t count = asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
    broker::Environment environment{random_, log_, {}};
    for (std::uint32_t i = 0; i != std::min(count, 64U); ++i) {
      Result<std::unique_ptr<event::Reactor>> reactor = event::Reactor::create({i, clock_, log_, &workers_});
      if (!reactor.ok()) return complain(kExitFailure, reactor.status().message());
      environment.loops.push_back(reactor->get());
      reactors_.push_back(*std::move(reactor));
    }
    environment.retired = [this](Ref<const broker::BrokerConfiguration> retired) {
      if (reloader_) reloader_->retire(std::move(retired));
    };
    reloader_ = std::make_unique<Reloader>(Reloader::Place{host_, input_, *reactors_[0], clock_, log_}, configuration_,
                                           Reloader::Told{[this] { manager_.reloading(); }, [this] { tell_ready(); }});
    broker_ = std::make_unique<broker::Broker>(configuration_, std::move(environment));
    if (Status status = broker_->open_listeners(); !status.ok()) return complain(kExitListener, status.message());
    if (Status status = become(configuration_->settings.node.user); !status.ok()) {
      return complain(status.code() == StatusCode::kNotFound ? kExitConfig : kExitFailure, status.message());
    }
    if (Status status = make_data_dir(configuration_->settings.document.root()["node"]["data_dir"]); !status.ok()) {
      return complain(kExitFile, status.message());
    }
    if (Status status = broker_->open_publisher(); !status.ok()) return complain(kExitFile, status.message());
    if (Status status = pid_file.write(); !status.ok()) return complain(kExitFile, status.message());
    if (Status status = watch_signals(); !status.ok()) return complain(kExitFailure, status.message());
    return kExitOk;
  }

  // Before any thread is made, so that all of them leave the signals to the descriptor.
  Status watch_signals() {
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&set, number);
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return from_errno(errno, "cannot block signals");
    signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_fd_ < 0) return from_errno(errno, "cannot watch for signals");
    signal_event_ = event_new(reactors_[0]->event_base(), signal_fd_, EV_READ | EV_PERSIST, &Daemon::on_signal, this);
    if (signal_event_ == nullptr || event_add(signal_event_, nullptr) != 0) {
      return {StatusCode::kResourceExhausted, "cannot watch for signals"};
    }
    return ok();
  }

  void turn(event::Reactor& reactor) {
    log_.batch_this_thread(true);
    if (const Status status = reactor.run(); !status.ok()) {
      log_.write(LogLevel::kError, "mqloopd", "a reactor cannot wait any more", {{"reason", status.message()}});
      exit_code_ = kExitFailure;
      stop_reactors();
    }
    log_.batch_this_thread(false);
  }

  void started(const Status& status) {
    if (status.ok()) {
      const std::string threads = std::to_string(reactors_.size());
      log_.write(LogLevel::kInfo, "mqloopd", "started", {{"version", build::kVersion}, {"threads", threads}});
      serve();
      return;
    }
    log_.write(LogLevel::kError, "mqloopd", "cannot start", {{"reason", status.message()}});
    exit_code_ = kExitFailure;
    stop();
  }

  void serve() {
    std::vector<event::Loop*> loops;
    for (const auto& reactor : reactors_) loops.push_back(reactor.get());
    watchdog_.start(loops);
    tell_ready();
    reloader_->start(*broker_);
  }

  void tell_ready() {
    if (stopping_) return;
    std::string status = "listening:";
    for (const auto& [name, address] : broker_->addresses()) status += " " + name + " " + address;
    manager_.ready(status);
  }

  void stop() {
    if (stopping_) return;
    stopping_ = true;
    manager_.stopping();
    reloader_->stop();
    broker_->stop([this] { stop_reactors(); });
  }

  void stop_reactors() {
    for (const auto& reactor : reactors_) reactor->stop();
  }

  static void on_signal(int fd, short /*what*/, void* self) noexcept {
    signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      static_cast<Daemon*>(self)->handle_signal(static_cast<int>(info.ssi_signo));
    }
  }

  void handle_signal(int number) {
    switch (number) {
      case SIGUSR1:
        if (Status status = log_.reopen(); !status.ok()) {
          log_.write(LogLevel::kError, "mqloopd", "cannot reopen the log", {{"reason", status.message()}});
        }
        break;
      case SIGHUP:
        reloader_->request();
        break;
      default:
        if (stopping_) {
          // Asked twice: at once.
          log_.flush();
          _exit(kExitFailure);
        }
        log_.write(LogLevel::kInfo, "mqloopd", "stopping", {{"signal", strsignal(number)}});
        stop();
        break;
    }
  }

  Ref<broker::BrokerConfiguration> configuration_;  // until the broker is made
  plugin::PluginHost& host_;
  const config::Input& input_;
  StreamLog& log_;
  SystemClock& clock_;
  ServiceManager& manager_;
  Watchdog watchdog_;
  SystemRandom random_;
  event::WorkerPool workers_;
  std::vector<std::unique_ptr<event::Reactor>> reactors_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<Reloader> reloader_;
  ::event* signal_event_ = nullptr;
  int signal_fd_ = -1;
  bool stopping_ = false;
  std::atomic<int> exit_code_{kExitOk};
};

}  // namespace

int run(Ref<broker::BrokerConfiguration> configuration, plugin::PluginHost& host, const config::Input& input) {
  umask(kPrivate);
  keep_freed_memory();
  Result<std::unique_ptr<ServiceManager>> manager = ServiceManager::from_environment();
  if (!manager.ok()) return complain(kExitFailure, manager.status().message());
  SystemClock clock;
  Result<std::unique_ptr<StreamLog>> log = open_log(configuration->settings.logging, clock);
  if (!log.ok()) return complain(kExitFile, log.status().message());
  return Daemon(std::move(configuration), host, input, **log, clock, **manager).run();
}

}  // namespace mqloop::cli
