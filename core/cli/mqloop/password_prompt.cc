#include "core/cli/mqloop/password_prompt.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

namespace mqloop::cli {

namespace {

constexpr std::size_t kMostBytes = 65'535;  // of a password in CONNECT (3.1.3.6)

// No echo, and the signals of a terminal in a descriptor, for as long as it lives.
class QuietTerminal {
 public:
  explicit QuietTerminal(int terminal) noexcept : terminal_(terminal) {
    sigemptyset(&signals_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) sigaddset(&signals_, number);
    sigprocmask(SIG_BLOCK, &signals_, &before_);
    signal_fd_ = ::signalfd(-1, &signals_, SFD_CLOEXEC);
    known_ = ::tcgetattr(terminal_, &shown_) == 0;
    if (!known_) return;
    termios hidden = shown_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL);
    hidden.c_lflag |= ICANON | ISIG;
    known_ = ::tcsetattr(terminal_, TCSAFLUSH, &hidden) == 0;
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    if (known_) ::tcsetattr(terminal_, TCSAFLUSH, &shown_);
    if (signal_fd_ >= 0) ::close(signal_fd_);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  [[nodiscard]] bool ok() const noexcept { return known_ && signal_fd_ >= 0; }
  // The signal that came before there was input, or 0.
  [[nodiscard]] int wait_for_input() const noexcept {
    pollfd ends[2] = {{terminal_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    while (::poll(ends, 2, -1) < 0 && errno == EINTR) {
    }
    signalfd_siginfo about{};
    if ((ends[1].revents & POLLIN) == 0 || ::read(signal_fd_, &about, sizeof about) != sizeof about) return 0;
    return static_cast<int>(about.ssi_signo);
  }

 private:
  int terminal_;
  int signal_fd_ = -1;
  bool known_ = false;
  termios shown_{};
  sigset_t signals_{};
  sigset_t before_{};
};

void write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written <= 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Adds what is there to `line`. True when the line is whole, or input has ended.
Result<bool> read_some(int input, std::string& line, bool& ended) {
  char bytes[512];
  const ssize_t got = ::read(input, bytes, sizeof bytes);
  if (got < 0 && errno == EINTR) return false;
  if (got < 0) return from_errno(errno, "cannot read the password");
  ended = got == 0;
  const std::string_view text(bytes, static_cast<std::size_t>(got));
  const std::size_t end = text.find('\n');
  line.append(text.substr(0, end));
  if (line.size() > kMostBytes) return invalid_argument("a password has at most 65535 bytes");
  return ended || end != std::string_view::npos;
}

}  // namespace

Result<std::string> ask_password(int terminal, const std::string& question) {
  for (;;) {
    int signal_number = 0;
    {
      const QuietTerminal quiet(terminal);
      if (!quiet.ok()) return from_errno(errno, "cannot ask for the password on this terminal");
      write_all(STDERR_FILENO, question);
      std::string line;
      bool ended = false;
      while ((signal_number = quiet.wait_for_input()) == 0) {
        const Result<bool> whole = read_some(terminal, line, ended);
        if (!whole.ok()) return whole.status();
        if (!whole.value()) continue;
        write_all(STDERR_FILENO, "\n");
        if (ended && line.empty()) return Status(StatusCode::kAborted, "no password was given");
        return line;
      }
      write_all(STDERR_FILENO, "\n");
    }
    // As if nobody had held it up: it ends or stops the program here. After a stop, or when the signal is ignored, the
    // question is asked again.
    ::raise(signal_number);
  }
}

Result<std::string> read_password_line(int input) {
  std::string line;
  bool ended = false;
  for (;;) {
    const Result<bool> whole = read_some(input, line, ended);
    if (!whole.ok()) return whole.status();
    if (!whole.value()) continue;
    if (ended && line.empty()) return Status(StatusCode::kAborted, "no password was given on standard input");
    return line;
  }
}

}  // namespace mqloop::cli
