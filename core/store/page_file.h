// The pages of an SQLite database and of its write-ahead log, read without SQLite, for a file that is damaged. Nothing
// in it is believed: page numbers, sizes and chains are bounded by the file. Only databases of our own making: pages of
// 4096 bytes unless the file says otherwise, with pointer maps (auto_vacuum).
//
// Of the log every frame counts that carries its salts and whose checksum follows from the one before it, up to the
// last commit; a damaged frame takes its own page along and no more.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/store/outcome.h"

namespace mqloop::store {

class PageFile {
 public:
  PageFile() noexcept = default;
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;
  ~PageFile();

  // Either file may be missing; kOther when both are, or one cannot be read.
  Outcome open(const std::string& database_path);

  [[nodiscard]] std::uint32_t page_size() const noexcept { return page_size_; }
  [[nodiscard]] std::uint32_t page_count() const noexcept { return page_count_; }
  // Pages count from 1. A copy in `out`, filled with zeros where the file ends too early; false: there is no such page.
  bool read(std::uint32_t page, std::vector<std::uint8_t>& out) const;
  // May hold rows that are wanted. Pages of the free list, which keep what they held before, do not; the pointer maps
  // are asked as well when that list is not whole.
  [[nodiscard]] bool is_in_use(std::uint32_t page) const;
  // The file begins as a database does, as far as it goes.
  [[nodiscard]] bool begins_like_database() const noexcept { return begins_like_database_; }

 private:
  void read_header();
  void read_log();
  void read_free_list();
  [[nodiscard]] std::uint32_t map_of(std::uint32_t page) const;
  [[nodiscard]] bool is_map(std::uint32_t page) const { return page >= 2 && map_of(page) == page; }
  [[nodiscard]] bool map_says_free(std::uint32_t page) const;

  int database_ = -1;
  int log_ = -1;
  std::uint64_t database_bytes_ = 0;
  bool begins_like_database_ = false;
  std::uint32_t page_size_ = 4096;
  std::uint32_t page_count_ = 0;
  std::unordered_map<std::uint32_t, std::uint64_t> in_log_;  // where the page's newest content is in the log
  std::unordered_set<std::uint32_t> free_;
  bool free_list_is_whole_ = false;
  mutable std::uint32_t map_page_ = 0;  // the pointer map that was read last
  mutable std::vector<std::uint8_t> map_;
};

}  // namespace mqloop::store
