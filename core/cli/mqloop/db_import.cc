#include "core/cli/mqloop/db_import.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <mqloop/status.h>

#include "core/store/mosquitto_file.h"

namespace mqloop::cli {
namespace {

using store::Cause;
using store::Outcome;
using store::Store;

// Looks at the first byte, which can be put back on any stream: a line of JSON never begins with NUL.
bool is_mosquitto(std::istream& from) { return from.peek() == 0; }

Outcome fill(std::istream& from, Store& store, ImportCounts& counts) {
  bool empty = false;
  Outcome outcome = store.is_empty(empty);
  if (outcome.ok() && !empty) {
    return {Cause::kOther, store.database().path() + ": holds something already; import makes a new database"};
  }
  if (outcome.ok()) outcome = store.begin();
  if (outcome.ok()) {
    outcome = is_mosquitto(from) ? import_mosquitto(from, store, counts) : import_json(from, store, counts);
  }
  if (outcome.ok()) outcome = store.raise_numbers();
  if (outcome.ok()) outcome = store.commit();
  if (outcome.ok()) return store.checkpoint(store::CheckpointKind::kTruncate);
  store.roll_back();
  return outcome;
}

}  // namespace

Outcome import_database(const std::string& path, const std::string& from) {
  std::ifstream file;
  if (from != "-") {
    file.open(from, std::ios::binary);
    if (!file) return {Cause::kOther, std::string(from_errno(errno, from).message())};
  }
  const bool is_new = !std::filesystem::exists(path);
  store::DatabaseLock lock;
  Outcome outcome = lock.acquire(path);
  if (!outcome.ok()) return outcome;
  ImportCounts counts;
  {
    Store store;
    outcome = store.open(path);
    if (outcome.ok()) outcome = fill(from == "-" ? std::cin : file, store, counts);
  }
  if (!outcome.ok()) {
    std::error_code ignored;
    for (const char* const tail : {"", "-wal", "-shm", ".lock"}) {
      if (is_new) std::filesystem::remove(path + tail, ignored);
    }
    return outcome;
  }
  std::printf("%s: %llu sessions, %llu subscriptions, %llu messages on their way, %llu retained messages\n",
              path.c_str(), static_cast<unsigned long long>(counts.sessions),
              static_cast<unsigned long long>(counts.subscriptions), static_cast<unsigned long long>(counts.deliveries),
              static_cast<unsigned long long>(counts.retained));
  if (counts.left_out != 0) {
    std::fprintf(stderr, "mqloop: %s: %llu entries were left out, because nobody can use them\n", from.c_str(),
                 static_cast<unsigned long long>(counts.left_out));
  }
  return {};
}

}  // namespace mqloop::cli
