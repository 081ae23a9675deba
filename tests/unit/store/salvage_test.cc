#include "core/store/salvage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/sample_store.h"
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
    well(store.checkpoint(CheckpointKind::kTruncate));
    store.close();
    for (const char* const tail : {"-wal", "-shm"}) fs::remove(path + tail);
    return rows;
  }
  // Without the logs beside them.
  std::size_t files_that_begin_with(const std::string& name) {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      const std::string file = entry.path().filename().string();
      count += file.starts_with(name) && !file.ends_with("-wal") && !file.ends_with("-shm") ? 1 : 0;
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
    well(store.checkpoint(CheckpointKind::kTruncate));
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
