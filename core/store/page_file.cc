#include "core/store/page_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace mqloop::store {
namespace {

constexpr char kMagic[] = "SQLite format 3";  // with its NUL: 16 bytes
constexpr std::size_t kMagicSize = 16;
constexpr std::size_t kLogHeader = 32;
constexpr std::size_t kFrameHeader = 24;

std::uint32_t big(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

std::uint32_t little(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint32_t>(bytes[3]) << 24 | static_cast<std::uint32_t>(bytes[2]) << 16 |
         static_cast<std::uint32_t>(bytes[1]) << 8 | bytes[0];
}

bool is_page_size(std::uint32_t size) noexcept { return size >= 512 && size <= 65'536 && (size & (size - 1)) == 0; }

// As many bytes as there are.
std::size_t read_at(int fd, std::uint64_t offset, std::span<std::uint8_t> out) noexcept {
  std::size_t done = 0;
  while (fd >= 0 && done < out.size()) {
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

int open_if_there(const std::string& path, Outcome& outcome) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT) outcome = {Cause::kOther, path + ": " + std::generic_category().message(errno)};
  return fd;
}

std::uint64_t size_of(int fd) noexcept {
  struct stat facts {};
  return fd >= 0 && ::fstat(fd, &facts) == 0 ? static_cast<std::uint64_t>(facts.st_size) : 0;
}

// The checksum of a log: over pairs of words, in the byte order that its magic number names.
struct LogSum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  bool big_end_first = false;

  void add(std::span<const std::uint8_t> bytes) noexcept {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      const std::uint8_t* const at = bytes.data() + i;
      first += (big_end_first ? big(at) : little(at)) + second;
      second += (big_end_first ? big(at + 4) : little(at + 4)) + first;
    }
  }
  [[nodiscard]] bool is(const std::uint8_t* stored) const noexcept {
    return first == big(stored) && second == big(stored + 4);
  }
};

}  // namespace

PageFile::~PageFile() {
  if (database_ >= 0) ::close(database_);
  if (log_ >= 0) ::close(log_);
}

Outcome PageFile::open(const std::string& database_path) {
  Outcome outcome;
  database_ = open_if_there(database_path, outcome);
  log_ = open_if_there(database_path + "-wal", outcome);
  if (!outcome.ok()) return outcome;
  if (database_ < 0 && log_ < 0) return {Cause::kOther, database_path + ": there is nothing to read"};
  database_bytes_ = size_of(database_);
  read_header();
  read_log();
  read_free_list();
  return {};
}

void PageFile::read_header() {
  std::uint8_t header[100] = {};
  const std::size_t size = read_at(database_, 0, header);
  begins_like_database_ = size > 0 && std::memcmp(header, kMagic, std::min(size, kMagicSize)) == 0;
  const std::uint32_t stored = static_cast<std::uint32_t>(header[16]) << 8 | header[17];
  const std::uint32_t page_size = stored == 1 ? 65'536 : stored;
  if (size == sizeof header && begins_like_database_ && is_page_size(page_size)) page_size_ = page_size;
  page_count_ =
      static_cast<std::uint32_t>(std::min<std::uint64_t>((database_bytes_ + page_size_ - 1) / page_size_, 0xFFFFFFFE));
}

void PageFile::read_log() {
  std::uint8_t header[kLogHeader];
  if (read_at(log_, 0, header) < sizeof header || (big(header) & ~1U) != 0x377F0682) return;
  LogSum sum;
  sum.big_end_first = (big(header) & 1) != 0;
  sum.add(std::span(header).first(24));
  const std::uint32_t page_size = big(header + 8);
  if (!sum.is(header + 24) || !is_page_size(page_size)) return;
  if (page_size != page_size_ && begins_like_database_) return;  // of another database
  page_size_ = page_size;
  std::vector<std::uint8_t> frame(kFrameHeader + page_size);
  std::vector<std::pair<std::uint32_t, std::uint64_t>> waiting;  // for their commit
  for (std::uint64_t at = kLogHeader; read_at(log_, at, frame) == frame.size(); at += frame.size()) {
    if (std::memcmp(frame.data() + 8, header + 16, 8) != 0) break;  // of an earlier round of the log
    sum.add(std::span(frame).first(8));
    sum.add(std::span(frame).subspan(kFrameHeader));
    const bool good = sum.is(frame.data() + 16);
    sum.first = big(frame.data() + 16);
    sum.second = big(frame.data() + 20);
    const std::uint32_t page = big(frame.data());
    const std::uint32_t pages_after = big(frame.data() + 4);
    if (!good || page == 0) continue;
    waiting.emplace_back(page, at + kFrameHeader);
    if (pages_after == 0) continue;
    for (const auto& [number, place] : waiting) in_log_[number] = place;
    waiting.clear();
    page_count_ = pages_after;
  }
  // A number of pages that nobody has written is a fault of its own.
  std::uint64_t most = database_bytes_ / page_size_ + 1;
  for (const auto& [page, place] : in_log_) most = std::max<std::uint64_t>(most, page);
  page_count_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(page_count_, most));
}

bool PageFile::read(std::uint32_t page, std::vector<std::uint8_t>& out) const {
  if (page == 0 || page > page_count_) return false;
  out.assign(page_size_, 0);
  const auto found = in_log_.find(page);
  if (found != in_log_.end()) return read_at(log_, found->second, out) == out.size();
  return read_at(database_, static_cast<std::uint64_t>(page - 1) * page_size_, out) > 0;
}

void PageFile::read_free_list() {
  std::vector<std::uint8_t> page;
  if (!read(1, page)) return;
  std::uint32_t trunk = big(page.data() + 32);
  const std::uint32_t count = big(page.data() + 36);
  const bool has_magic = std::memcmp(page.data(), kMagic, kMagicSize) == 0;
  while (trunk != 0 && free_.insert(trunk).second && read(trunk, page)) {
    const std::uint32_t leaves = std::min(big(page.data() + 4), page_size_ / 4 - 2);
    for (std::uint32_t i = 0; i < leaves; ++i) free_.insert(big(page.data() + 8 + 4 * i));
    trunk = big(page.data());
  }
  free_list_is_whole_ = has_magic && trunk == 0 && free_.size() == count;
}

// Every so many pages one is a pointer map: for each of the next ones a byte, its type, and the page above it.
std::uint32_t PageFile::map_of(std::uint32_t page) const {
  const std::uint32_t each = page_size_ / 5 + 1;
  return page < 2 ? 0 : (page - 2) / each * each + 2;
}

bool PageFile::map_says_free(std::uint32_t page) const {
  constexpr std::uint8_t kFreePage = 2;
  const std::uint32_t map = map_of(page);
  if (map == 0) return false;
  if (map_page_ != map) {
    map_page_ = map;
    if (!read(map, map_)) map_.clear();
  }
  const std::size_t at = static_cast<std::size_t>(page - map - 1) * 5;
  return at < map_.size() && map_[at] == kFreePage;
}

bool PageFile::is_in_use(std::uint32_t page) const {
  if (is_map(page) || free_.contains(page)) return false;
  return free_list_is_whole_ || !map_says_free(page);
}

}  // namespace mqloop::store
