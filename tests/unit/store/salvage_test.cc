#include "core/store/salvage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <random>

#include "core/store/page_file.h"
#include "core/store/record.h"
#include "core/store/schema.h"
#include "tests/unit/store/sample_store.h"
#include "tests/unit/store/store_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::fill_sample;
using store_test::Folder;
using store_test::rows_of;
using store_test::wall;

namespace {

namespace fs = std::filesystem;

using Rows = std::set<std::string>;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

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

TEST_GROUP(Salvage) {
  Folder folder;
  std::string path = folder / "mqloop.db";
  Store store;
  SalvageReport report;

  static void well(const Outcome& outcome) { STRCMP_EQUAL("", outcome.text().c_str()); }
  Outcome open(OnCorrupt on_corrupt = OnCorrupt::kQuarantine) {
    return open_or_salvage(path, {}, on_corrupt, wall(1'700'000'000), store, report);
  }
  // A whole database, closed; its rows.
  Rows make(std::uint64_t seed = 1) {
    well(store.open(path));
    STRCMP_EQUAL("", fill_sample(store, seed).c_str());
    Rows rows = rows_of(store);
    store.close();
    return rows;
  }
  std::size_t files_that_begin_with(const std::string& name) {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      count += entry.path().filename().string().starts_with(name) ? 1 : 0;
    }
    return count;
  }
};

TEST(Salvage, whole_database_is_opened_as_it_is) {
  const Rows before = make();
  well(open());
  CHECK(!report.damaged);
  CHECK(report.quarantined.empty());
  CHECK(before == rows_of(store));
  LONGS_EQUAL(0, files_that_begin_with("mqloop.db.corrupt"));
}

TEST(Salvage, new_database_is_made) {
  well(open());
  CHECK(!report.damaged);
  CHECK(rows_of(store).empty());
}

TEST(Salvage, records_are_read_as_sqlite_reads_them) {
  const Rows rows = make();
  Rows expected;
  for (const std::string& row : rows) expected.insert(key_of(row));
  PageFile file;
  well(file.open(path));
  RecordReader reader(file);
  Record record;
  Rows found;
  for (std::uint32_t page = 1; page <= file.page_count(); ++page) {
    if (!file.is_in_use(page)) continue;
    (void)reader.begin(page);
    while (reader.next(record)) {
      if (const std::string key = key_of(record); !key.empty()) CHECK(found.insert(key).second);
    }
  }
  LONGS_EQUAL(0, reader.bad_cells());
  CHECK(expected == found);
}

TEST(Salvage, all_is_read_out_of_the_log_as_well) {
  well(store.open(path));
  STRCMP_EQUAL("", fill_sample(store, 2).c_str());
  const Rows before = rows_of(store);
  // As a crash leaves it, and the database file itself gone.
  fs::copy_file(path + "-wal", folder / "copy.db-wal");
  path = folder / "copy.db";
  Store other;
  well(open_or_salvage(path, {}, OnCorrupt::kQuarantine, wall(1), other, report));
  CHECK(report.damaged);
  CHECK(before == rows_of(other));
}

TEST(Salvage, root_page_that_is_gone_takes_nothing_but_itself) {
  const Rows before = make();
  std::string content = content_of(path);
  // The header, the schema and the roots of the first tables.
  content.replace(0, 4096, std::string(4096, '\0'));
  content.replace(4096 * 2, 4096 * 2, std::string(4096 * 2, '\xFF'));
  write_file(path, content);
  well(open());
  CHECK(report.damaged);
  CHECK(fs::exists(report.quarantined));
  STRCMP_EQUAL((path + ".corrupt-20231114T221320Z").c_str(), report.quarantined.c_str());
  CHECK(content == content_of(report.quarantined));
  const Rows after = rows_of(store);
  for (const std::string& row : after) CHECK(before.contains(row));
  CHECK(after.size() * 100 >= before.size() * 90);
  well(store.quick_check());
  // And the broker may go on with numbers that nobody has.
  Progress progress;
  well(store.progress(progress));
  CHECK(progress.numbers.delivery > 0 && progress.numbers.message > 0);
}

TEST(Salvage, refuse_leaves_everything_as_it_is) {
  make();
  std::string content = content_of(path);
  content.replace(4096 * 3, 4096, std::string(4096, '\xFF'));
  write_file(path, content);
  const Outcome outcome = open(OnCorrupt::kRefuse);
  CHECK(outcome.cause() == Cause::kCorrupt);
  CHECK(report.damaged);
  CHECK(!report.fault.empty());
  CHECK(!store.is_open());
  CHECK(content == content_of(path));
  LONGS_EQUAL(0, files_that_begin_with("mqloop.db.corrupt"));
}

TEST(Salvage, file_of_somebody_else_is_never_moved) {
  const std::string poem(20'000, 'x');
  write_file(path, poem);
  const Outcome outcome = open();
  CHECK(outcome.cause() == Cause::kCorrupt);
  STRCMP_CONTAINS("is no database of mqloop", outcome.text().c_str());
  CHECK(poem == content_of(path));
  LONGS_EQUAL(1, files_that_begin_with("mqloop.db"));

  fs::remove(path);
  Database foreign;
  well(foreign.open(path, {}));
  well(foreign.execute("CREATE TABLE mine(x)"));
  foreign.close();
  const std::string before = content_of(path);
  CHECK(open().cause() == Cause::kOther);
  CHECK(before == content_of(path));
}

TEST(Salvage, later_version_is_refused_and_not_salvaged) {
  make();
  well(store.open(path));
  well(store.database().execute("PRAGMA user_version=2"));
  store.close();
  const Outcome outcome = open();
  CHECK(outcome.cause() == Cause::kOther);
  STRCMP_CONTAINS("later mqloop", outcome.text().c_str());
  LONGS_EQUAL(0, files_that_begin_with("mqloop.db.corrupt"));
}

TEST(Salvage, marks_that_are_gone_are_damage_and_all_rows_are_saved) {
  const Rows before = make();
  for (const char* const mark : {"PRAGMA application_id=0", "PRAGMA application_id=7", "PRAGMA user_version=0"}) {
    well(store.open(path));
    well(store.database().execute(mark));
    store.close();
    well(open());
    CHECK(report.damaged);
    CHECK(before == rows_of(store));
    store.close();
  }
  // Each of them has its own name.
  LONGS_EQUAL(3, files_that_begin_with("mqloop.db.corrupt"));
}

TEST(Salvage, tables_that_are_gone_are_damage) {
  make();
  well(store.open(path));
  well(store.database().execute("DROP TABLE received"));
  store.close();
  well(open());
  CHECK(report.damaged);
  well(store.insert_received(1, 1));
}

TEST(Salvage, missing_shared_memory_is_nothing) {
  const Rows before = make();
  fs::remove(path + "-shm");
  well(open());
  CHECK(!report.damaged);
  CHECK(before == rows_of(store));
}

TEST(Salvage, log_that_is_missing_or_of_another_time_never_breaks_it) {
  for (const bool is_stale : {false, true}) {
    well(store.open(path));
    STRCMP_EQUAL("", fill_sample(store, 5).c_str());
    fs::copy_file(path, folder / "early.db");
    fs::copy_file(path + "-wal", folder / "early.db-wal");
    well(store.checkpoint(CheckpointKind::kTruncate));
    well(store.begin());
    for (std::uint64_t i = 1; i < 100; ++i) well(store.remove_message(i * 64));
    well(store.commit());
    well(store.checkpoint(CheckpointKind::kTruncate));
    fs::copy_file(path, folder / "late.db");
    if (is_stale) fs::rename(folder / "early.db-wal", folder / "late.db-wal");
    if (!is_stale) fs::remove(folder / "early.db-wal");
    Store other;
    well(open_or_salvage(folder / (is_stale ? "late.db" : "early.db"), {}, OnCorrupt::kQuarantine, wall(1), other,
                         report));
    well(other.quick_check());
    store.close();
    for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove(entry.path());
  }
}

TEST(Salvage, crash_in_the_middle_of_a_salvage_is_finished_or_begun_anew) {
  const Rows before = make();
  const std::string whole = content_of(path);
  // Before the database had moved: what was saved so far is of no use.
  write_file(path + ".saving", "half");
  write_file(path + ".saved", "old");
  well(open());
  CHECK(before == rows_of(store));
  store.close();
  LONGS_EQUAL(1, files_that_begin_with("mqloop.db"));
  // After it had moved: what was saved takes its name.
  fs::rename(path, path + ".saved");
  write_file(path + ".corrupt-1", "damaged");
  write_file(path + "-wal", "its log");
  well(open());
  CHECK(before == rows_of(store));
  CHECK(whole.size() == fs::file_size(path));
  CHECK(!fs::exists(path + ".saved"));
}

TEST(Salvage, owner_who_may_not_write_is_told_and_nothing_moves) {
  const Rows before = make();
  if (::geteuid() != 0) {
    ::chmod(path.c_str(), 0400);
    CHECK(open().cause() == Cause::kReadOnly);
    ::chmod(path.c_str(), 0600);
  } else {
    // Root may write to everything, so somebody else has to try.
    CHECK(::chmod(folder.path().c_str(), 0755) == 0);
    const uid_t nobody = 65'534;
    LONGS_EQUAL(0, ::seteuid(nobody));
    const Outcome outcome = open();
    LONGS_EQUAL(0, ::seteuid(0));
    CHECK(outcome.cause() == Cause::kReadOnly);
  }
  LONGS_EQUAL(0, files_that_begin_with("mqloop.db.corrupt"));
  well(open());
  CHECK(before == rows_of(store));
}

// Damage of every kind at seeded places: nothing ever crashes, and of what the damage did not touch all is saved.
TEST_GROUP_BASE(SalvageRounds, TEST_GROUP_CppUTestGroupSalvage) {
  std::string whole;
  Rows before;
  std::map<std::string, std::uint32_t> page_of;  // where each row stands
  std::set<std::uint32_t> leaves;
  std::uint64_t intact = 0;
  std::uint64_t saved = 0;

  void prepare() {
    before = make(9);
    whole = content_of(path);
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
    const std::size_t at = random() % content.size();
    const std::size_t size = std::min<std::size_t>(std::size_t{1} << random() % 13, content.size() - at);
    const unsigned kind = random() % 4;
    if (kind == 0) content[at] = static_cast<char>(content[at] ^ (1 << random() % 8));
    if (kind == 1) content.replace(at, size, std::string(size, '\0'));
    if (kind == 2) {
      for (std::size_t i = 0; i < size; ++i) content[at + i] = static_cast<char>(random());
    }
    if (kind == 3) content.resize(at);
    for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove(entry.path());
    write_file(path, content);

    std::set<std::uint32_t> pages;
    const std::size_t end = kind == 3 ? whole.size() : kind == 0 ? at + 1 : at + size;
    for (std::size_t page = at / 4096; page * 4096 < end; ++page) pages.insert(static_cast<std::uint32_t>(page + 1));
    const Outcome outcome = open();
    const std::string name = "seed " + std::to_string(seed) + ", kind " + std::to_string(kind) + ", byte " +
                             std::to_string(at) + ", " + std::to_string(size) + ": ";
    // In the first page there are marks of whose is the file, which may be somebody else's after it.
    if (!outcome.ok()) {
      if (!pages.contains(1)) FAIL((name + outcome.text()).c_str());
      return;
    }
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
    if (strange > 200) FAIL((name + std::to_string(strange) + " rows that were not there").c_str());
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

TEST(SalvageRounds, damage_at_240_places_takes_nothing_that_it_did_not_touch) {
  prepare();
  for (std::uint64_t seed = 1; seed <= 240; ++seed) round(seed);
  CHECK(intact > 100'000);
  CHECK(saved * 100 >= intact * 99);
}
