// Damage of every kind at seeded places: nothing ever crashes, and of what the damage did not touch all is saved.
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "core/store/page_file.h"
#include "core/store/reader.h"
#include "core/store/record.h"
#include "core/store/salvage.h"
#include "tests/store/rounds.h"
#include "tests/support/sample_store.h"
#include "tests/unit/store/store_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::fill_sample;
using store_test::first_seed;
using store_test::Folder;
using store_test::rounds;
using store_test::rows_of;
using store_test::wall;

namespace {

namespace fs = std::filesystem;

using Rows = std::set<std::string>;

constexpr std::uint64_t kRounds = 240;

std::string field(const std::string& row, std::size_t index) {
  std::size_t begin = 0;
  while (index-- > 0) begin = row.find('|', begin) + 1;
  return row.substr(begin, row.find('|', begin) - begin);
}

std::string table_of(const std::string& row) { return field(row, 0); }

std::size_t key_size(const std::string& table) {
  return table == "session" || table == "message" || table == "retained" || table == "ended" ? 1 : 2;
}

// `table|key`
std::string key_of(const std::string& row) {
  std::string key = table_of(row);
  for (std::size_t i = 1; i <= key_size(table_of(row)); ++i) key += '|' + field(row, i);
  return key;
}

std::string text_of(const Value& value) {
  return value.type == Value::Type::kInteger ? std::to_string(value.integer) : std::string(value.text());
}

// The key of a record as key_of() has it; empty for what is no row of a table that counts.
std::string key_of(const Record& record) {
  const std::size_t columns = record.values.size();
  if (record.of_table) {
    const char* const table = columns == 19  ? "session|"
                              : columns == 7 ? "message|"
                              : columns == 1 ? "ended|"
                                             : nullptr;
    return table == nullptr ? std::string() : table + std::to_string(record.rowid);
  }
  const std::string first = text_of(record.values.at(0));
  if (columns == 14) return "retained|" + first;
  if (columns < 2 || record.values[0].type == Value::Type::kBlob) return {};
  const char* const table = columns == 5                                     ? "subscription|"
                            : columns == 9                                   ? "delivery|"
                            : record.values[0].type == Value::Type::kInteger ? "received|"
                            : record.values[0].text().starts_with("$share/") ? "shared_delivery|"
                                                                             : nullptr;
  return table == nullptr ? std::string() : table + first + '|' + text_of(record.values[1]);
}

}  // namespace

TEST_GROUP(SalvageRounds) {
  Folder folder;
  std::string path = folder / "mqloop.db";
  Store store;
  SalvageReport report;
  std::string whole;
  Rows before;
  std::map<std::string, std::uint32_t> page_of;  // where each row stands
  std::set<std::uint32_t> leaves;
  std::uint64_t intact = 0;
  std::uint64_t saved = 0;
  int damaged = 0;  // rounds in which something was found

  static void well(const Outcome& outcome) { STRCMP_EQUAL("", outcome.text().c_str()); }

  void prepare() {
    well(store.open(path, {.synchronous = Synchronous::kNormal}));
    STRCMP_EQUAL("", fill_sample(store, 9).c_str());
    before = rows_of(store);
    well(store.checkpoint(CheckpointKind::kTruncate));
    store.close();
    std::ifstream file_of_all(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(file_of_all), {});
    PageFile file;
    well(file.open(path));
    RecordReader reader(file);
    Record record;
    for (std::uint32_t page = 1; page <= file.page_count(); ++page) {
      if (!file.is_in_use(page)) continue;
      if (reader.begin(page) != PageKind::kRows) continue;
      leaves.insert(page);
      while (reader.next(record)) {
        if (const std::string key = key_of(record); !key.empty()) page_of[key] = page;
      }
    }
  }

  // Keys of rows that the damage may have taken, with all that refers to them.
  Rows touched(const std::set<std::uint32_t>& pages) {
    Rows keys;
    bool only_leaves = true;
    for (const std::uint32_t page : pages) only_leaves = only_leaves && leaves.contains(page);
    for (const std::string& row : before) {
      const bool is_long = row.size() > 2000;
      const std::string key = key_of(row);
      if (pages.contains(page_of[key]) || (is_long && !only_leaves)) keys.insert(key);
    }
    Rows all = keys;
    for (const std::string& row : before) {
      const std::string table = table_of(row);
      const bool of_session = table == "subscription" || table == "delivery" || table == "received";
      if (of_session && keys.contains("session|" + field(row, 1))) all.insert(key_of(row));
      if (table == "delivery" && keys.contains("message|" + field(row, 3))) all.insert(key_of(row));
      if (table == "shared_delivery" && keys.contains("message|" + field(row, 2))) all.insert(key_of(row));
    }
    // A message that nobody is to have any more goes as well.
    for (const std::string& row : before) {
      const std::string table = table_of(row);
      if (table == "delivery" && all.contains(key_of(row))) all.insert("message|" + field(row, 3));
      if (table == "shared_delivery" && all.contains(key_of(row))) all.insert("message|" + field(row, 2));
      if (table == "ended") all.insert(key_of(row));
    }
    return all;
  }

  void round(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string content = whole;
    // Every other time where rows begin, and not in the middle of long ones.
    const auto leaf = std::next(leaves.begin(), static_cast<std::ptrdiff_t>(random() % leaves.size()));
    const std::size_t at = random() % 2 == 0 ? random() % content.size() : (*leaf - 1) * 4096 + random() % 300;
    const std::size_t size = std::min<std::size_t>(std::size_t{1} << random() % 13, content.size() - at);
    const unsigned kind = random() % 4;
    if (kind == 0) content[at] = static_cast<char>(content[at] ^ (1 << random() % 8));
    if (kind == 1) content.replace(at, size, std::string(size, '\0'));
    if (kind == 2) {
      for (std::size_t i = 0; i < size; ++i) content[at + i] = static_cast<char>(random());
    }
    if (kind == 3) content.resize(at);
    for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove(entry.path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;

    std::set<std::uint32_t> pages;
    const std::size_t end = kind == 3 ? whole.size() : kind == 0 ? at + 1 : at + size;
    for (std::size_t page = at / 4096; page * 4096 < end; ++page) pages.insert(static_cast<std::uint32_t>(page + 1));
    const Outcome outcome =
        open_or_salvage(path, {.synchronous = Synchronous::kNormal}, OnCorrupt::kQuarantine, wall(1), store, report);
    const std::string name = "seed " + std::to_string(seed) + ", kind " + std::to_string(kind) + ", byte " +
                             std::to_string(at) + ", " + std::to_string(size) + ": ";
    // In the first page there are marks of whose is the file, which may be somebody else's after it.
    if (!outcome.ok()) {
      if (!pages.contains(1)) FAIL((name + outcome.text()).c_str());
      return;
    }
    damaged += report.damaged ? 1 : 0;
    const Rows after = rows_of(store);
    const Rows lost = touched(pages);
    std::size_t strange = 0;
    for (const std::string& row : after) strange += before.contains(row) ? 0 : 1;
    for (const std::string& row : before) {
      if (lost.contains(key_of(row))) continue;
      ++intact;
      if (after.contains(row)) {
        ++saved;
      } else if (pages.size() == 1 && report.damaged) {
        FAIL((name + "lost " + row.substr(0, 100)).c_str());
      }
    }
    if (strange > 8) FAIL((name + std::to_string(strange) + " rows that were not there").c_str());
    const Outcome sound = store.quick_check();
    if (report.damaged && !sound.ok()) FAIL((name + sound.text()).c_str());
    // Whatever was saved can be given to a broker.
    store_test::Transcript transcript(wall(2'000'000'000));
    Recovered recovered;
    const Outcome reading = read_all(store, transcript, {wall(2'000'000'000), nullptr}, recovered);
    if (!reading.ok()) FAIL((name + reading.text()).c_str());
    store.close();
  }
};

TEST(SalvageRounds, damage_takes_nothing_that_it_did_not_touch) {
  prepare();
  const std::uint64_t end = first_seed() + rounds(kRounds);
  for (std::uint64_t seed = first_seed(); seed < end; ++seed) round(seed);
  CHECK(saved * 100 >= intact * 99);
  if (rounds(kRounds) < kRounds) return;
  CHECK(intact > 100'000);
  CHECK(damaged > 100);
}

TEST(SalvageRounds, records_are_read_as_sqlite_reads_them) {
  prepare();
  Rows expected;
  for (const std::string& row : before) expected.insert(key_of(row));
  Rows found;
  for (const auto& [key, page] : page_of) found.insert(key);
  CHECK(expected == found);
}
