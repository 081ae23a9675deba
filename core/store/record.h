// The rows on a page of an SQLite b-tree, read without SQLite and without believing the page: a cell that does not add
// up is no row, and those beside it are looked at nevertheless.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/store/page_file.h"

namespace mqloop::store {

struct Value {
  enum class Type : std::uint8_t { kNull, kInteger, kText, kBlob, kOther };

  Type type = Type::kNull;
  std::int64_t integer = 0;
  std::span<const std::uint8_t> bytes{};

  [[nodiscard]] bool is_null() const noexcept { return type == Type::kNull; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

struct Record {
  bool of_table = false;      // with a rowid, or the key of a tree without
  std::int64_t rowid = 0;     // of_table
  std::vector<Value> values;  // borrow from the reader, until its next record
};

enum class PageKind : std::uint8_t { kNoRows, kRows, kBad };

class RecordReader {
 public:
  explicit RecordReader(const PageFile& file) : file_(file) {}

  // What the page is; then next() gives its rows.
  PageKind begin(std::uint32_t page);
  // False: there are no more. Cells that are no rows are counted.
  bool next(Record& out);
  [[nodiscard]] std::uint64_t bad_cells() const noexcept { return bad_cells_; }

 private:
  bool read_cell(std::size_t at, Record& out);
  bool gather(std::uint64_t payload_size, std::size_t at);
  bool decode(Record& out) const;

  const PageFile& file_;
  std::vector<std::uint8_t> page_;
  std::vector<std::uint8_t> overflow_;
  std::vector<std::uint8_t> payload_;
  bool of_table_ = false;
  bool interior_ = false;
  std::size_t header_ = 0;
  std::size_t cells_ = 0;
  std::size_t cell_ = 0;
  std::uint64_t bad_cells_ = 0;
};

}  // namespace mqloop::store
