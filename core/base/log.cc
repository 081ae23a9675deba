#include "core/base/log.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "core/base/utf8.h"

namespace mqloop {

Log::~Log() = default;

std::string_view name_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kTrace:
      return "trace";
  }
  return "info";
}

namespace {

constexpr char kHex[] = "0123456789abcdef";
// A value longer than this is cut, and its length is told.
constexpr std::size_t kLongestValue = 1024;
// What a pipe takes at once when poll() says that it takes anything (PIPE_BUF of pipe(7)).
constexpr std::size_t kPipeChunk = 4096;

bool is_plain(unsigned char byte) { return byte >= 0x20 && byte != 0x7f && byte < 0x80; }

// Length of the character at the front of well-formed `text` when it is one that a reader does not see or that changes
// the order of what he sees (C1 controls, zero width, direction marks, line separators), else 0. Its number goes to
// `code`.
std::size_t unseen_character(std::string_view text, unsigned& code) {
  const auto at = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (at(0) == 0xC2 && at(1) <= 0x9F) {
    code = at(1);
    return 2;
  }
  if ((at(0) != 0xE2 && at(0) != 0xEF) || text.size() < 3) return 0;
  code = (at(0) & 0x0FU) << 12 | (at(1) & 0x3FU) << 6 | (at(2) & 0x3FU);
  const bool unseen = (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                      (code >= 0x2060 && code <= 0x2069) || code == 0xFEFF;
  return unseen ? 3 : 0;
}

void append_unicode_escape(std::string& out, unsigned code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 0xFU];
}

// One ASCII byte that may need an escape, the same in text and JSON.
void append_ascii(std::string& out, unsigned char byte) {
  switch (byte) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (is_plain(byte)) {
    out += static_cast<char>(byte);
  } else {
    append_unicode_escape(out, byte);
  }
}

// The inside of a quoted value.
void append_escaped(std::string& out, std::string_view value, LogFormat format) {
  while (!value.empty()) {
    const std::string_view good = value.substr(0, utf8_prefix_length(value));
    for (std::size_t i = 0; i < good.size();) {
      const auto byte = static_cast<unsigned char>(good[i]);
      unsigned code = 0;
      if (byte < 0x80) {
        append_ascii(out, byte);
        ++i;
      } else if (const std::size_t length = unseen_character(good.substr(i), code); length != 0) {
        append_unicode_escape(out, code);
        i += length;
      } else {
        out += static_cast<char>(byte);
        ++i;
      }
    }
    value.remove_prefix(good.size());
    if (value.empty()) return;
    if (format == LogFormat::kJson) {
      out += "\\ufffd";  // JSON has no bytes
    } else {
      out += "\\x";
      out += kHex[static_cast<unsigned char>(value[0]) >> 4];
      out += kHex[static_cast<unsigned char>(value[0]) & 0xFU];
    }
    value.remove_prefix(1);
  }
}

void append_quoted(std::string& out, std::string_view value, LogFormat format) {
  const std::size_t whole = value.size();
  if (whole > kLongestValue) {
    value = value.substr(0, kLongestValue);
    // Not in the middle of a character.
    const std::size_t good = utf8_prefix_length(value);
    if (value.size() - good < 4) value = value.substr(0, good);
  }
  out += '"';
  append_escaped(out, value, format);
  if (value.size() < whole) {
    out += "... (";
    out += std::to_string(whole);
    out += " bytes)";
  }
  out += '"';
}

bool needs_quotes(std::string_view value) {
  return value.empty() || value.size() > kLongestValue || std::any_of(value.begin(), value.end(), [](char c) {
           return !is_plain(static_cast<unsigned char>(c)) || c == ' ' || c == '"' || c == '=' || c == '\\';
         });
}

LogLevel most_of(LogLevel level, const std::map<std::string, LogLevel, std::less<>>& levels) {
  for (const auto& [module, of_module] : levels) level = std::max(level, of_module);
  return level;
}

bool is_regular_file(int descriptor) {
  struct stat info {};
  return ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
}

// Its group may read a log, whatever the umask says of other files.
int open_for_append(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY;
  const int made = ::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0640);
  if (made < 0) return errno == EEXIST ? ::open(path.c_str(), kFlags | O_CREAT, 0640) : -1;
  ::fchmod(made, 0640);
  return made;
}

// -1, and errno says why.
int connect_to_syslog(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  const int error = errno;
  ::close(socket);
  errno = error;
  return -1;
}

int syslog_priority(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return LOG_DAEMON | LOG_ERR;
    case LogLevel::kWarn:
      return LOG_DAEMON | LOG_WARNING;
    case LogLevel::kInfo:
      return LOG_DAEMON | LOG_INFO;
    case LogLevel::kDebug:
    case LogLevel::kTrace:
      break;
  }
  return LOG_DAEMON | LOG_DEBUG;
}

}  // namespace

StreamLog::StreamLog(const Clock& clock, int descriptor, Options options)
    : clock_(clock),
      format_(options.format),
      capacity_(options.capacity),
      most_(most_of(options.level, options.levels)),
      level_(options.level),
      levels_(std::move(options.levels)),
      descriptor_(descriptor),
      may_block_(!is_regular_file(descriptor)) {}

Result<std::unique_ptr<StreamLog>> StreamLog::open(const Clock& clock, std::string_view path, Options options) {
  const std::string file(path);
  const int descriptor = open_for_append(file);
  if (descriptor < 0) return from_errno(errno, file);
  auto log = std::make_unique<StreamLog>(clock, descriptor, std::move(options));
  log->path_ = file;
  return log;
}

Result<std::unique_ptr<StreamLog>> StreamLog::open_syslog(const Clock& clock, std::string_view program, Options options,
                                                          std::string_view socket) {
  const std::string path(socket);
  const int descriptor = connect_to_syslog(path);
  if (descriptor < 0) return from_errno(errno, "no system log listens at " + path);
  auto log = std::make_unique<StreamLog>(clock, descriptor, std::move(options));
  log->socket_ = path;
  log->program_ = std::string(program) + "[" + std::to_string(::getpid()) + "]: ";
  return log;
}

StreamLog::~StreamLog() {
  flush();
  if (descriptor_ >= 0 && !(path_.empty() && socket_.empty())) ::close(descriptor_);
}

bool StreamLog::enabled(LogLevel level, std::string_view module) const noexcept {
  if (level > most_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);
  const auto found = levels_.find(module);
  return level <= (found == levels_.end() ? level_ : found->second);
}

void StreamLog::write(LogLevel level, std::string_view module, std::string_view event,
                      std::span<const LogField> fields) noexcept {
  const std::lock_guard lock(mutex_);
  if (pending_.size() >= capacity_) hand_over();
  if (pending_.size() >= capacity_) {
    ++lost_;
    return;
  }
  const std::size_t before = pending_.size();
  try {
    if (lost_ > lost_reported_) {
      const std::string lines = std::to_string(lost_ - lost_reported_);
      const LogField field{"lines", lines};
      append(LogLevel::kWarn, "log", "lines were lost", {&field, 1});
      lost_reported_ = lost_;
    }
    append(level, module, event, fields);
  } catch (...) {  // out of memory: a log must not be what ends the program
    pending_.resize(before);
    ++lost_;
    return;
  }
  const bool batched = std::find(batched_.begin(), batched_.end(), std::this_thread::get_id()) != batched_.end();
  if (!batched || level == LogLevel::kError) hand_over();
}

void StreamLog::batch_this_thread(bool batched) {
  const std::lock_guard lock(mutex_);
  std::erase(batched_, std::this_thread::get_id());
  if (batched) {
    batched_.push_back(std::this_thread::get_id());
  } else {
    hand_over();
  }
}

void StreamLog::flush() noexcept {
  const std::lock_guard lock(mutex_);
  hand_over();
}

Status StreamLog::reopen() {
  const std::lock_guard lock(mutex_);
  if (path_.empty()) return ok();
  hand_over();
  const int descriptor = open_for_append(path_);
  if (descriptor < 0) return from_errno(errno, path_);
  ::close(descriptor_);
  descriptor_ = descriptor;
  may_block_ = !is_regular_file(descriptor);
  return ok();
}

void StreamLog::take_over(StreamLog& other) noexcept {
  const std::scoped_lock lock(mutex_, other.mutex_);
  hand_over();
  lost_ += static_cast<std::uint64_t>(std::count(pending_.begin(), pending_.end(), '\n'));
  pending_.clear();
  std::swap(format_, other.format_);
  std::swap(path_, other.path_);
  std::swap(socket_, other.socket_);
  std::swap(program_, other.program_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(may_block_, other.may_block_);
  std::swap(level_, other.level_);
  std::swap(levels_, other.levels_);
  most_.store(most_of(level_, levels_), std::memory_order_relaxed);
}

void StreamLog::set_levels(LogLevel level, std::map<std::string, LogLevel, std::less<>> levels) {
  const std::lock_guard lock(mutex_);
  level_ = level;
  levels_ = std::move(levels);
  most_.store(most_of(level_, levels_), std::memory_order_relaxed);
}

std::uint64_t StreamLog::lines_lost() const noexcept {
  const std::lock_guard lock(mutex_);
  return lost_;
}

void StreamLog::hand_over() noexcept {
  if (!socket_.empty()) {
    send_datagrams();
    return;
  }
  while (!pending_.empty()) {
    if (!may_block_) {
      if (!write_pending(pending_.size())) return;
      continue;
    }
    // Somebody else may own the open file, so O_NONBLOCK is not ours to set: ask, and give no more than surely fits.
    struct pollfd slow {};
    slow.fd = descriptor_;
    slow.events = POLLOUT;
    if (::poll(&slow, 1, 0) <= 0 || (slow.revents & POLLOUT) == 0) return;
    if (!write_pending(std::min(pending_.size(), kPipeChunk))) return;
  }
}

bool StreamLog::write_pending(std::size_t size) noexcept {
  const ssize_t written = ::write(descriptor_, pending_.data(), size);
  if (written > 0) {
    pending_.erase(0, static_cast<std::size_t>(written));
    return true;
  }
  return written < 0 && errno == EINTR;
}

// A datagram for each line, less its end. A line holds no other line break, whatever is in its values.
void StreamLog::send_datagrams() noexcept {
  std::size_t sent = 0;
  while (sent < pending_.size()) {
    const std::size_t end = pending_.find('\n', sent);
    if (!send_datagram(std::string_view(pending_).substr(sent, end - sent))) break;
    sent = end + 1;
  }
  pending_.erase(0, sent);
}

// False: the line must wait.
bool StreamLog::send_datagram(std::string_view line) noexcept {
  for (bool again = true; again; again = false) {
    if (descriptor_ < 0) descriptor_ = connect_to_syslog(socket_);
    if (descriptor_ < 0) return false;
    while (::send(descriptor_, line.data(), line.size(), MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return false;
      if (errno == EMSGSIZE) {  // it will never be taken
        ++lost_;
        return true;
      }
      // The one who listened has gone; another may have come.
      ::close(descriptor_);
      descriptor_ = -1;
      break;
    }
    if (descriptor_ >= 0) return true;
  }
  return false;
}

void StreamLog::append_time() {
  const auto now = clock_.wall_now();
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  if (const auto second = whole.time_since_epoch().count(); second != second_) {
    const auto time = static_cast<std::time_t>(second);
    struct tm local {};
    ::localtime_r(&time, &local);
    char text[64];
    date_.assign(text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &local));
    const long minutes = std::abs(local.tm_gmtoff) / 60;
    zone_.assign(text,
                 static_cast<std::size_t>(std::snprintf(text, sizeof(text), "%c%02ld:%02ld",
                                                        local.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60)));
    second_ = second;
  }
  char fraction[8];
  std::snprintf(fraction, sizeof(fraction), ".%03d", static_cast<int>((now - whole).count()));
  pending_ += date_;
  pending_ += fraction;
  pending_ += zone_;
}

// As RFC 3164 has it for a local log: <priority>time program[process]:
void StreamLog::append_syslog_head(LogLevel level) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";  // English in every locale
  const auto time =
      static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(clock_.wall_now()).time_since_epoch().count());
  struct tm local {};
  ::localtime_r(&time, &local);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof(text), " %e %H:%M:%S ", &local);
  pending_ += '<';
  pending_ += std::to_string(syslog_priority(level));
  pending_ += '>';
  pending_ += kMonths.substr(static_cast<std::size_t>(local.tm_mon) * 3, 3);
  pending_.append(text, length);
  pending_ += program_;
}

void StreamLog::append(LogLevel level, std::string_view module, std::string_view event,
                       std::span<const LogField> fields) {
  if (!socket_.empty()) append_syslog_head(level);
  if (format_ == LogFormat::kJson) {
    pending_ += "{\"time\":\"";
    append_time();
    pending_ += "\",\"level\":\"";
    pending_ += name_of(level);
    pending_ += "\",\"module\":";
    append_quoted(pending_, module, format_);
    pending_ += ",\"event\":";
    append_quoted(pending_, event, format_);
    for (const LogField& field : fields) {
      pending_ += ',';
      append_quoted(pending_, field.key, format_);
      pending_ += ':';
      append_quoted(pending_, field.value, format_);
    }
    pending_ += "}\n";
    return;
  }
  if (socket_.empty()) {
    append_time();
    pending_ += ' ';
    pending_ += name_of(level);
    pending_ += ' ';
  }
  pending_ += module;
  pending_ += ' ';
  append_escaped(pending_, event, format_);
  for (const LogField& field : fields) {
    pending_ += ' ';
    pending_ += field.key;
    pending_ += '=';
    if (needs_quotes(field.value)) {
      append_quoted(pending_, field.value, format_);
    } else {
      pending_ += field.value;
    }
  }
  pending_ += '\n';
}

}  // namespace mqloop
