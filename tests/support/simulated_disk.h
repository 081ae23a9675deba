// A disk in memory, as a VFS of SQLite: what is written stays in the cache until it is synced; at a power cut each
// sector that was not is kept, lost or torn, as the seed has it, a file that was never synced may be gone, and one that
// was deleted may be there again. Operations are counted, so that one of them can fail, once or from then on, or be the
// last before the power goes. A sync that fails takes what it should have written for clean, as Linux does: it reaches
// the disk only when it is written again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

struct sqlite3_vfs;

namespace mqloop::store_test {

class SimulatedDisk {
 public:
  SimulatedDisk();
  ~SimulatedDisk();
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  // For DatabaseOptions::vfs.
  [[nodiscard]] const char* name() const noexcept { return name_.c_str(); }

  // ---- what goes wrong. Operations count from 1 since the last of these calls.
  enum class Fault : std::uint8_t { kNone, kOnce, kForGood, kPowerCut };
  void plan(Fault fault, std::uint64_t operation, bool is_full = false);
  // After plan(kOnce): so many operations after that one the power goes as well.
  void then_cut_after(std::uint64_t operations) { cut_after_ = operations; }
  [[nodiscard]] bool has_struck() const noexcept { return struck_; }
  [[nodiscard]] bool is_cut() const noexcept { return struck_ && fault_ == Fault::kPowerCut; }
  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }

  // The log's index gets no more than so many regions, each for some four thousand frames.
  void limit_index(std::size_t regions) noexcept { index_regions_ = regions; }

  // The power has gone, whether planned or not, and comes back: what is left. Nobody may have a file open.
  void power_cycle(std::mt19937_64& random);
  // Every file gone, and no fault planned.
  void wipe();

 private:
  friend struct SimulatedFile;
  friend struct DiskMethods;

  struct Change {  // a write, or, without bytes, a truncation to `offset`
    std::uint64_t offset = 0;
    std::string bytes;
  };
  struct File {
    std::string cached;
    std::string durable;
    std::vector<Change> pending;
    bool is_durable = false;                                         // its name
    std::vector<std::unique_ptr<std::vector<std::uint8_t>>> shared;  // memory of the log's index
  };
  enum class Operation : std::uint8_t { kRead, kWrite, kTruncate, kSync, kOpen, kDelete };

  // SQLite's result code.
  int begin(Operation operation);
  std::shared_ptr<File> find(const std::string& name) const;

  std::string name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::map<std::string, std::shared_ptr<File>> files_;
  std::map<std::string, std::shared_ptr<File>> deleted_;  // not for good yet
  Fault fault_ = Fault::kNone;
  std::uint64_t fault_at_ = 0;
  std::uint64_t cut_after_ = 0;  // 0: not at all
  std::size_t index_regions_ = SIZE_MAX;
  bool is_full_ = false;
  bool struck_ = false;
  std::uint64_t operations_ = 0;
  int last_errno_ = 0;
};

}  // namespace mqloop::store_test
