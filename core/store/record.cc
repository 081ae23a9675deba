#include "core/store/record.h"

#include <algorithm>

namespace mqloop::store {
namespace {

constexpr std::uint8_t kTableLeaf = 0x0D;
constexpr std::uint8_t kTableInterior = 0x05;
constexpr std::uint8_t kIndexLeaf = 0x0A;
constexpr std::uint8_t kIndexInterior = 0x02;
constexpr std::size_t kMostColumns = 64;

// 1 to 9 bytes, the big end first. False: it does not end.
bool take_varint(std::span<const std::uint8_t> bytes, std::size_t& at, std::uint64_t& out) noexcept {
  out = 0;
  for (int i = 0; i < 9; ++i) {
    if (at >= bytes.size()) return false;
    const std::uint8_t byte = bytes[at++];
    if (i == 8) {
      out = out << 8 | byte;
      return true;
    }
    out = out << 7 | (byte & 0x7F);
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

std::int64_t signed_big(std::span<const std::uint8_t> bytes) noexcept {
  std::uint64_t value = !bytes.empty() && (bytes[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return static_cast<std::int64_t>(value);
}

// The size of a value by its serial type; the types 10 and 11 are not used.
bool size_of(std::uint64_t serial, std::uint64_t& size) noexcept {
  constexpr std::uint8_t kSizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
  if (serial == 10 || serial == 11) return false;
  size = serial < 10 ? kSizes[serial] : (serial - 12) / 2;
  return true;
}

Value value_of(std::uint64_t serial, std::span<const std::uint8_t> bytes) noexcept {
  Value value;
  if (serial >= 12) {
    value.type = serial % 2 == 0 ? Value::Type::kBlob : Value::Type::kText;
    value.bytes = bytes;
  } else if (serial == 7) {
    value.type = Value::Type::kOther;  // a float: we write none
  } else if (serial != 0) {
    value.type = Value::Type::kInteger;
    value.integer = serial == 8 ? 0 : serial == 9 ? 1 : signed_big(bytes);
  }
  return value;
}

}  // namespace

PageKind RecordReader::begin(std::uint32_t page) {
  cells_ = 0;
  cell_ = 0;
  if (!file_.read(page, page_)) return PageKind::kBad;
  header_ = page == 1 ? 100 : 0;
  const std::uint8_t type = page_[header_];
  if (type == kTableInterior || page == 1) return PageKind::kNoRows;
  if (type != kTableLeaf && type != kIndexLeaf && type != kIndexInterior) return PageKind::kBad;
  of_table_ = type == kTableLeaf;
  interior_ = type == kIndexInterior;
  const std::size_t first = header_ + (interior_ ? 12 : 8);
  cells_ = static_cast<std::size_t>(page_[header_ + 3]) << 8 | page_[header_ + 4];
  const bool fits = first + cells_ * 2 <= page_.size();
  cells_ = std::min(cells_, (page_.size() - first) / 2);
  header_ = first;
  return fits ? PageKind::kRows : PageKind::kBad;
}

bool RecordReader::next(Record& out) {
  while (cell_ < cells_) {
    const std::size_t pointer = header_ + cell_++ * 2;
    const std::size_t at = static_cast<std::size_t>(page_[pointer]) << 8 | page_[pointer + 1];
    if (at >= header_ + cells_ * 2 && at < page_.size() && read_cell(at, out)) return true;
    ++bad_cells_;
  }
  return false;
}

bool RecordReader::read_cell(std::size_t at, Record& out) {
  if (interior_) at += 4;  // the page to the left
  std::uint64_t payload_size = 0;
  std::uint64_t rowid = 0;
  if (!take_varint(page_, at, payload_size)) return false;
  if (of_table_ && !take_varint(page_, at, rowid)) return false;
  out.of_table = of_table_;
  out.rowid = static_cast<std::int64_t>(rowid);
  return gather(payload_size, at) && decode(out);
}

// How much of a row stands on its page, and where the rest is: section 1.6 of SQLite's file format.
bool RecordReader::gather(std::uint64_t payload_size, std::size_t at) {
  const std::uint64_t usable = page_.size();
  if (payload_size > static_cast<std::uint64_t>(file_.page_count()) * usable) return false;
  const std::uint64_t most = of_table_ ? usable - 35 : (usable - 12) * 64 / 255 - 23;
  const std::uint64_t least = (usable - 12) * 32 / 255 - 23;
  std::uint64_t local = payload_size;
  if (payload_size > most) {
    local = least + (payload_size - least) % (usable - 4);
    if (local > most) local = least;
  }
  const bool goes_on = local < payload_size;
  if (at + local + (goes_on ? 4 : 0) > page_.size()) return false;
  const std::uint8_t* const begin = page_.data() + at;
  payload_.assign(begin, begin + local);
  if (!goes_on) return true;
  const auto page_number = [](const std::uint8_t* bytes) {
    return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
           static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
  };
  std::uint32_t next = page_number(begin + local);
  while (payload_.size() < payload_size) {
    if (!file_.read(next, overflow_)) return false;
    const std::uint64_t part = std::min<std::uint64_t>(payload_size - payload_.size(), usable - 4);
    payload_.insert(payload_.end(), overflow_.begin() + 4, overflow_.begin() + 4 + static_cast<std::ptrdiff_t>(part));
    next = page_number(overflow_.data());
  }
  return next == 0;
}

bool RecordReader::decode(Record& out) const {
  out.values.clear();
  std::size_t at = 0;
  std::uint64_t header_size = 0;
  if (!take_varint(payload_, at, header_size) || header_size > payload_.size() || header_size < at) return false;
  const std::span<const std::uint8_t> header = std::span(payload_).first(header_size);
  std::uint64_t body = header_size;
  while (at < header.size()) {
    std::uint64_t serial = 0;
    std::uint64_t size = 0;
    if (!take_varint(header, at, serial) || !size_of(serial, size)) return false;
    if (size > payload_.size() - body || out.values.size() == kMostColumns) return false;
    out.values.push_back(value_of(serial, std::span(payload_).subspan(body, size)));
    body += size;
  }
  return body == payload_.size();
}

}  // namespace mqloop::store
