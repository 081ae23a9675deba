#include "core/password/password_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/utf8.h"

namespace mqloop::password {

namespace {

constexpr std::size_t kMostNameBytes = 65'535;  // of a UTF-8 Encoded String (1.5.4)

constexpr std::size_t kReadAhead = 4096;

// U+0000 to U+001F and U+007F to U+009F, in UTF-8.
std::size_t find_control_character(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) return i;
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return i;
  }
  return std::string_view::npos;
}

Line bad(std::size_t at, std::string what, std::string_view name = {}) {
  Line line;
  line.kind = LineKind::kBad;
  line.name = name;
  line.mistake = {0, at + 1, std::move(what)};
  return line;
}

// True when this one is to be told.
bool count_one(Mistakes& mistakes, std::size_t line) noexcept {
  ++mistakes.count;
  if (mistakes.told.size() < Mistakes::kMostTold) return true;
  if (mistakes.line_left_out == 0) mistakes.line_left_out = line;
  return false;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Result<std::string> read_all(int fd, const std::string& path, std::size_t expected) {
  std::string text;
  text.reserve(expected + kReadAhead);
  for (;;) {
    const std::size_t had = text.size();
    text.resize(had + kReadAhead <= text.capacity() ? text.capacity() : had + kReadAhead);
    const ssize_t got = ::read(fd, text.data() + had, text.size() - had);
    const int error = errno;
    text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error == EINTR) continue;
    if (got < 0) return from_errno(error, path);
    if (got == 0) return text;
    if (text.size() > PasswordFile::kMostBytes) break;
  }
  return invalid_argument(path + ": larger than 256 MiB, which no password file is");
}

}  // namespace

std::string fault_of_name(std::string_view name) {
  if (name.empty()) return "the user name is empty";
  if (name.size() > kMostNameBytes) return "the user name has more than 65535 bytes";
  if (name.find(':') != std::string_view::npos) return "a user name cannot hold ':', which ends it in the file";
  if (name.front() == '#') return "a user name cannot begin with '#', which makes the line a comment";
  if (find_control_character(name) != std::string_view::npos) return "a user name cannot hold control characters";
  if (!is_utf8_without_nul(name)) return "the user name is not UTF-8, so that no client could send it";
  return {};
}

Line read_line(std::string_view text) {
  if (text.ends_with('\r')) {
    return bad(text.size() - 1, "the line ends with a carriage return: save the file with Unix line ends");
  }
  if (text.empty() || text.front() == '#') return {};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return bad(text.size(), "a line is NAME:HASH, and here is no ':'");
  const std::string_view name = text.substr(0, colon);
  if (std::string fault = fault_of_name(name); !fault.empty()) {
    const std::size_t control = find_control_character(name);
    return bad(control == std::string_view::npos ? 0 : control, std::move(fault));
  }
  const std::string_view hash = text.substr(colon + 1);
  if (hash.empty()) return bad(colon + 1, "user '" + std::string(name) + "' has no hash", name);
  ParseFault fault;
  if (!parse_hash(hash, fault)) {
    return bad(colon + 1 + fault.at, "user '" + std::string(name) + "': " + fault.what, name);
  }
  Line line;
  line.kind = LineKind::kUser;
  line.name = name;
  line.hash = hash;
  return line;
}

std::string_view take_line(std::string_view& rest) noexcept {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

std::string text_of(const Mistakes& mistakes, std::string_view path) {
  const std::string begin = std::string(path) + ':';
  std::string out;
  for (const Mistake& mistake : mistakes.told) {
    out += begin + std::to_string(mistake.line) + ':' + std::to_string(mistake.column) + ": " + mistake.what + '\n';
  }
  if (mistakes.line_left_out != 0) {
    out += begin + std::to_string(mistakes.line_left_out) + ":1: and " +
           std::to_string(mistakes.count - mistakes.told.size()) + " more bad lines from here on\n";
  }
  if (!out.empty()) out.pop_back();
  return out;
}

PasswordFile PasswordFile::parse(std::string text, Mistakes& mistakes) {
  PasswordFile file;
  file.text_ = std::move(text);
  std::string_view rest = file.text_;
  std::size_t number = 0;
  while (!rest.empty()) {
    ++number;
    Line line = read_line(take_line(rest));
    if (line.kind == LineKind::kBad) {
      line.mistake.line = number;
      if (count_one(mistakes, number)) mistakes.told.push_back(std::move(line.mistake));
    } else if (line.kind == LineKind::kUser) {
      file.users_.push_back({static_cast<std::size_t>(line.name.data() - file.text_.data()),
                             static_cast<std::uint32_t>(line.name.size()),
                             static_cast<std::uint32_t>(line.hash.size())});
    }
  }
  file.users_.shrink_to_fit();
  // Stable: of two users with one name the first line comes first.
  std::stable_sort(file.users_.begin(), file.users_.end(),
                   [&file](const User& a, const User& b) { return file.name_of(a) < file.name_of(b); });
  file.find_duplicates(mistakes);
  std::sort(mistakes.told.begin(), mistakes.told.end(),
            [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
  return file;
}

void PasswordFile::find_duplicates(Mistakes& mistakes) const {
  for (std::size_t i = 1; i < users_.size(); ++i) {
    if (name_of(users_[i]) != name_of(users_[i - 1])) continue;
    // Whose line is not told need not be counted: that reads the text from its beginning.
    const bool told_enough = mistakes.line_left_out != 0;
    const std::size_t line = told_enough ? mistakes.line_left_out : line_number(users_[i]);
    if (!count_one(mistakes, line)) continue;
    mistakes.told.push_back({line, 1,
                             "user '" + std::string(name_of(users_[i])) + "' is on line " +
                                 std::to_string(line_number(users_[i - 1])) + " already"});
  }
}

std::size_t PasswordFile::line_number(const User& user) const noexcept {
  return static_cast<std::size_t>(1 + std::count(text_.data(), text_.data() + user.begin, '\n'));
}

PasswordHash PasswordFile::hash_of(const User& user) const {
  const std::string_view text = std::string_view(text_).substr(user.begin + user.name_size + 1, user.hash_size);
  ParseFault none;
  return *parse_hash(text, none);
}

std::optional<PasswordHash> PasswordFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(users_.begin(), users_.end(), name,
                       [this](const User& user, std::string_view sought) { return name_of(user) < sought; });
  if (found == users_.end() || name_of(*found) != name) return std::nullopt;
  return hash_of(*found);
}

PasswordHash PasswordFile::stand_in(std::uint64_t number) const {
  if (!users_.empty()) return hash_of(users_[number % users_.size()]);
  PasswordHash out;
  out.cost = default_cost(Scheme::kScrypt);
  out.salt.assign(16, '\0');
  out.hash.assign(32, '\0');
  return out;
}

Result<LoadedPasswordFile> load_password_file(const std::string& path) {
  // Without O_NONBLOCK a pipe by that name would hold up the start for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return from_errno(errno, path);
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) return from_errno(errno, path);
  if (!S_ISREG(about.st_mode)) return invalid_argument(path + ": not a regular file");
  Result<std::string> text = read_all(file.get(), path, static_cast<std::size_t>(about.st_size));
  if (!text.ok()) return text.status();

  LoadedPasswordFile loaded;
  loaded.users = PasswordFile::parse(*std::move(text), loaded.mistakes);
  loaded.others_may_read = (about.st_mode & S_IROTH) != 0;
  return loaded;
}

}  // namespace mqloop::password
