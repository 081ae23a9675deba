#include "core/store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace mqloop::store {
namespace {

// What a packet can bring fits twice.
constexpr int kLongestRow = 512 * 1024 * 1024;

// A log that grew under a burst gives the space back when it is begun anew.
constexpr char kSettings[] =
    "PRAGMA wal_autocheckpoint=0;"
    "PRAGMA journal_size_limit=67108864;"
    "PRAGMA secure_delete=FAST;"
    "PRAGMA temp_store=MEMORY;";

std::string text_of_errno(int error_number) { return std::generic_category().message(error_number); }

Cause cause_of_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return Cause::kFull;
    case EROFS:
    case EACCES:
    case EPERM:
      return Cause::kReadOnly;
    default:
      return Cause::kNone;
  }
}

Outcome fault_of_file(int error_number, const std::string& path) {
  const Cause cause = cause_of_errno(error_number);
  return {cause == Cause::kNone ? Cause::kOther : cause, path + ": " + text_of_errno(error_number)};
}

// A new name is safe only when its folder is.
int sync_folder_of(const std::string& path) noexcept {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error_number = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error_number;
}

std::uint64_t size_of_file(const std::string& path) noexcept {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_size) : 0;
}

std::string vfs_name_of(sqlite3* connection) {
  sqlite3_vfs* vfs = nullptr;
  if (sqlite3_file_control(connection, "main", SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK || vfs == nullptr)
    return {};
  return vfs->zName;
}

// Reads the file and writes what it read, so that the system takes it for new; one above `most` bytes is left alone.
int write_again(sqlite3_file* file, sqlite3_int64 most) {
  if (file == nullptr || file->pMethods == nullptr) return SQLITE_OK;
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK || size == 0 || size > most) return code;
  std::vector<char> part(64 * 1024);
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size;) {
    const auto length = static_cast<int>(std::min(size - at, static_cast<sqlite3_int64>(part.size())));
    code = file->pMethods->xRead(file, part.data(), length, at);
    if (code == SQLITE_OK) code = file->pMethods->xWrite(file, part.data(), length, at);
    at += length;
  }
  return code == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_FULL) : code;
}

}  // namespace

// ---- faults --------------------------------------------------------------------------------------------------------

Cause cause_of(int code, int error_number) noexcept {
  const Cause by_errno = cause_of_errno(error_number);
  switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return Cause::kNone;
    case SQLITE_FULL:
      return Cause::kFull;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Cause::kReadOnly;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Cause::kBusy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Cause::kCorrupt;
    case SQLITE_CANTOPEN:
      return by_errno != Cause::kNone ? by_errno : Cause::kOther;
    case SQLITE_IOERR:
      break;
    default:
      return Cause::kOther;
  }
  if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) return Cause::kSync;
  if (code == SQLITE_IOERR_NOMEM) return Cause::kOther;
  return by_errno != Cause::kNone ? by_errno : Cause::kIo;
}

Outcome fault_of(sqlite3* connection, int code, std::string_view path) {
  const int error_number = connection == nullptr ? 0 : sqlite3_system_errno(connection);
  const int primary = code & 0xFF;
  const bool of_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN;
  std::string text(path);
  text += ": ";
  text += connection == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection);
  text += " (SQLite " + std::to_string(code);
  if (of_system && error_number != 0) text += ", " + text_of_errno(error_number);
  text += ')';
  Cause cause = cause_of(code, of_system ? error_number : 0);
  if (cause == Cause::kNone) cause = Cause::kOther;
  return {cause, std::move(text)};
}

// ---- Statement -----------------------------------------------------------------------------------------------------

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(fault_, other.fault_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::note(int code) noexcept {
  if (code != SQLITE_OK) fault_ = code;
}

Statement& Statement::bind(int index, std::uint64_t value) noexcept {
  return bind(index, static_cast<std::int64_t>(value));
}

Statement& Statement::bind(int index, std::int64_t value) noexcept {
  note(sqlite3_bind_int64(statement_, index, value));
  return *this;
}

Statement& Statement::bind_text(int index, std::string_view text) noexcept {
  // A null pointer would be NULL.
  const char* const data = text.data() == nullptr ? "" : text.data();
  note(sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, std::span<const std::uint8_t> bytes) noexcept {
  if (bytes.empty()) {
    note(sqlite3_bind_zeroblob(statement_, index, 0));
  } else {
    note(sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC));
  }
  return *this;
}

Statement& Statement::bind_null(int index) noexcept {
  note(sqlite3_bind_null(statement_, index));
  return *this;
}

Outcome Statement::end(int code) noexcept {
  code_ = code;
  sqlite3* const connection = sqlite3_db_handle(statement_);
  Outcome outcome;
  if (code != SQLITE_DONE) outcome = fault_of(connection, code, sqlite3_db_filename(connection, nullptr));
  sqlite3_reset(statement_);
  return outcome;
}

Outcome Statement::next(bool& row) noexcept {
  row = false;
  const int code = fault_ != 0 ? std::exchange(fault_, 0) : sqlite3_step(statement_);
  if (code != SQLITE_ROW) return end(code);
  row = true;
  return {};
}

Outcome Statement::run() noexcept {
  if (fault_ != 0) return end(std::exchange(fault_, 0));
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW) code = sqlite3_step(statement_);
  return end(code);
}

void Statement::reset() noexcept { sqlite3_reset(statement_); }

bool Statement::is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

bool Statement::is_integer(int column) const noexcept {
  return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}

bool Statement::is_text(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_TEXT; }

std::int64_t Statement::integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const noexcept {
  const auto* const data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::uint8_t> Statement::blob(int column) const noexcept {
  const auto* const data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

// ---- Database ------------------------------------------------------------------------------------------------------

Database::Database(Database&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)), path_(std::move(other.path_)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(path_, other.path_);
  return *this;
}

void Database::close() noexcept {
  // Not _v2: a statement that is left is a fault of the program, and the connection would linger with its locks.
  if (connection_ != nullptr) sqlite3_close(std::exchange(connection_, nullptr));
}

// SQLite would create it readable for others; its log takes the mode of the file.
Outcome Database::create_file() const {
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return errno == EEXIST ? Outcome() : fault_of_file(errno, path_);
  ::close(fd);
  const int error_number = sync_folder_of(path_);
  return error_number == 0 ? Outcome() : fault_of_file(error_number, path_);
}

Outcome Database::open(const std::string& path, const DatabaseOptions& options) {
  close();
  path_ = path;
  const bool writes = options.mode == OpenMode::kReadWrite;
  if (writes && options.vfs == nullptr) {
    if (Outcome outcome = create_file(); !outcome.ok()) return outcome;
  }
  const int flags = (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &connection_, flags, options.vfs);
  Outcome outcome;
  if (code != SQLITE_OK) outcome = fault_of(connection_, code, path_);
  if (outcome.ok() && writes && sqlite3_db_readonly(connection_, "main") != 0) {
    outcome = {Cause::kReadOnly, path_ + ": this process may not write to it"};
  }
  if (outcome.ok()) {
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, kLongestRow);
    // Closing is what follows a sync that failed, and then nothing may be built on the log.
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_busy_timeout(connection_, static_cast<int>(options.busy_timeout_ms));
    const std::string cache = "PRAGMA cache_size=-" + std::to_string(options.cache_kib);
    outcome = execute(cache.c_str());
  }
  // Reads the first page: whether it is a database at all.
  std::optional<std::int64_t> version;
  if (outcome.ok()) outcome = get_integer("PRAGMA schema_version", version);
  if (!outcome.ok()) close();
  return outcome;
}

Outcome Database::prepare_for_writing(Synchronous synchronous) {
  std::optional<std::int64_t> pages;
  if (Outcome outcome = get_integer("PRAGMA page_count", pages); !outcome.ok()) return outcome;
  if (pages.value_or(0) == 0) {
    if (Outcome outcome = execute("PRAGMA auto_vacuum=INCREMENTAL"); !outcome.ok()) return outcome;
  }
  Statement mode;
  bool row = false;
  Outcome outcome = prepare("PRAGMA journal_mode=WAL", mode);
  if (outcome.ok()) outcome = mode.next(row);
  if (!outcome.ok()) return outcome;
  if (!row || mode.text(0) != "wal") {
    return {Cause::kOther, path_ + ": the file system cannot hold a write-ahead log"};
  }
  mode.reset();
  if (outcome = execute(kSettings); !outcome.ok()) return outcome;
  return execute(synchronous == Synchronous::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

Outcome Database::rewrite_log() {
  sqlite3_file* log = nullptr;
  sqlite3_file* file = nullptr;
  // Else what somebody writes between our reading and writing would be gone.
  if (Outcome outcome = execute("BEGIN IMMEDIATE"); !outcome.ok()) return outcome;
  int code = sqlite3_file_control(connection_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (code == SQLITE_OK) code = sqlite3_file_control(connection_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK) code = write_again(log, INT64_MAX);
  // The very first page never was in the log. Later ones are, until they are synced here.
  constexpr sqlite3_int64 kJustMade = 64 * 1024;
  if (code == SQLITE_OK) code = write_again(file, kJustMade);
  // SQLite syncs the folder with the first sync of a log that it made, and with that one alone.
  const bool is_real = sqlite3_vfs_find(nullptr)->zName == std::string_view(vfs_name_of(connection_));
  const char* const name = sqlite3_db_filename(connection_, "main");  // without symbolic links
  if (code == SQLITE_OK && is_real && sync_folder_of(name) != 0) code = SQLITE_IOERR_DIR_FSYNC;
  if (code == SQLITE_OK) return execute("ROLLBACK");
  sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
  const std::string text = path_ + ": the log that was found cannot be made safe (SQLite " + std::to_string(code) + ")";
  return {cause_of(code, 0), text};
}

Outcome Database::prepare(std::string_view sql, Statement& out) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
  if (code != SQLITE_OK) return fault_of(connection_, code, path_);
  out = Statement(statement);
  return {};
}

Outcome Database::execute(const char* sql) {
  const int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Outcome() : fault_of(connection_, code, path_);
}

Outcome Database::get_integer(std::string_view sql, std::optional<std::int64_t>& out) {
  out.reset();
  Statement statement;
  bool row = false;
  Outcome outcome = prepare(sql, statement);
  if (outcome.ok()) outcome = statement.next(row);
  if (outcome.ok() && row) out = statement.integer(0);
  return outcome;
}

Outcome Database::checkpoint(CheckpointKind kind, CheckpointResult* result) {
  int in_log = 0;
  int moved = 0;
  const int mode = kind == CheckpointKind::kPassive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
  const int code = sqlite3_wal_checkpoint_v2(connection_, "main", mode, &in_log, &moved);
  if (result != nullptr) {
    result->wal_frames = in_log < 0 ? 0 : static_cast<std::uint32_t>(in_log);
    result->moved_frames = moved < 0 ? 0 : static_cast<std::uint32_t>(moved);
  }
  return code == SQLITE_OK ? Outcome() : fault_of(connection_, code, path_);
}

Outcome Database::incremental_vacuum(std::uint32_t pages) {
  const std::string sql = "PRAGMA incremental_vacuum(" + std::to_string(pages) + ")";
  return execute(sql.c_str());
}

DatabaseSizes Database::sizes() noexcept {
  DatabaseSizes sizes;
  std::optional<std::int64_t> unused;
  std::optional<std::int64_t> page_size;
  if (get_integer("PRAGMA freelist_count", unused).ok() && get_integer("PRAGMA page_size", page_size).ok()) {
    sizes.unused_bytes = static_cast<std::uint64_t>(unused.value_or(0) * page_size.value_or(0));
  }
  sizes.database_bytes = size_of_file(path_);
  sizes.wal_bytes = size_of_file(path_ + "-wal");
  struct statvfs facts {};
  if (::statvfs(path_.c_str(), &facts) == 0) sizes.free_bytes = facts.f_bavail * facts.f_frsize;
  return sizes;
}

std::uint64_t Database::changes() const noexcept { return static_cast<std::uint64_t>(sqlite3_changes64(connection_)); }

bool Database::in_transaction() const noexcept {
  return connection_ != nullptr && sqlite3_get_autocommit(connection_) == 0;
}

}  // namespace mqloop::store
