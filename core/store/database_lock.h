// Who has a database as its own: a broker while it runs, a tool while it changes the file. A lock on a file beside it,
// NAME.lock, which the system takes back when its holder dies; the file stays. Readers need no lock: SQLite sees to
// them. (Not on the database file itself: closing it again would take SQLite's own locks away.)
#pragma once

#include <string>
#include <utility>

#include "core/store/outcome.h"

namespace mqloop::store {

class DatabaseLock {
 public:
  DatabaseLock() noexcept = default;
  DatabaseLock(DatabaseLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DatabaseLock& operator=(DatabaseLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DatabaseLock() { release(); }

  // Waits for nobody: kBusy when somebody holds it, with his process identifier in the text where it is known.
  Outcome acquire(const std::string& database_path);
  void release() noexcept;
  [[nodiscard]] bool is_held() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace mqloop::store
