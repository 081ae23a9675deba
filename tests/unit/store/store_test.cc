#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "core/store/database_lock.h"
#include "core/store/schema.h"
#include "core/store/store.h"
#include "tests/unit/store/store_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::bytes;
using store_test::Folder;
using store_test::wall;

namespace {

bool exists(const std::string& path) { return std::filesystem::exists(path); }

unsigned mode_of(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777U : 0;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_GROUP(Store) {
  Folder folder;
  std::string path = folder / "mqloop.db";
  Store store;

  static void well(const Outcome& outcome) { STRCMP_EQUAL("", outcome.text().c_str()); }
  static void fails(Cause cause, const Outcome& outcome) {
    if (outcome.cause() != cause) FAIL((std::string(name_of(outcome.cause())) + ": " + outcome.text()).c_str());
    CHECK(!outcome.text().empty());
  }
  std::int64_t number(const char* sql) {
    std::optional<std::int64_t> value;
    well(store.database().get_integer(sql, value));
    return value.value_or(-1);
  }
  std::string text(const char* sql) {
    Statement statement;
    well(store.database().prepare(sql, statement));
    std::string all;
    for (bool row = true;;) {
      well(statement.next(row));
      if (!row) return all;
      for (int i = 0; i < sqlite3_column_count(statement.get()); ++i) {
        all += (i == 0 ? "" : "|") + std::string(statement.text(i));
      }
      all += '\n';
    }
  }
  void put_session(std::uint64_t session, std::string_view client_id) {
    SessionRow row;
    row.number = session;
    row.client_id = client_id;
    row.expiry_interval = 60;
    well(store.put_session(row));
  }
  void put_message(std::uint64_t message, std::string_view topic = "t") {
    MessageRow row;
    row.number = message;
    row.topic = topic;
    row.qos = QoS::kAtLeastOnce;
    well(store.insert_message(row));
  }
  void put_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t message) {
    DeliveryRow row;
    row.session = session;
    row.number = delivery;
    row.message = message;
    well(store.insert_delivery(row));
  }
  void write_file(const std::string& name, const std::string& content) {
    std::ofstream(name, std::ios::binary) << content;
  }
};

TEST(Store, new_database_is_marked_and_can_give_pages_back) {
  well(store.open(path));
  LONGS_EQUAL(kApplicationId, number("PRAGMA application_id"));
  LONGS_EQUAL(kSchemaVersion, number("PRAGMA user_version"));
  LONGS_EQUAL(2, number("PRAGMA auto_vacuum"));
  STRCMP_EQUAL("wal\n", text("PRAGMA journal_mode").c_str());
  LONGS_EQUAL(2, number("PRAGMA synchronous"));
  LONGS_EQUAL(0, number("PRAGMA wal_autocheckpoint"));
  // Every table of it is strict.
  LONGS_EQUAL(0, number("SELECT count(*) FROM pragma_table_list WHERE type='table' AND strict=0 AND name NOT LIKE "
                        "'sqlite%'"));
}

TEST(Store, normal_is_another_synchronous) {
  well(store.open(path, {.synchronous = Synchronous::kNormal}));
  LONGS_EQUAL(1, number("PRAGMA synchronous"));
}

TEST(Store, cve_2017_9868_files_are_for_their_owner_alone) {
  well(store.open(path));
  for (const char* const tail : {"", "-wal", "-shm"}) LONGS_EQUAL(0600, mode_of(path + tail));
}

TEST(Store, cve_2022_35737_nothing_is_much_longer_than_a_packet_may_be) {
  well(store.open(path));
  well(store.database().execute("SELECT length(zeroblob(268435455 + 65535))"));
  fails(Cause::kOther, store.database().execute("SELECT length(zeroblob(1000000000))"));
}

TEST(Store, cve_2025_6965_what_a_file_says_of_its_schema_is_not_trusted) {
  well(store.open(path));
  LONGS_EQUAL(0, number("PRAGMA trusted_schema"));
  well(store.database().execute("PRAGMA writable_schema=ON"));
  fails(Cause::kOther, store.database().execute("UPDATE sqlite_schema SET sql='' WHERE name='session'"));
}

TEST(Store, open_again_finds_what_was_committed_and_nothing_else) {
  well(store.open(path));
  well(store.begin());
  put_session(7, "a");
  well(store.commit());
  well(store.begin());
  put_session(8, "b");
  store.roll_back();
  store.close();
  well(store.open(path));
  LONGS_EQUAL(1, number("SELECT count(*) FROM session"));
  LONGS_EQUAL(7, number("SELECT number FROM session"));
}

TEST(Store, database_of_another_program_is_refused_and_left_alone) {
  sqlite3* other = nullptr;
  LONGS_EQUAL(SQLITE_OK, sqlite3_open(path.c_str(), &other));
  LONGS_EQUAL(SQLITE_OK, sqlite3_exec(other, "CREATE TABLE mine(x)", nullptr, nullptr, nullptr));
  sqlite3_close(other);
  const std::string before = content_of(path);
  fails(Cause::kOther, store.open(path));
  CHECK(!store.is_open());
  CHECK(before == content_of(path));
  CHECK(!exists(path + "-wal"));
}

TEST(Store, database_of_a_later_mqloop_is_refused_and_left_alone) {
  well(store.open(path));
  well(store.database().execute("PRAGMA user_version=99"));
  store.close();
  const std::string before = content_of(path);
  fails(Cause::kOther, store.open(path));
  CHECK(before == content_of(path));
}

TEST(Store, file_that_is_no_database_is_corrupt_and_left_alone) {
  const std::string poem(5000, 'x');
  write_file(path, poem);
  fails(Cause::kCorrupt, store.open(path));
  CHECK(poem == content_of(path));
}

TEST(Store, folder_that_is_not_there_is_told) {
  const Outcome outcome = store.open(folder / "none/mqloop.db");
  fails(Cause::kOther, outcome);
  STRCMP_CONTAINS("none/mqloop.db: No such file or directory", outcome.text().c_str());
}

TEST(Store, reader_of_a_live_database_sees_commits_and_may_not_write) {
  well(store.open(path));
  Store reader;
  well(reader.open(path, {.mode = OpenMode::kReadOnly}));
  well(store.begin());
  put_session(1, "a");
  well(store.commit());
  std::optional<std::int64_t> count;
  well(reader.database().get_integer("SELECT count(*) FROM session", count));
  LONGS_EQUAL(1, *count);
  fails(Cause::kReadOnly, reader.database().execute("DELETE FROM session"));
}

TEST(Store, lock_of_somebody_else_is_busy) {
  well(store.open(path));
  Store other;
  well(other.open(path));
  well(other.begin());
  fails(Cause::kBusy, store.begin());
  well(other.commit());
  well(store.begin());
  well(store.commit());
}

TEST(Store, database_that_may_not_grow_is_full_and_keeps_what_it_has) {
  well(store.open(path));
  well(store.begin());
  put_session(1, "a");
  well(store.commit());
  const std::int64_t pages = number("PRAGMA page_count");
  well(store.database().execute(("PRAGMA max_page_count=" + std::to_string(pages + 2)).c_str()));
  const std::string payload(100'000, 'p');
  MessageRow row;
  row.number = 1;
  row.topic = "t";
  row.payload = bytes(payload);
  well(store.begin());
  put_session(2, "b");
  fails(Cause::kFull, store.insert_message(row));
  store.roll_back();
  LONGS_EQUAL(1, number("SELECT count(*) FROM session"));
  well(store.database().execute("PRAGMA max_page_count=100000"));
  well(store.begin());
  well(store.insert_message(row));
  well(store.commit());
  well(store.quick_check());
}

TEST(Store, causes_are_told_apart) {
  const struct {
    int code;
    int error_number;
    Cause cause;
  } rows[] = {
      {SQLITE_OK, 0, Cause::kNone},
      {SQLITE_FULL, 0, Cause::kFull},
      {SQLITE_IOERR_WRITE, ENOSPC, Cause::kFull},
      {SQLITE_IOERR_WRITE, EDQUOT, Cause::kFull},
      {SQLITE_IOERR_SHMSIZE, ENOSPC, Cause::kFull},
      {SQLITE_IOERR_WRITE, EIO, Cause::kIo},
      {SQLITE_IOERR_READ, EIO, Cause::kIo},
      {SQLITE_IOERR_FSYNC, EIO, Cause::kSync},
      {SQLITE_IOERR_FSYNC, ENOSPC, Cause::kSync},
      {SQLITE_IOERR_DIR_FSYNC, EIO, Cause::kSync},
      {SQLITE_READONLY_DBMOVED, 0, Cause::kReadOnly},
      {SQLITE_IOERR_WRITE, EROFS, Cause::kReadOnly},
      {SQLITE_CANTOPEN, EACCES, Cause::kReadOnly},
      {SQLITE_CANTOPEN, ENOENT, Cause::kOther},
      {SQLITE_BUSY_SNAPSHOT, 0, Cause::kBusy},
      {SQLITE_LOCKED, 0, Cause::kBusy},
      {SQLITE_CORRUPT_INDEX, 0, Cause::kCorrupt},
      {SQLITE_NOTADB, 0, Cause::kCorrupt},
      {SQLITE_CONSTRAINT_UNIQUE, 0, Cause::kOther},
      {SQLITE_NOMEM, 0, Cause::kOther},
  };
  for (const auto& row : rows) {
    LONGS_EQUAL_TEXT(static_cast<int>(row.cause), static_cast<int>(cause_of(row.code, row.error_number)),
                     std::to_string(row.code).c_str());
  }
}

TEST(Store, session_that_comes_under_a_new_number_ends_the_old_one) {
  well(store.open(path));
  well(store.begin());
  put_session(1, "a");
  put_session(2, "a");
  put_session(3, "b");
  well(store.commit());
  STRCMP_EQUAL("2|a\n3|b\n", text("SELECT number,client_id FROM session ORDER BY number").c_str());
  STRCMP_EQUAL("1\n", text("SELECT session FROM ended").c_str());
}

TEST(Store, session_changes_in_place) {
  well(store.open(path));
  well(store.begin());
  WillRow will;
  will.topic = "w";
  SessionRow row;
  row.number = 5;
  row.client_id = "c";
  row.connected = true;
  row.expiry_interval = 10;
  row.will = &will;
  well(store.put_session(row));
  STRCMP_EQUAL("1|w|\n", text("SELECT connected,will_topic,gone_at FROM session").c_str());
  well(store.session_gone(5, 20, wall(100)));
  STRCMP_EQUAL("0|20|100000|w\n", text("SELECT connected,expiry_interval,gone_at,will_topic FROM session").c_str());
  well(store.take_will(5));
  STRCMP_EQUAL("|\n", text("SELECT will_topic,will_payload FROM session").c_str());
  row.will = nullptr;
  well(store.put_session(row));
  STRCMP_EQUAL("1||\n", text("SELECT connected,will_topic,gone_at FROM session").c_str());
  well(store.commit());
}

TEST(Store, end_of_a_session_is_small_and_its_rows_are_swept_in_slices) {
  well(store.open(path));
  well(store.begin());
  put_session(1, "a");
  put_session(2, "b");
  for (std::uint64_t i = 1; i <= 100; ++i) {
    put_message(i);
    put_delivery(1, i, i);
  }
  put_delivery(2, 101, 1);
  well(store.set_received(1, 7));
  well(store.insert_received(1, 9));
  well(store.put_subscription({.session = 1, .filter = "x/#"}));
  well(store.put_subscription({.session = 2, .filter = "x/#"}));
  well(store.commit());

  well(store.begin());
  well(store.end_session(1));
  well(store.commit());
  LONGS_EQUAL(0, number("SELECT count(*) FROM session WHERE number=1"));
  LONGS_EQUAL(101, number("SELECT count(*) FROM delivery"));

  std::vector<std::uint64_t> released;
  bool left = true;
  int slices = 0;
  while (left) {
    const std::size_t before = released.size();
    well(store.begin());
    well(store.sweep_ended(30, released, left));
    well(store.commit());
    CHECK(released.size() - before <= 31);
    ++slices;
  }
  CHECK(slices >= 4);
  // One of them had been received: nobody has its message any more.
  LONGS_EQUAL(99, released.size());
  LONGS_EQUAL(1, number("SELECT count(*) FROM delivery"));
  LONGS_EQUAL(0, number("SELECT count(*) FROM received"));
  STRCMP_EQUAL("2|x/#\n", text("SELECT session,filter FROM subscription").c_str());
  LONGS_EQUAL(0, number("SELECT count(*) FROM ended"));
}

TEST(Store, sweep_with_nothing_to_do_does_nothing) {
  well(store.open(path));
  std::vector<std::uint64_t> released;
  bool left = true;
  well(store.begin());
  well(store.sweep_ended(10, released, left));
  well(store.commit());
  CHECK(!left);
  CHECK(released.empty());
}

TEST(Store, who_removes_a_delivery_hears_of_its_message) {
  well(store.open(path));
  well(store.begin());
  put_message(40);
  put_delivery(1, 1, 40);
  put_delivery(1, 2, 40);
  std::uint64_t released = 1;
  well(store.set_received(1, 1, &released));
  LONGS_EQUAL(40, released);
  well(store.remove_delivery(1, 1, &released));
  LONGS_EQUAL(0, released);
  well(store.remove_delivery(1, 2, &released));
  LONGS_EQUAL(40, released);
  well(store.remove_delivery(1, 3, &released));
  LONGS_EQUAL(0, released);
  well(store.commit());
}

TEST(Store, removing_what_is_not_there_is_no_fault) {
  well(store.open(path));
  well(store.begin());
  well(store.end_session(1));
  well(store.take_will(1));
  well(store.remove_subscription(1, "a"));
  well(store.remove_message(1));
  well(store.remove_delivery(1, 1));
  well(store.set_packet_id(1, 1, 1, QoS::kExactlyOnce));
  well(store.set_received(1, 1));
  well(store.remove_received(1, 1));
  well(store.remove_shared_delivery("$share/g/t", 1));
  well(store.clear_retained("t"));
  well(store.commit());
}

TEST(Store, progress_comes_back) {
  well(store.open(path));
  Progress progress;
  progress.batch = 12;
  progress.numbers = {1, 2, 3, 4};
  progress.alive_at = wall(99);
  well(store.begin());
  well(store.set_progress(progress));
  well(store.commit());
  store.close();
  well(store.open(path));
  Progress back;
  well(store.progress(back));
  LONGS_EQUAL(12, back.batch);
  LONGS_EQUAL(1, back.numbers.session);
  LONGS_EQUAL(2, back.numbers.message);
  LONGS_EQUAL(3, back.numbers.delivery);
  LONGS_EQUAL(4, back.numbers.retained);
  CHECK(back.alive_at == wall(99));
  CHECK(!back.clean);
}

TEST(Store, what_is_removed_gives_its_space_back) {
  well(store.open(path));
  const std::string payload(1000, 'p');
  well(store.begin());
  MessageRow row;
  row.topic = "t";
  row.payload = bytes(payload);
  for (row.number = 1; row.number <= 2000; ++row.number) well(store.insert_message(row));
  well(store.commit());
  CheckpointResult result;
  well(store.checkpoint(CheckpointKind::kTruncate, &result));
  LONGS_EQUAL(0, store.sizes().wal_bytes);
  const std::uint64_t full = store.sizes().database_bytes;
  well(store.begin());
  for (std::uint64_t i = 1; i <= 2000; ++i) well(store.remove_message(i));
  well(store.commit());
  CHECK(store.sizes().unused_bytes > full / 2);
  CHECK(store.sizes().free_bytes > 0);
  well(store.incremental_vacuum(1'000'000));
  LONGS_EQUAL(0, store.sizes().unused_bytes);
  well(store.checkpoint(CheckpointKind::kTruncate));
  CHECK(store.sizes().database_bytes < full / 2);
}

TEST(Store, passive_checkpoint_moves_what_no_reader_needs) {
  well(store.open(path));
  well(store.begin());
  put_session(1, "a");
  well(store.commit());
  CheckpointResult result;
  well(store.checkpoint(CheckpointKind::kPassive, &result));
  CHECK(result.wal_frames > 0);
  LONGS_EQUAL(result.wal_frames, result.moved_frames);
}

TEST(Store, views_answer_people) {
  well(store.open(path));
  well(store.begin());
  WillRow will;
  will.topic = "gone/a";
  SessionRow session;
  session.number = 1;
  session.client_id = "pump";
  session.has_user_name = true;
  session.user_name = "anna";
  session.expiry_interval = 3600;
  session.gone_at = wall(1'700'000'000);
  session.will = &will;
  well(store.put_session(session));
  well(store.put_subscription({1, "a/#", QoS::kAtLeastOnce, 0x2C | 1, 7}));
  MessageRow message;
  message.number = 5;
  message.topic = "a/b";
  message.payload = bytes("hello");
  message.qos = QoS::kAtLeastOnce;
  message.expires_at = wall(1'700'000'060);
  well(store.insert_message(message));
  put_delivery(1, 1, 5);
  put_delivery(1, 2, 5);
  well(store.set_packet_id(1, 1, 11, QoS::kAtLeastOnce));
  Principal::Content who;
  who.client_id = "pump";
  const auto principal = Principal::create(who);
  RetainedRow retained;
  retained.message = message;
  retained.stored_at = wall(1'700'000'000);
  retained.principal = principal.get();
  well(store.put_retained(retained));
  well(store.commit());
  STRCMP_EQUAL("pump|anna|no|2023-11-14T22:13:20Z|2023-11-14T23:13:20Z|gone/a|1\n",
               text("SELECT * FROM v_sessions").c_str());
  STRCMP_EQUAL("pump|a/#|1|yes|yes|2|7\n", text("SELECT * FROM v_subscriptions").c_str());
  STRCMP_EQUAL("pump|1|1|16\n", text("SELECT * FROM v_queues").c_str());
  STRCMP_EQUAL("5|a/b|1|no|5|hello|2023-11-14T22:14:20Z\n", text("SELECT * FROM v_messages").c_str());
  STRCMP_EQUAL("a/b|1|5|hello|2023-11-14T22:13:20Z|2023-11-14T22:14:20Z|pump\n",
               text("SELECT * FROM v_retained").c_str());
}

TEST_GROUP(DatabaseLock) {
  Folder folder;
  std::string path = folder / "mqloop.db";
};

TEST(DatabaseLock, sqlite_wal_reset_one_at_a_time_has_it_and_the_others_hear_who) {
  DatabaseLock first;
  DatabaseLock second;
  CHECK(first.acquire(path).ok());
  CHECK(first.is_held());
  const Outcome outcome = second.acquire(path);
  CHECK(outcome.cause() == Cause::kBusy);
  STRCMP_EQUAL((path + ": process " + std::to_string(::getpid()) + " has it open").c_str(), outcome.text().c_str());
  first.release();
  CHECK(second.acquire(path).ok());
  LONGS_EQUAL(0600, mode_of(path + ".lock"));
}

TEST(DatabaseLock, where_no_file_can_be_there_is_no_lock) {
  DatabaseLock lock;
  CHECK(lock.acquire(folder / "none/mqloop.db").cause() == Cause::kOther);
  CHECK(!lock.is_held());
}
