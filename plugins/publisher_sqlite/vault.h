// Vault: the database as the writer uses it, and what a test puts in its place to have it fail. StoreVault is the real
// one. The writer's thread, once it runs.
#pragma once

#include <cstdint>
#include <string>

#include "core/store/store.h"
#include "plugins/publisher_sqlite/rows.h"

namespace mqloop::publisher_sqlite {

class Vault {
 public:
  using Outcome = store::Outcome;

  virtual ~Vault() = default;

  virtual Outcome begin() = 0;
  virtual Outcome commit() = 0;
  virtual void roll_back() noexcept = 0;
  [[nodiscard]] virtual Rows& rows() noexcept = 0;
  // After a failed sync nothing that the open connection says is to be believed.
  virtual void close() noexcept = 0;
  // Nor what the system has in its cache: what the log holds is written again before anything is built on it.
  virtual Outcome reopen() = 0;
  virtual Outcome quick_check() = 0;
  virtual Outcome progress(store::Progress& out) = 0;
  virtual Outcome checkpoint(store::CheckpointKind kind) = 0;
  // Gives some unused pages back to the file system.
  virtual Outcome incremental_vacuum(std::uint32_t pages) = 0;
  // Pages that have been committed to the write-ahead log since it was begun anew.
  [[nodiscard]] virtual std::uint32_t wal_frames() const noexcept = 0;
  [[nodiscard]] virtual store::DatabaseSizes sizes() noexcept = 0;
};

class StoreVault final : public Vault {
 public:
  // `store` is open, and outlives this.
  StoreVault(store::Store& store, std::string path, const store::DatabaseOptions& options);
  ~StoreVault() override { close(); }

  Outcome begin() override { return store_.begin(); }
  Outcome commit() override { return store_.commit(); }
  void roll_back() noexcept override { store_.roll_back(); }
  [[nodiscard]] Rows& rows() noexcept override { return rows_; }
  void close() noexcept override { store_.close(); }
  Outcome reopen() override;
  Outcome quick_check() override { return store_.quick_check(); }
  Outcome progress(store::Progress& out) override { return store_.progress(out); }
  Outcome checkpoint(store::CheckpointKind kind) override;
  Outcome incremental_vacuum(std::uint32_t pages) override { return store_.incremental_vacuum(pages); }
  [[nodiscard]] std::uint32_t wal_frames() const noexcept override { return wal_frames_; }
  [[nodiscard]] store::DatabaseSizes sizes() noexcept override { return store_.sizes(); }

 private:
  void watch_log() noexcept;

  store::Store& store_;
  const std::string path_;
  const store::DatabaseOptions options_;
  StoreRows rows_;
  std::uint32_t wal_frames_ = 0;
};

}  // namespace mqloop::publisher_sqlite
