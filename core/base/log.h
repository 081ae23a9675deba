// The log of a process: lines of text or of JSON to a descriptor, a file or the system's log. What a peer made (topics,
// client identifiers, reasons) can neither break a line nor reach a terminal as control bytes.
//
//   text  2026-11-22T12:18:13.123+01:00 info auth refused client=sensor7 reason="bad password"
//   json  {"time":"2026-11-22T12:18:13.123+01:00","level":"info","module":"auth","event":"refused","client":"sensor7"}
//
// The system's log has its own time and severity: in text, a line for it begins with the module.
//
// Any thread may write. A thread that has said batch_this_thread(true), such as a reactor, collects its lines and hands
// them over in one system call when it calls flush() at the end of its turn; lines of other threads, and errors, go at
// once. Nothing here waits for a slow reader: what it cannot take is kept up to Options::capacity bytes, then lines are
// lost, counted, and the count is logged as soon as there is room.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/log.h>
#include <mqloop/status.h>

namespace mqloop {

enum class LogFormat : std::uint8_t { kText, kJson };

[[nodiscard]] MQLOOP_API std::string_view name_of(LogLevel level) noexcept;

class MQLOOP_API StreamLog final : public Log {
 public:
  struct Options {
    LogFormat format = LogFormat::kText;
    LogLevel level = LogLevel::kInfo;
    std::map<std::string, LogLevel, std::less<>> levels = {};  // per module, in place of `level`
    std::size_t capacity = 1U << 20;                           // bytes that wait for a slow reader
  };

  // Writes to `descriptor`, which stays the caller's (stderr). `clock` outlives the log.
  StreamLog(const Clock& clock, int descriptor, Options options);
  // Appends to the file at `path`, made with mode 0640, whatever the umask, when it is not there.
  static Result<std::unique_ptr<StreamLog>> open(const Clock& clock, std::string_view path, Options options);
  // Sends a datagram for each line to the system's log that listens at `socket`, under the facility `daemon` and as
  // `program`. When that log is started anew, lines wait for it as for any slow reader.
  static Result<std::unique_ptr<StreamLog>> open_syslog(const Clock& clock, std::string_view program, Options options,
                                                        std::string_view socket = "/dev/log");
  // Hands over what it can without waiting.
  ~StreamLog() override;
  StreamLog(const StreamLog&) = delete;
  StreamLog& operator=(const StreamLog&) = delete;

  using Log::write;
  [[nodiscard]] bool enabled(LogLevel level, std::string_view module) const noexcept override;
  void write(LogLevel level, std::string_view module, std::string_view event,
             std::span<const LogField> fields) noexcept override;

  // True: lines of the calling thread wait for flush(), which that thread then calls at the end of each turn.
  void batch_this_thread(bool batched);
  void flush() noexcept override;
  // After somebody moved the file away (SIGUSR1). When it cannot be opened the old one goes on. Nothing for a
  // descriptor and for the system's log.
  Status reopen();
  // Goes on with the output and all options of `other`, which gets those that this log had, to be destroyed. What the
  // output before does not take at once is lost, and counted.
  void take_over(StreamLog& other) noexcept;
  void set_levels(LogLevel level, std::map<std::string, LogLevel, std::less<>> levels);

  // Since the start.
  [[nodiscard]] std::uint64_t lines_lost() const noexcept;

 private:
  void hand_over() noexcept;
  bool write_pending(std::size_t size) noexcept;
  void send_datagrams() noexcept;
  bool send_datagram(std::string_view line) noexcept;
  void append(LogLevel level, std::string_view module, std::string_view event, std::span<const LogField> fields);
  void append_syslog_head(LogLevel level);
  void append_time();

  const Clock& clock_;
  LogFormat format_;
  std::size_t capacity_;
  std::string path_;     // of the file; "" = the descriptor is the caller's, or a socket
  std::string socket_;   // where the system's log listens; "" = there is a descriptor
  std::string program_;  // as the system's log names us, with the process number

  std::atomic<LogLevel> most_;  // the most talkative level of any module: what is beyond it needs no lock
  mutable std::mutex mutex_;    // guards all below
  LogLevel level_;
  std::map<std::string, LogLevel, std::less<>> levels_;
  int descriptor_;
  bool may_block_ = false;  // a pipe, a terminal or a socket: asked before it is written to
  std::vector<std::thread::id> batched_;
  std::string pending_;
  std::int64_t second_ = -1;  // the second that date_ and zone_ are for
  std::string date_;
  std::string zone_;
  std::uint64_t lost_ = 0;
  std::uint64_t lost_reported_ = 0;
};

}  // namespace mqloop
