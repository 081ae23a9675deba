#include "core/store/reader.h"

#include "tests/unit/store/store_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::store;
using store_test::bytes;
using store_test::Folder;
using store_test::Transcript;
using store_test::wall;

namespace {

constexpr std::int64_t kNow = 1'000'000;  // seconds

}  // namespace

TEST_GROUP(Reader) {
  Folder folder;
  Store store;
  Recovered recovered;
  std::int64_t now = kNow;

  void setup() override {
    well(store.open(folder / "mqloop.db"));
    well(store.begin());
  }
  static void well(const Outcome& outcome) { STRCMP_EQUAL("", outcome.text().c_str()); }

  Transcript read() {
    if (store.database().in_transaction()) well(store.commit());
    Transcript transcript(wall(now));
    well(read_all(store, transcript, {wall(now), nullptr}, recovered));
    return transcript;
  }
  void reads(const std::string& expected) { STRCMP_EQUAL(expected.c_str(), read().text().c_str()); }
  void sql(const std::string& text) { well(store.database().execute(text.c_str())); }

  SessionRow session(std::uint64_t number, std::string_view client_id) {
    SessionRow row;
    row.number = number;
    row.client_id = client_id;
    row.expiry_interval = 100;
    row.gone_at = wall(kNow - 40);
    return row;
  }
  MessageRow message(std::uint64_t number, std::string_view topic = "t") {
    MessageRow row;
    row.number = number;
    row.topic = topic;
    row.payload = bytes("x");
    row.qos = QoS::kAtLeastOnce;
    return row;
  }
  void deliver(std::uint64_t to, std::uint64_t delivery, std::uint64_t number, std::uint16_t packet_id = 0,
               QoS qos = QoS::kAtLeastOnce) {
    DeliveryRow row;
    row.session = to;
    row.number = delivery;
    row.message = number;
    row.packet_id = packet_id;
    row.qos = qos;
    well(store.insert_delivery(row));
  }
};

TEST(Reader, new_database_holds_nothing) {
  reads("numbers 0 0 0 0\n");
  LONGS_EQUAL(0, recovered.progress.batch);
  CHECK(!recovered.ended_left);
}

TEST(Reader, everything_comes_back_as_it_was) {
  Principal::Content who;
  who.client_id = "a";
  who.has_user_name = true;
  who.user_name = "anna";
  who.chain = "default";
  who.listener = "tls";
  who.peer_address = "127.0.0.9";
  who.version = ProtocolVersion::kV311;
  const auto principal = Principal::create(who);
  WillRow will;
  will.topic = "will/a";
  will.payload = bytes("bye");
  will.properties = bytes(std::string_view("\x01\x01", 2));
  will.qos = QoS::kExactlyOnce;
  will.retain = true;
  will.delay_interval = 50;
  will.message_expiry_interval = 9;
  SessionRow a = session(3, "a");
  a.has_user_name = true;
  a.user_name = "anna";
  a.will = &will;
  a.principal = principal.get();
  well(store.put_session(a));
  SessionRow b = session(4, "b");
  b.connected = true;
  b.expiry_interval = 0xFFFFFFFF;
  well(store.put_session(b));

  well(store.put_subscription({3, "x/+", QoS::kExactlyOnce, 0x2E, 5}));
  well(store.put_subscription({3, "$share/g/y/#", QoS::kAtMostOnce, 0, 0}));
  MessageRow first = message(64, "x/1");
  first.properties = bytes(std::string_view("\x26\0\1a\0\1b", 7));
  first.expires_at = wall(kNow + 5);
  first.qos = QoS::kExactlyOnce;
  well(store.insert_message(first));
  well(store.insert_message(message(128, "x/2")));
  deliver(3, 10, 64, 7, QoS::kExactlyOnce);
  deliver(3, 11, 128);
  deliver(4, 12, 64, 0, QoS::kExactlyOnce);
  const std::uint32_t identifiers[] = {5, 268'435'455};
  DeliveryRow third;
  third.session = 4;
  third.number = 13;
  third.message = 128;
  third.retain = true;
  third.identifiers = identifiers;
  third.group = "$share/g/y/#";
  well(store.insert_delivery(third));
  deliver(4, 14, 128, 65'535, QoS::kExactlyOnce);
  well(store.set_received(4, 14));
  well(store.insert_received(3, 1));
  well(store.insert_received(3, 65'535));
  well(store.insert_shared_delivery("$share/g/y/#", 128));
  RetainedRow retained;
  retained.message = message(0, "r");
  retained.sequence = 17;
  retained.principal = principal.get();
  well(store.put_retained(retained));
  Progress progress;
  progress.batch = 2;
  progress.numbers = {4, 128, 14, 17};
  well(store.set_progress(progress));

  const Transcript transcript = read();
  STRCMP_EQUAL(
      "numbers 4 128 14 17\n"
      "session 3 a user=anna expiry=100 left=60 gone principal=a/anna/default/tls/127.0.0.9/4 "
      "will=[0 will/a=bye qos=2 retain properties=2 delay=10 expiry=9]\n"
      "subscription 3 a $share/g/y/# qos=0 options=0 identifier=0\n"
      "subscription 3 a x/+ qos=2 options=46 identifier=5\n"
      "delivery 3 10 sent id=7 qos=2 [64 x/1=x qos=2 properties=7 left=5000]\n"
      "delivery 3 11 queued id=0 qos=1 [128 x/2=x qos=1]\n"
      "received 1\n"
      "received 65535\n"
      "session 4 b anonymous expiry=4294967295 left=4294967295 connected\n"
      "delivery 4 12 queued id=0 qos=2 [64 x/1=x qos=2 properties=7 left=5000]\n"
      "delivery 4 13 queued id=0 qos=1 retain identifiers=5 identifiers=268435455 group=$share/g/y/# [128 x/2=x "
      "qos=1]\n"
      "delivery 4 14 received id=65535 qos=2\n"
      "group $share/g/y/# [128 x/2=x qos=1]\n"
      "retained [0 r=x qos=1 retain] by a/anna/default/tls/127.0.0.9/4\n",
      transcript.text().c_str());
  CHECK(transcript.is_one(64, 2));
  CHECK(transcript.is_one(128, 3));
  LONGS_EQUAL(2, recovered.messages.size());
  LONGS_EQUAL(64, recovered.messages[0].number);
  LONGS_EQUAL(2, recovered.messages[0].references);
  LONGS_EQUAL(3, recovered.messages[1].references);
  LONGS_EQUAL(2, recovered.counts.sessions);
  LONGS_EQUAL(5, recovered.counts.deliveries);
  LONGS_EQUAL(0, recovered.counts.bad_rows);
  CHECK(recovered.dead_sessions.empty() && recovered.dead_deliveries.empty() && recovered.dead_retained.empty());
}

TEST(Reader, retained_message_that_is_queued_as_well_is_one_message_with_its_principal) {
  Principal::Content who;
  who.client_id = "p";
  const auto principal = Principal::create(who);
  well(store.put_session(session(1, "a")));
  MessageRow row = message(64, "r");
  row.retain = true;
  well(store.insert_message(row));
  deliver(1, 1, 64);
  RetainedRow retained;
  retained.message = row;
  retained.principal = principal.get();
  well(store.put_retained(retained));
  const Transcript transcript = read();
  CHECK(transcript.is_one(64, 2));
  STRCMP_CONTAINS("retained [64 r=x qos=1 retain] by p/-////5", transcript.text().c_str());
}

TEST(Reader, numbers_are_never_below_what_is_there) {
  well(store.put_session(session(9, "a")));
  well(store.end_session(12));
  well(store.insert_message(message(640)));
  deliver(9, 1, 640);
  STRCMP_CONTAINS("numbers 12 640 0 0\n", read().text().c_str());
}

// ---- time

TEST(Reader, session_that_expired_while_nobody_looked_is_dead) {
  SessionRow row = session(1, "a");
  row.gone_at = wall(kNow - 100);
  well(store.put_session(row));
  well(store.insert_message(message(64)));
  deliver(1, 1, 64);
  reads("numbers 1 64 0 0\n");
  LONGS_EQUAL(1, recovered.counts.expired_sessions);
  LONGS_EQUAL(1, recovered.dead_sessions.size());
  // Its delivery is counted until it is swept.
  LONGS_EQUAL(1, recovered.messages[0].references);
}

TEST(Reader, session_that_expired_with_a_will_is_given_with_nothing_left) {
  WillRow will;
  will.topic = "w";
  will.delay_interval = 1000;
  SessionRow row = session(1, "a");
  row.gone_at = wall(kNow - 500);
  row.will = &will;
  well(store.put_session(row));
  reads(
      "numbers 1 0 0 0\n"
      "session 1 a anonymous expiry=100 left=0 gone will=[0 w= qos=0 delay=500]\n");
}

TEST(Reader, session_that_goes_in_the_future_went_just_now) {
  SessionRow row = session(1, "a");
  row.gone_at = wall(kNow + 5000);
  well(store.put_session(row));
  reads("numbers 1 0 0 0\nsession 1 a anonymous expiry=100 left=100 gone\n");
}

TEST(Reader, clock_that_went_back_takes_nothing_and_gives_nothing) {
  SessionRow row = session(1, "a");
  well(store.put_session(row));
  MessageRow expiring = message(64);
  expiring.expires_at = wall(kNow + 30);
  well(store.insert_message(expiring));
  deliver(1, 1, 64);
  Progress progress;
  progress.numbers = {1, 64, 1, 0};
  progress.alive_at = wall(kNow);
  well(store.set_progress(progress));
  now = kNow - 86'400;
  reads(
      "numbers 1 64 1 0\n"
      "session 1 a anonymous expiry=100 left=60 gone\n"
      "delivery 1 1 queued id=0 qos=1 [64 t=x qos=1 left=30000]\n");
}

TEST(Reader, expired_message_is_left_out_unless_it_is_on_its_way) {
  well(store.put_session(session(1, "a")));
  MessageRow expired = message(64);
  expired.expires_at = wall(kNow);
  well(store.insert_message(expired));
  expired.number = 128;
  well(store.insert_message(expired));
  deliver(1, 1, 64);
  deliver(1, 2, 128, 5, QoS::kExactlyOnce);
  deliver(1, 3, 128);
  well(store.insert_shared_delivery("$share/g/t", 128));
  RetainedRow retained;
  retained.message = expired;
  well(store.put_retained(retained));
  reads(
      "numbers 1 128 0 0\n"
      "session 1 a anonymous expiry=100 left=60 gone\n"
      "delivery 1 2 sent id=5 qos=2 [128 t=x qos=1 left=0]\n");
  LONGS_EQUAL(2, recovered.dead_deliveries.size());
  LONGS_EQUAL(1, recovered.dead_shared_deliveries.size());
  LONGS_EQUAL(1, recovered.dead_retained.size());
  LONGS_EQUAL(0, recovered.counts.bad_rows);
}

// ---- rows that no broker wrote

TEST(Reader, bad_sessions_are_dead) {
  for (const char* const row : {"1,x'',NULL,9,0", "2,x'FF',NULL,9,0", "3,x'63',CAST(x'FF' AS TEXT),9,0",
                                "4,x'64',NULL,-1,0", "5,x'65',NULL,4294967296,0"}) {
    sql("INSERT INTO session(number,client_id,user_name,expiry_interval,connected) VALUES (" + std::string(row) + ')');
  }
  reads("numbers 5 0 0 0\n");
  LONGS_EQUAL(5, recovered.dead_sessions.size());
  LONGS_EQUAL(5, recovered.counts.bad_rows);
}

TEST(Reader, session_with_half_a_principal_is_dead_for_nobody_may_pass_unasked) {
  well(store.put_session(session(1, "a")));
  sql("UPDATE session SET principal_chain='strict'");
  reads("numbers 1 0 0 0\n");
  LONGS_EQUAL(1, recovered.dead_sessions.size());
}

TEST(Reader, bad_deliveries_are_dead_and_the_good_ones_come) {
  well(store.put_session(session(1, "a")));
  well(store.insert_message(message(64)));
  well(store.insert_message(message(128, "wild/#")));
  MessageRow bad = message(192);
  bad.properties = bytes(std::string_view("\x02\0\0\0\1", 5));
  well(store.insert_message(bad));
  deliver(1, 1, 9999);
  deliver(1, 2, 128);
  deliver(1, 3, 192);
  deliver(1, 4, 64, 0, QoS::kAtMostOnce);
  deliver(1, 5, 64);
  deliver(1, 6, 64);
  sql("UPDATE delivery SET packet_id=65536 WHERE number=5");
  sql("UPDATE delivery SET identifiers=x'010203' WHERE number=6");
  deliver(1, 7, 64);
  sql("UPDATE delivery SET share='g' WHERE number=7");
  deliver(1, 8, 64);
  reads(
      "numbers 1 192 0 0\n"
      "session 1 a anonymous expiry=100 left=60 gone\n"
      "delivery 1 8 queued id=0 qos=1 [64 t=x qos=1]\n");
  LONGS_EQUAL(7, recovered.dead_deliveries.size());
}

TEST(Reader, bad_subscriptions_and_wills_are_left_out) {
  well(store.put_session(session(1, "a")));
  well(store.put_subscription({1, "a#", QoS::kAtMostOnce, 0, 0}));
  well(store.put_subscription({1, "b", QoS::kAtMostOnce, 0xC0, 0}));
  well(store.put_subscription({1, "c", QoS::kAtMostOnce, 0, 268'435'456}));
  well(store.put_subscription({1, "$share/+/c", QoS::kAtMostOnce, 0, 0}));
  well(store.put_subscription({1, "d", QoS::kAtMostOnce, 0, 0}));
  sql("UPDATE session SET will_topic='#',will_qos=0");
  reads(
      "numbers 1 0 0 0\n"
      "session 1 a anonymous expiry=100 left=60 gone\n"
      "subscription 1 a d qos=0 options=0 identifier=0\n");
  LONGS_EQUAL(5, recovered.counts.bad_rows);
}

TEST(Reader, what_belongs_to_no_session_does_not_reach_another) {
  well(store.put_session(session(5, "a")));
  well(store.insert_message(message(64)));
  for (const std::uint64_t stranger : {4, 6}) {
    deliver(stranger, stranger, 64);
    well(store.put_subscription({stranger, "d", QoS::kAtMostOnce, 0, 0}));
    well(store.insert_received(stranger, 3));
  }
  sql("INSERT INTO delivery VALUES (-1,1,64,1,0,NULL,0,NULL,NULL)");
  sql("INSERT INTO session(number,client_id,expiry_interval,connected) VALUES (-7,x'78',100,0)");
  deliver(5, 9, 64);
  reads(
      "numbers 5 64 0 0\n"
      "session 5 a anonymous expiry=100 left=60 gone\n"
      "delivery 5 9 queued id=0 qos=1 [64 t=x qos=1]\n");
  LONGS_EQUAL(4, recovered.messages[0].references);
  well(tidy(store, recovered));
  std::vector<std::uint64_t> released;
  bool left = true;
  well(store.begin());
  well(store.sweep_ended(100, released, left));
  well(store.commit());
  LONGS_EQUAL(3, released.size());
}

// ---- tidy

TEST(Reader, tidy_removes_what_is_dead_and_what_nobody_wants) {
  well(store.put_session(session(1, "a")));
  SessionRow expired = session(2, "b");
  expired.gone_at = wall(kNow - 1000);
  well(store.put_session(expired));
  MessageRow old = message(64);
  old.expires_at = wall(kNow - 1);
  well(store.insert_message(old));
  well(store.insert_message(message(128)));
  well(store.insert_message(message(192)));
  deliver(1, 1, 64);
  deliver(1, 2, 128);
  deliver(2, 3, 128);
  well(store.insert_shared_delivery("$share/g/t", 64));
  RetainedRow retained;
  retained.message = old;
  well(store.put_retained(retained));
  (void)read();
  well(tidy(store, recovered));
  LONGS_EQUAL(1, recovered.messages.size());
  LONGS_EQUAL(128, recovered.messages[0].number);
  LONGS_EQUAL(2, recovered.messages[0].references);
  CHECK(recovered.ended_left);
  // A second reading finds nothing to tidy.
  (void)read();
  CHECK(recovered.dead_sessions.empty() && recovered.dead_deliveries.empty());
  CHECK(recovered.dead_shared_deliveries.empty() && recovered.dead_retained.empty());
  LONGS_EQUAL(1, recovered.messages.size());
  CHECK(recovered.ended_left);
}

TEST(Reader, progress_is_told_and_ends_with_all) {
  well(store.put_session(session(1, "a")));
  for (std::uint64_t i = 1; i <= 60'000; ++i) well(store.insert_message(message(i)));
  well(store.commit());
  std::uint64_t last = 0;
  std::uint64_t all = 0;
  int calls = 0;
  Transcript transcript(wall(now));
  const auto note = [&](std::uint64_t done, std::uint64_t of) {
    CHECK(done >= last && done <= of);
    last = done;
    all = of;
    ++calls;
  };
  well(read_all(store, transcript, {wall(now), note}, recovered));
  CHECK(calls >= 2);
  LONGS_EQUAL(60'001, all);
  LONGS_EQUAL(all, last);
}
