// One connection to an SQLite database: opened with the right flags and pragmas, its errors sorted by Cause, its
// statements ended by their owners. Knows nothing of what is in the database (schema.h does). One thread at a time; a
// connection is for its thread alone (NOMUTEX).
//
// The write-ahead log is on and nothing checkpoints it but checkpoint(): close() leaves it as it is. Files are 0600
// from their first moment.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/store/outcome.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mqloop::store {

enum class Synchronous : std::uint8_t {
  kFull,    // a commit is on disk when it returns
  kNormal,  // the disk is waited for at checkpoints: a power cut takes what was committed since, a crash nothing
};

enum class OpenMode : std::uint8_t {
  kReadWrite,  // creates the file where there is none
  kReadOnly,   // changes nothing; a broker may have it open
};

struct DatabaseOptions {
  OpenMode mode = OpenMode::kReadWrite;
  Synchronous synchronous = Synchronous::kFull;
  std::uint32_t busy_timeout_ms = 0;  // how long a lock of somebody else is waited for
  std::uint32_t cache_kib = 16 * 1024;
  const char* vfs = nullptr;  // null: the system's own
};

// A prepared statement. Borrows what is bound until the next run() or reset().
class Statement {
 public:
  Statement() noexcept = default;
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), fault_(other.fault_) {}
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1.
  Statement& bind(int index, std::uint64_t value) noexcept;
  Statement& bind(int index, std::int64_t value) noexcept;
  Statement& bind_text(int index, std::string_view text) noexcept;
  Statement& bind_blob(int index, std::span<const std::uint8_t> bytes) noexcept;
  Statement& bind_null(int index) noexcept;

  // Steps to the end and makes ready for the next time; rows are thrown away.
  Outcome run() noexcept;
  // Steps to the next row; false in `row` when there is none. reset() when it is not wanted to the end.
  Outcome next(bool& row) noexcept;
  void reset() noexcept;

  // Columns count from 0; texts and blobs live until the next step.
  [[nodiscard]] bool is_null(int column) const noexcept;
  [[nodiscard]] bool is_integer(int column) const noexcept;
  [[nodiscard]] bool is_text(int column) const noexcept;
  [[nodiscard]] std::int64_t integer(int column) const noexcept;
  [[nodiscard]] std::uint64_t number(int column) const noexcept { return static_cast<std::uint64_t>(integer(column)); }
  [[nodiscard]] std::string_view text(int column) const noexcept;
  [[nodiscard]] std::span<const std::uint8_t> blob(int column) const noexcept;
  [[nodiscard]] sqlite3_stmt* get() const noexcept { return statement_; }
  // Of the last run() or next(): SQLite's extended result code.
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) noexcept : statement_(statement) {}
  void note(int code) noexcept;
  Outcome end(int code) noexcept;

  sqlite3_stmt* statement_ = nullptr;
  int fault_ = 0;  // of a bind
  int code_ = 0;
};

enum class CheckpointKind : std::uint8_t {
  kPassive,   // as far as no reader is in the way
  kTruncate,  // all of it, and the log is empty afterwards: everything committed is in the database file, synced
};

struct CheckpointResult {
  std::uint32_t wal_frames = 0;    // in the log
  std::uint32_t moved_frames = 0;  // of these, in the database file
};

struct DatabaseSizes {
  std::uint64_t database_bytes = 0;  // of the file, unused pages included
  std::uint64_t unused_bytes = 0;    // of pages that incremental_vacuum() can give back
  std::uint64_t wal_bytes = 0;       // of the write-ahead log file
  std::uint64_t free_bytes = 0;      // that the file system has left for this process
};

class Database {
 public:
  Database() noexcept = default;
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database() { close(); }

  // Opens, or closes what is open and opens. Nothing of a file that was there is changed, so that its owner can look
  // first whether it is his. A file that is no database: kCorrupt.
  Outcome open(const std::string& path, const DatabaseOptions& options);
  // Before anything is written: the write-ahead log, and for a new file that it can give pages back.
  Outcome prepare_for_writing(Synchronous synchronous);
  // The process before may have ended between a write and its sync, or a sync has failed (kSync): then what the log
  // holds is in the system's cache alone, which may even take it for written. It is written again and synced before
  // anything is built on it or told of it, and so is a file that has just been made. kBusy while somebody else writes.
  Outcome rewrite_log();
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return connection_ != nullptr; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] sqlite3* get() const noexcept { return connection_; }

  // Statements end before their database is closed.
  Outcome prepare(std::string_view sql, Statement& out);
  // Several statements without parameters, separated by semicolons; no rows.
  Outcome execute(const char* sql);
  // The first column of the first row. Absent: no row.
  Outcome get_integer(std::string_view sql, std::optional<std::int64_t>& out);

  Outcome checkpoint(CheckpointKind kind, CheckpointResult* result = nullptr);
  // Gives at most `pages` unused pages back to the file system.
  Outcome incremental_vacuum(std::uint32_t pages);
  [[nodiscard]] DatabaseSizes sizes() noexcept;
  [[nodiscard]] bool in_transaction() const noexcept;
  // Rows that the last statement deleted, inserted or updated.
  [[nodiscard]] std::uint64_t changes() const noexcept;

 private:
  Outcome create_file() const;
  sqlite3* connection_ = nullptr;
  std::string path_;
};

// What a result code of SQLite, an extended one, means; `error_number` is the errno behind it, or 0.
[[nodiscard]] Cause cause_of(int code, int error_number) noexcept;
// The last fault of `connection`, which was about `path`.
[[nodiscard]] Outcome fault_of(sqlite3* connection, int code, std::string_view path);

}  // namespace mqloop::store
