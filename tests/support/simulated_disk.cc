#include "tests/support/simulated_disk.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace mqloop::store_test {

// What SQLite has of a file.
struct SimulatedFile {
  sqlite3_file base;
  SimulatedDisk* disk;
  std::string* name;
  bool syncs_folder;  // with its first sync, as SQLite does for journals and logs that it created
  std::shared_ptr<SimulatedDisk::File>* file;
};

namespace {

constexpr std::size_t kSector = 512;

SimulatedFile& of(sqlite3_file* file) { return *reinterpret_cast<SimulatedFile*>(file); }

void put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

struct DiskMethods {
  using Disk = SimulatedDisk;

  static Disk& disk_of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }

  // ---- files

  static int close(sqlite3_file* file) {
    delete std::exchange(of(file).name, nullptr);
    delete std::exchange(of(file).file, nullptr);
    return SQLITE_OK;
  }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    if (const int code = of(file).disk->begin(Disk::Operation::kRead); code != SQLITE_OK) return code;
    const std::string& content = (*of(file).file)->cached;
    const auto at = static_cast<std::size_t>(offset);
    const std::size_t got =
        at >= content.size() ? 0 : std::min<std::size_t>(content.size() - at, static_cast<std::size_t>(size));
    std::memset(out, 0, static_cast<std::size_t>(size));
    if (got != 0) std::memcpy(out, content.data() + at, got);
    return got == static_cast<std::size_t>(size) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    Disk::File& content = **of(file).file;
    Disk::Change change{static_cast<std::uint64_t>(offset),
                        std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size))};
    const int code = of(file).disk->begin(Disk::Operation::kWrite);
    // The one that the power interrupts has begun.
    if (code == SQLITE_OK || of(file).disk->fault_ == Disk::Fault::kPowerCut) {
      if (code == SQLITE_OK || of(file).disk->operations_ == of(file).disk->fault_at_) {
        put(content.cached, change.offset, change.bytes);
        content.pending.push_back(std::move(change));
      }
    }
    return code;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (const int code = of(file).disk->begin(Disk::Operation::kTruncate); code != SQLITE_OK) return code;
    Disk::File& content = **of(file).file;
    content.cached.resize(std::min(content.cached.size(), static_cast<std::size_t>(size)));
    content.pending.push_back({static_cast<std::uint64_t>(size), {}});
    return SQLITE_OK;
  }
  static int sync(sqlite3_file* file, int flags) {
    Disk::File& content = **of(file).file;
    const int code = of(file).disk->begin(Disk::Operation::kSync);
    if (code != SQLITE_OK) {
      // Clean, and not on the disk.
      if (of(file).disk->fault_ != Disk::Fault::kPowerCut) content.pending.clear();
      return code;
    }
    for (const Disk::Change& change : content.pending) {
      if (change.bytes.empty()) {
        content.durable.resize(std::min<std::size_t>(content.durable.size(), change.offset));
      } else {
        put(content.durable, change.offset, change.bytes);
      }
    }
    content.pending.clear();
    // Who asks for everything syncs the folder as well, where there is one.
    const bool is_full = (flags & 0x0F) == SQLITE_SYNC_FULL;
    if (std::exchange(of(file).syncs_folder, false) || is_full) sync_folder(*of(file).disk);
    return SQLITE_OK;
  }
  static void sync_folder(Disk& disk) {
    disk.deleted_.clear();
    for (const auto& [name, file] : disk.files_) file->is_durable = true;
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) {
    *out = static_cast<sqlite3_int64>((*of(file).file)->cached.size());
    return SQLITE_OK;
  }
  // One process, one connection: nobody to lock out.
  static int lock(sqlite3_file* /*file*/, int /*kind*/) { return SQLITE_OK; }
  static int is_reserved(sqlite3_file* /*file*/, int* out) {
    *out = 0;
    return SQLITE_OK;
  }
  static int control(sqlite3_file* /*file*/, int /*operation*/, void* /*argument*/) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file* /*file*/) { return kSector; }
  static int characteristics(sqlite3_file* /*file*/) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static int map_shared(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    auto& shared = (*of(file).file)->shared;
    const auto index = static_cast<std::size_t>(region);
    *out = nullptr;
    if (index >= shared.size() && extend == 0) return SQLITE_OK;
    if (index >= of(file).disk->index_regions_) {
      of(file).disk->last_errno_ = ENOSPC;
      return SQLITE_IOERR_SHMSIZE;
    }
    while (shared.size() <= index) {
      shared.push_back(std::make_unique<std::vector<std::uint8_t>>(static_cast<std::size_t>(size)));
    }
    *out = shared[index]->data();
    return SQLITE_OK;
  }
  static int lock_shared(sqlite3_file* /*file*/, int /*offset*/, int /*count*/, int /*flags*/) { return SQLITE_OK; }
  static void barrier(sqlite3_file* /*file*/) {}
  static int unmap_shared(sqlite3_file* file, int /*remove*/) {
    (*of(file).file)->shared.clear();
    return SQLITE_OK;
  }

  // ---- the disk

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
    out->pMethods = nullptr;
    Disk& disk = disk_of(vfs);
    if (const int code = disk.begin(Disk::Operation::kOpen); code != SQLITE_OK) return code;
    const std::string name = path == nullptr ? "temporary" : path;
    std::shared_ptr<Disk::File>& file = disk.files_[name];
    const bool is_new = file == nullptr;
    if (is_new) {
      if ((flags & SQLITE_OPEN_CREATE) == 0) {
        disk.files_.erase(name);
        return SQLITE_CANTOPEN;
      }
      file = std::make_shared<Disk::File>();
    }
    SimulatedFile& result = of(out);
    // A broker makes the name of its database last before SQLite sees it.
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0) file->is_durable = true;
    result.disk = &disk;
    result.syncs_folder = is_new && (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    result.name = new std::string(name);
    result.file = new std::shared_ptr<Disk::File>(file);
    out->pMethods = methods();
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync) {
    Disk& disk = disk_of(vfs);
    if (const int code = disk.begin(Disk::Operation::kDelete); code != SQLITE_OK) return code;
    const auto found = disk.files_.find(path);
    if (found == disk.files_.end()) return SQLITE_IOERR_DELETE_NOENT;
    if (found->second->is_durable) disk.deleted_[path] = found->second;
    disk.files_.erase(found);
    if (sync != 0) sync_folder(disk);
    return SQLITE_OK;
  }
  static int access(sqlite3_vfs* vfs, const char* path, int /*flags*/, int* out) {
    *out = disk_of(vfs).files_.contains(path) ? 1 : 0;
    return SQLITE_OK;
  }
  static int full_path(sqlite3_vfs* /*vfs*/, const char* path, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", path);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs* /*vfs*/, int size, char* out) {
    sqlite3_vfs* const system = sqlite3_vfs_find(nullptr);
    return system->xRandomness(system, size, out);
  }
  static int sleep(sqlite3_vfs* /*vfs*/, int microseconds) { return microseconds; }
  static int time(sqlite3_vfs* /*vfs*/, sqlite3_int64* out) {
    *out = 0;
    return SQLITE_OK;
  }
  static int last_error(sqlite3_vfs* vfs, int /*size*/, char* /*out*/) { return disk_of(vfs).last_errno_; }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods kMethods = {
        2,           close,   read,        write,           truncate,   sync,        size,    lock,         lock,
        is_reserved, control, sector_size, characteristics, map_shared, lock_shared, barrier, unmap_shared, nullptr,
        nullptr};
    return &kMethods;
  }
};

SimulatedDisk::SimulatedDisk() : vfs_(std::make_unique<sqlite3_vfs>()) {
  name_ = "simulated-disk-" + std::to_string(reinterpret_cast<std::uintptr_t>(this));
  vfs_->iVersion = 2;
  vfs_->szOsFile = sizeof(SimulatedFile);
  vfs_->mxPathname = 256;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->xOpen = DiskMethods::open;
  vfs_->xDelete = DiskMethods::remove;
  vfs_->xAccess = DiskMethods::access;
  vfs_->xFullPathname = DiskMethods::full_path;
  vfs_->xRandomness = DiskMethods::randomness;
  vfs_->xSleep = DiskMethods::sleep;
  vfs_->xCurrentTimeInt64 = DiskMethods::time;
  vfs_->xGetLastError = DiskMethods::last_error;
  sqlite3_vfs_register(vfs_.get(), 0);
}

SimulatedDisk::~SimulatedDisk() { sqlite3_vfs_unregister(vfs_.get()); }

void SimulatedDisk::plan(Fault fault, std::uint64_t operation, bool is_full) {
  fault_ = fault;
  fault_at_ = operation;
  is_full_ = is_full;
  cut_after_ = 0;
  struck_ = false;
  operations_ = 0;
  last_errno_ = 0;
}

int SimulatedDisk::begin(Operation operation) {
  ++operations_;
  if (fault_ == Fault::kOnce && cut_after_ != 0 && operations_ >= fault_at_ + cut_after_) {
    fault_ = Fault::kPowerCut;
    fault_at_ = operations_;
  }
  const bool strikes = fault_ == Fault::kOnce   ? operations_ == fault_at_
                       : fault_ == Fault::kNone ? false
                                                : operations_ >= fault_at_;
  last_errno_ = 0;
  if (!strikes) return SQLITE_OK;
  // A disk that is full can be read.
  if (is_full_ && operation != Operation::kWrite && operation != Operation::kOpen) return SQLITE_OK;
  struck_ = true;
  last_errno_ = is_full_ ? ENOSPC : EIO;
  switch (operation) {
    case Operation::kRead:
      return SQLITE_IOERR_READ;
    case Operation::kWrite:
      return is_full_ ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    case Operation::kTruncate:
      return SQLITE_IOERR_TRUNCATE;
    case Operation::kSync:
      return SQLITE_IOERR_FSYNC;
    case Operation::kOpen:
      return SQLITE_CANTOPEN;
    case Operation::kDelete:
      break;
  }
  return SQLITE_IOERR_DELETE;
}

void SimulatedDisk::power_cycle(std::mt19937_64& random) {
  for (const auto& [name, file] : deleted_) {
    if (!files_.contains(name) && random() % 2 == 0) files_[name] = file;
  }
  deleted_.clear();
  for (auto at = files_.begin(); at != files_.end();) {
    File& file = *at->second;
    if (!file.is_durable && random() % 2 == 0) {
      at = files_.erase(at);
      continue;
    }
    for (const Change& change : file.pending) {
      if (change.bytes.empty()) {
        if (random() % 2 == 0) file.durable.resize(std::min<std::size_t>(file.durable.size(), change.offset));
        continue;
      }
      for (std::size_t begin = 0; begin < change.bytes.size();) {
        const std::uint64_t place = change.offset + begin;
        std::size_t size = std::min<std::size_t>(kSector - place % kSector, change.bytes.size() - begin);
        const std::string_view sector(change.bytes.data() + begin, size);
        begin += size;
        const unsigned fate = random() % 8;
        if (fate < 4) continue;
        put(file.durable, place, fate == 7 ? sector.substr(0, random() % sector.size()) : sector);
      }
    }
    file.pending.clear();
    file.cached = file.durable;
    file.is_durable = true;
    file.shared.clear();
    ++at;
  }
  plan(Fault::kNone, 0);
}

void SimulatedDisk::wipe() {
  files_.clear();
  deleted_.clear();
  plan(Fault::kNone, 0);
}

}  // namespace mqloop::store_test
