#include "core/cli/mqloop/db.h"

#include <cerrno>
#include <cstdio>

#include "core/cli/mqloop/db_check.h"
#include "core/cli/mqloop/db_export.h"
#include "core/cli/mqloop/db_import.h"
#include "core/store/database_lock.h"
#include "core/store/store.h"

namespace mqloop::cli {
namespace {

using store::Outcome;
using store::Store;

constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;

constexpr char kHelp[] = R"(mqloop db - looks after the database of a broker

  mqloop db check FILE           tells whether FILE is sound, and what it holds; a broker may have it open
  mqloop db compact FILE         gives the space back that FILE does not need any more
  mqloop db export FILE          writes everything in FILE to standard output, a line of JSON for each row; a broker
                                 may have it open
  mqloop db import FILE FROM     makes FILE of what `export` wrote, or of a mosquitto.db; FROM may be - for standard
                                 input

Exit codes: 0 well, 1 failure, or a database that is not sound, 2 command line.
)";

Outcome compact(const std::string& path) {
  store::DatabaseLock lock;
  Outcome outcome = lock.acquire(path);
  Store store;
  if (outcome.ok()) outcome = store.open(path);
  if (!outcome.ok()) return outcome;
  const std::uint64_t before = store.sizes().database_bytes + store.sizes().wal_bytes;
  outcome = store.database().execute("VACUUM");
  if (outcome.ok()) outcome = store.checkpoint(store::CheckpointKind::kTruncate);
  if (!outcome.ok()) return outcome;
  std::printf("%s: %llu bytes, before %llu\n", path.c_str(),
              static_cast<unsigned long long>(store.sizes().database_bytes), static_cast<unsigned long long>(before));
  return {};
}

int exit_code_of(const Outcome& outcome) {
  if (outcome.ok()) return kExitOk;
  std::fprintf(stderr, "mqloop: %s\n", outcome.text().c_str());
  return kExitFailure;
}

// SQLite would make a database of a name that was mistyped.
Outcome find(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return {store::Cause::kOther, std::string(from_errno(errno, path).message())};
  std::fclose(file);
  return {};
}

}  // namespace

Result<DbOptions> parse_db(const std::vector<std::string>& words) {
  DbOptions options;
  if (words.empty()) return invalid_argument("db: check, compact, export or import?");
  const std::string& action = words.front();
  if (action == "--help" || action == "-h" || action == "help") return options;
  if (action == "check") {
    options.action = DbAction::kCheck;
  } else if (action == "compact") {
    options.action = DbAction::kCompact;
  } else if (action == "export") {
    options.action = DbAction::kExport;
  } else if (action == "import") {
    options.action = DbAction::kImport;
  } else {
    return invalid_argument("db: there is no '" + action + "', only check, compact, export and import");
  }
  const std::size_t files = options.action == DbAction::kImport ? 2 : 1;
  if (words.size() != files + 1) {
    return invalid_argument("db " + action + (files == 1 ? " takes one FILE" : " takes FILE and FROM"));
  }
  options.file = words[1];
  if (files == 2) options.from = words[2];
  if (options.file.empty() || options.file.starts_with('-')) {
    return invalid_argument("db " + action + ": unknown option '" + options.file + "'");
  }
  return options;
}

int run_db(const DbOptions& options) {
  if (options.action == DbAction::kHelp) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.action == DbAction::kImport) return exit_code_of(import_database(options.file, options.from));
  if (const Outcome outcome = find(options.file); !outcome.ok()) return exit_code_of(outcome);
  if (options.action == DbAction::kCompact) return exit_code_of(compact(options.file));
  if (options.action == DbAction::kExport) return exit_code_of(export_database(options.file, stdout));
  bool sound = false;
  const Outcome outcome = check_database(options.file, sound);
  return outcome.ok() && !sound ? kExitFailure : exit_code_of(outcome);
}

}  // namespace mqloop::cli
