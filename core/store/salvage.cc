#include "core/store/salvage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "core/store/page_file.h"
#include "core/store/record.h"
#include "core/store/row_saver.h"

namespace mqloop::store {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRowsInTransaction = 20'000;

// Beside the database: what is being saved, and what has been saved and waits for its name.
std::string saving_path(const std::string& path) { return path + ".saving"; }
std::string saved_path(const std::string& path) { return path + ".saved"; }

Outcome fault_of(int error_number, const std::string& path) {
  const Cause cause = error_number == ENOSPC || error_number == EDQUOT                           ? Cause::kFull
                      : error_number == EACCES || error_number == EPERM || error_number == EROFS ? Cause::kReadOnly
                                                                                                 : Cause::kOther;
  return {cause, path + ": " + std::generic_category().message(error_number)};
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::uint64_t size_of(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

void remove_database(const std::string& path) {
  std::error_code ignored;
  for (const char* const tail : {"", "-wal", "-shm"}) fs::remove(path + tail, ignored);
}

Outcome rename_if_there(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return {};
  return fault_of(errno, from);
}

Outcome sync_folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fault_of(errno, folder);
  const int error_number = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error_number == 0 ? Outcome() : Outcome(Cause::kSync, fault_of(error_number, folder).text());
}

// NAME.corrupt-20261127T143839Z, with a number behind it when there is one already.
std::string quarantine_path(const std::string& path, WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  const std::string first = path + ".corrupt-" + std::string(text, size);
  std::string name = first;
  for (int i = 2; is_there(name) || is_there(name + "-wal"); ++i) name = first + '-' + std::to_string(i);
  return name;
}

// Everything that reads, into a new database. `begins`: the file looked like a database.
Outcome save_rows(const std::string& from, const std::string& to, SalvageCounts& counts, bool& begins) {
  PageFile file;
  if (Outcome outcome = file.open(from); !outcome.ok()) return outcome;
  begins = file.begins_like_database();
  remove_database(to);
  Store store;
  // The checkpoint at the end is what has to last.
  Outcome outcome = store.open(to, {.synchronous = Synchronous::kNormal});
  if (outcome.ok()) outcome = store.begin();
  RowSaver saver(store, counts);
  RecordReader reader(file);
  Record record;
  std::uint64_t rows = 0;
  for (std::uint32_t page = 1; outcome.ok() && page <= file.page_count(); ++page) {
    if (!file.is_in_use(page)) continue;
    if (reader.begin(page) == PageKind::kBad) ++counts.bad_pages;
    while (outcome.ok() && reader.next(record)) {
      outcome = saver.take(record);
      if (outcome.ok() && ++rows % kRowsInTransaction == 0) {
        outcome = store.commit();
        if (outcome.ok()) outcome = store.begin();
      }
    }
  }
  counts.dropped += reader.bad_cells();
  if (outcome.ok()) outcome = saver.finish();
  if (outcome.ok()) outcome = store.commit();
  if (outcome.ok()) outcome = store.checkpoint(CheckpointKind::kTruncate);
  store.roll_back();
  return outcome;
}

bool saved_anything(const SalvageCounts& counts) {
  return counts.sessions + counts.messages + counts.deliveries + counts.retained + counts.subscriptions != 0;
}

// An earlier salvage may have ended between its last steps: the database has its other name already, and the new one
// waits. Before that step nothing had happened to the database.
Outcome finish_earlier(const std::string& path, WallTime now) {
  remove_database(saving_path(path));
  if (!is_there(saved_path(path))) return {};
  if (is_there(path)) {
    remove_database(saved_path(path));
    return {};
  }
  Outcome outcome = rename_if_there(path + "-wal", quarantine_path(path, now) + "-wal");
  if (outcome.ok()) outcome = rename_if_there(saved_path(path), path);
  return outcome.ok() ? sync_folder_of(path) : outcome;
}

Outcome salvage(const std::string& path, WallTime now, SalvageReport& report) {
  bool begins = false;
  Outcome outcome = save_rows(path, saving_path(path), report.saved, begins);
  if (outcome.ok() && !begins && !saved_anything(report.saved)) {
    outcome = {Cause::kCorrupt, path + ": is no database of mqloop; move it away, or name another file"};
  }
  if (!outcome.ok()) {
    remove_database(saving_path(path));
    return outcome;
  }
  report.quarantined = quarantine_path(path, now);
  for (const auto& [from, to] : {std::pair{saving_path(path), saved_path(path)},
                                 {path, report.quarantined},
                                 {path + "-wal", report.quarantined + "-wal"},
                                 {saved_path(path), path}}) {
    if (outcome = rename_if_there(from, to); !outcome.ok()) return outcome;
    if (outcome = sync_folder_of(path); !outcome.ok()) return outcome;
  }
  std::error_code ignored;
  fs::remove(path + "-shm", ignored);
  return {};
}

// A log without its database: SQLite would throw it away.
bool is_log_alone(const std::string& path) { return size_of(path) == 0 && size_of(path + "-wal") != 0; }

Outcome open_and_look(const std::string& path, const DatabaseOptions& options, Store& store) {
  if (is_log_alone(path)) return {Cause::kCorrupt, path + ": only its write-ahead log is there"};
  Outcome outcome = store.open(path, options);
  if (outcome.ok()) outcome = store.quick_check();
  if (!outcome.ok()) store.close();
  return outcome;
}

}  // namespace

Outcome open_or_salvage(const std::string& path, const DatabaseOptions& options, OnCorrupt on_corrupt, WallTime now,
                        Store& store, SalvageReport& report) {
  report = {};
  if (Outcome outcome = finish_earlier(path, now); !outcome.ok()) return outcome;
  Outcome outcome = open_and_look(path, options, store);
  if (outcome.cause() != Cause::kCorrupt) return outcome;
  report.damaged = true;
  report.fault = outcome.text();
  if (on_corrupt == OnCorrupt::kRefuse) return outcome;
  if (outcome = salvage(path, now, report); !outcome.ok()) return outcome;
  return store.open(path, options);
}

}  // namespace mqloop::store
