#include "plugins/publisher_sqlite/vault.h"

#include <sqlite3.h>

#include <utility>

namespace mqloop::publisher_sqlite {

StoreVault::StoreVault(store::Store& store, std::string path, const store::DatabaseOptions& options)
    : store_(store), path_(std::move(path)), options_(options), rows_(store) {
  watch_log();
}

void StoreVault::watch_log() noexcept {
  wal_frames_ = 0;
  const auto note = [](void* vault, sqlite3*, const char*, int frames) noexcept {
    static_cast<StoreVault*>(vault)->wal_frames_ = static_cast<std::uint32_t>(frames);
    return SQLITE_OK;
  };
  sqlite3_wal_hook(store_.database().get(), note, this);
}

store::Outcome StoreVault::reopen() {
  Outcome outcome = store_.open(path_, options_);
  if (outcome.ok()) watch_log();
  return outcome;
}

store::Outcome StoreVault::checkpoint(store::CheckpointKind kind) {
  store::CheckpointResult result;
  Outcome outcome = store_.checkpoint(kind, &result);
  // All of it is in the database: the next commit begins the log anew.
  if (outcome.ok() && result.moved_frames == result.wal_frames) wal_frames_ = 0;
  return outcome;
}

}  // namespace mqloop::publisher_sqlite
